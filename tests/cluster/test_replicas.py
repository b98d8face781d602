"""More than one BinderHub: replicas of a release, and two releases in a namespace."""

import re
from typing import Any

import pytest
from support.release import Answer, Release, together

pytestmark = pytest.mark.local

CLEANS_OFTEN = {"build_cleanup_interval": 1}
VALUES: dict[str, Any] = {"replicas": 2, "config": {"BinderHub": CLEANS_OFTEN}}


def lines(answer: Answer) -> list[str]:
    """The numbers that a slow step counts."""
    return re.findall(r"second (\d+)$", answer.text("building"), re.MULTILINE)


def test_19_two_replicas_and_one_build(shared: Release) -> None:
    first, second = shared.addresses()
    pods = set()

    def note() -> None:
        pods.add(shared.build_pod()["metadata"]["uid"])

    answers = together(
        lambda: shared.answer_while("slow-step", "second 20", note, first),
        lambda: shared.answer_while("slow-step", "second 20", note, second),
    )
    shared.nothing_left()
    assert len(pods) == 1
    for answer in answers:
        assert answer.end["phase"] == "ready"
        assert lines(answer) == [str(number) for number in range(1, 26)]


def test_15_a_release_leaves_the_builds_of_another_alone(shared: Release) -> None:
    """They ask for the same; the one takes away after 12 s what is its own, and the other's goes on."""
    impatient = Release(
        shared.target,
        shared.namespace,
        {
            "fullnameOverride": None,
            "config": {"BinderHub": CLEANS_OFTEN, "KubernetesCleaner": {"max_age": 12}},
        },
        "impatient",
        "impatient-binderhub-service-binderhub",
    )
    impatient.install()
    pods = []
    with shared.reached(), impatient.reached():
        answer, taken_away = together(
            lambda: shared.answer_while("slow-step-too", "second 5", lambda: pods.extend(shared.pods())),
            lambda: impatient.answer("slow-step-too"),
        )
    assert len(pods) == 2
    taken_away.failed("BHS703")
    assert answer.end["phase"] == "ready"
    assert lines(answer) == [str(number) for number in range(1, 26)]
    shared.nothing_left()
