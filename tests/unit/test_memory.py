"""What is free at once when a build or a request has ended. Python's search for cycles would come much later."""

import gc
import weakref
from collections.abc import Iterator
from typing import Any

import pytest
from binderhub_service.kubernetes_api import without_large_parts
from binderhub_service.pod_logs import LogFollower


@pytest.fixture(autouse=True)
def no_search_for_cycles() -> Iterator[None]:
    gc.disable()
    yield
    gc.enable()


class Attempt:
    """Has a follower, which calls it."""

    def __init__(self) -> None:
        nobody: Any = None
        self.follower = LogFollower(nobody, nobody, self.take, self.take)

    def take(self, _container: str, _what: Any) -> None:
        """Take what the follower reads."""


def test_a_closed_follower_keeps_no_attempt() -> None:
    attempt = Attempt()
    known = weakref.ref(attempt)
    attempt.follower.close()
    del attempt
    assert known() is None


def test_of_a_pod_neither_programs_nor_variables_are_kept() -> None:
    container = {"name": "push", "image": "i", "args": ["x" * 50_000], "env": []}
    pod = {"metadata": {"name": "p", "managedFields": []}, "spec": {"containers": [container]}}
    kept = {"metadata": {"name": "p"}, "spec": {"containers": [{"name": "push", "image": "i"}]}}
    assert without_large_parts(pod) == kept
