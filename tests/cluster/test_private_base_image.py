"""A base image that is private: docker in `builder` asks the container `push` for the login."""

from pathlib import Path

import pytest
from demonstration.target import Target
from local_cluster.layout import GATEWAY
from support.git_servers import serving
from support.release import WAY_TO_THIS_MACHINE, Release, released

pytestmark = pytest.mark.local


def test_a_private_base_image_is_pulled_with_the_login_that_pushes(cluster: Target, tmp_path: Path) -> None:
    with (
        serving(tmp_path / "git", GATEWAY, login=None) as git,
        released(cluster, WAY_TO_THIS_MACHINE) as release,
        release.reached(),
    ):
        base = release.answer("one-file").end["imageName"]
        git.repository("project.git", dockerfile=f"FROM {base}\nCOPY README /\n")
        forget(release, base)
        answer = release.answer(f"http://{git.host}/project.git", "main")
        release.nothing_left()
    assert answer.end["phase"] == "ready"
    assert f"FROM {base}" in answer.text("building")


def forget(release: Release, image: str) -> None:
    """Remove the image from the daemon that has it: a name that the daemon knows needs no login."""
    removed = []
    for pod in release.pods("app.kubernetes.io/component=docker-api"):
        (host,) = [word for word in pod["spec"]["containers"][0]["args"] if word.startswith("--host=")]
        name = pod["metadata"]["name"]
        command = ["exec", name, "--container=docker-api", "--", "docker", host, "image", "rm", "--force", image]
        done = release.target.run(release.target.kubectl, f"--namespace={release.namespace}", *command)
        removed.append("Untagged" in done)
    assert any(removed)
