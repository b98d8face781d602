"""Faults of what is built: its steps, and where it comes from."""

import pytest
from local_cluster.layout import GATEWAY
from support.binderhub import free_port
from support.private_git_host import locked
from support.release import WAY_TO_THIS_MACHINE, Release

pytestmark = pytest.mark.local

COMMIT = "0" * 40
VALUES = WAY_TO_THIS_MACHINE


def test_1_a_step_that_fails(release: Release) -> None:
    answer = release.answer("fails-in-a-step")
    what = answer.failed("BHS101")
    assert "[3/3] RUN echo this step fails && exit 3" in what
    assert "exit code 3" in what
    assert "this step fails" in answer.text("building")


def test_8_a_step_that_is_killed(release: Release) -> None:
    what = release.answer("killed-in-a-step").failed("BHS102")
    assert "kill -9 $$" in what
    assert "137" in what


def test_17_a_ref_that_is_not_there(release: Release) -> None:
    answer = release.answer("first-image", "no-such-branch")
    assert answer.end["phase"] == "failed"
    assert "Could not resolve ref" in answer.end["message"]


def test_17_a_commit_that_is_not_there(release: Release) -> None:
    release.answer("first-image", COMMIT).failed("BHS106")


def test_17_a_repository_that_is_not_there(release: Release) -> None:
    release.answer("none-such", COMMIT).failed("BHS104")


def test_17_a_host_that_wants_a_login(release: Release) -> None:
    """A branch is asked for by BinderHub itself, before there is a pod; a commit is taken as it is."""
    with locked(GATEWAY) as url:
        branch = release.answer(f"{url}/group/project.git", "main")
        assert branch.end["phase"] == "failed"
        assert "Error resolving ref" in branch.end["message"]
        assert branch.seconds < 10
        assert not release.pods()
        what = release.answer(f"{url}/group/project.git", COMMIT).failed("BHS104")
    assert "could not read Username" in what


def test_17_a_host_that_cannot_be_reached(release: Release) -> None:
    url = f"http://{GATEWAY}:{free_port(GATEWAY)}/group/project.git"
    branch = release.answer(url, "main")
    assert branch.end["phase"] == "failed"
    assert "Error resolving ref" in branch.end["message"]
    assert branch.seconds < 10
    assert not release.pods()
    release.answer(url, COMMIT).failed("BHS105")
