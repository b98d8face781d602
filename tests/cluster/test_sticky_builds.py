"""Builds of a repository find the cache of those before."""

import pytest
from support.release import Release, values

pytestmark = pytest.mark.local


def test_sticky_builds_find_the_cache_of_the_commit_before(release: Release) -> None:
    """Another ref of the same repository: another image name, the same node, and its cache."""
    first = release.answer("first-image", "refs/heads/main")
    assert first.end["phase"] == "ready"
    again = release.answer("first-image", "refs/heads/main")
    assert again.end["message"] == "Done! Found built image\n"
    prefix = f"{release.target.registry}/{release.namespace}/b-"
    with values(release, {"config": {"BinderHub": {"image_prefix": prefix}}}) as other:
        second = other.answer("first-image", "refs/heads/main")
        assert second.end["phase"] == "ready"
        assert "CACHED" in second.text("building")
