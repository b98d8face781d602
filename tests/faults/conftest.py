from collections.abc import Iterator

import pytest
from faults.release import Release, released
from firstimage.target import Target


@pytest.fixture(scope="module")
def shared(cluster: Target) -> Iterator[Release]:
    with released(cluster) as made:
        yield made


@pytest.fixture
def release(shared: Release) -> Iterator[Release]:
    """The release with its usual values, reached; afterwards nothing of its builds is left."""
    with shared.reached() as reached:
        yield reached
        reached.nothing_left()
