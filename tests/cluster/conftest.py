from collections.abc import Iterator

import pytest
from demonstration.target import Target
from support.pages import scratch  # noqa: F401 - a fixture
from support.release import Release, released


@pytest.fixture(scope="module")
def shared(cluster: Target, request: pytest.FixtureRequest) -> Iterator[Release]:
    """A release for the tests of one file, with its `VALUES` if it has some."""
    with released(cluster, getattr(request.module, "VALUES", {})) as made:
        yield made


@pytest.fixture
def release(shared: Release) -> Iterator[Release]:
    """The release with its usual values, reached; afterwards nothing of its builds is left."""
    shared.install()
    with shared.reached() as reached:
        yield reached
        reached.nothing_left()
