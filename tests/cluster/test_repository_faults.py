"""Faults of what is built: its steps, and where it comes from."""

import json
import subprocess
from pathlib import Path

import pytest
from common.paths import CLONE
from documentation.blocks import read
from local_cluster.layout import GATEWAY
from support.binderhub import free_port
from support.git_servers import serving
from support.private_git_host import locked
from support.release import WAY_TO_THIS_MACHINE, Release, values

pytestmark = pytest.mark.local

PAGE = CLONE / "docs" / "how-to" / "troubleshoot.md"
COMMIT = "0" * 40
VALUES = WAY_TO_THIS_MACHINE


def test_1_a_step_that_fails(release: Release) -> None:
    answer = release.answer("fails-in-a-step")
    answer.failed("BHS101")
    page = read(PAGE.name, PAGE.read_bytes())
    (shown,) = [json.loads(block.text) for block in page.blocks if block.name == "event"]
    assert answer.end == shown
    assert "this step fails" in answer.text("building")


def test_8_a_step_that_is_killed(release: Release) -> None:
    what = release.answer("killed-in-a-step").failed("BHS102")
    assert "kill -9 $$" in what
    assert "137" in what


def test_8_a_program_of_a_step_is_killed(release: Release) -> None:
    what = release.answer("compiler-is-killed").failed("BHS102")
    assert "Killed signal terminated program cc1plus" in what


@pytest.mark.parametrize(
    ("image", "code", "says"),
    [
        ("docker.io/library/none-such:1", "BHS111", "docker.io/library/none-such:1"),
        ("registry.nowhere.test/base:1", "BHS113", "no such host"),
    ],
)
def test_a_base_image_that_cannot_be_had(release: Release, tmp_path: Path, image: str, code: str, says: str) -> None:
    with serving(tmp_path / "git", GATEWAY, login=None) as git:
        git.repository("base.git", dockerfile=f"FROM {image}\n")
        assert says in release.answer(f"http://{git.host}/base.git").failed(code)


def test_refs_are_exact_and_a_pull_request_is_one(release: Release, tmp_path: Path) -> None:
    """The head of a pull request is on no branch, so that a clone does not bring it."""
    with serving(tmp_path / "git", GATEWAY, login=None) as git:
        first = git.repository("refs.git", dockerfile="FROM docker.io/library/debian:trixie-slim\n")
        work = str(tmp_path / "git" / "refs.git.work")
        commits = {}
        for name in ("heads/dev/main", "pull/7/head"):
            author = ["-c", "user.name=Tester", "-c", "user.email=tester@example.com"]
            subprocess.run(["git", "-C", work, *author, "commit", "--quiet", "--allow-empty", "-m", name], check=True)
            subprocess.run(["git", "-C", work, "push", "--quiet", "origin", f"HEAD:refs/{name}"], check=True)
            head = subprocess.run(["git", "-C", work, "rev-parse", "HEAD"], check=True, capture_output=True, text=True)
            commits[name] = head.stdout.strip()
            subprocess.run(["git", "-C", work, "reset", "--quiet", "--hard", first], check=True)
        for ref, commit in (("main", first), ("refs/pull/7/head", commits["pull/7/head"])):
            answer = release.answer(f"http://{git.host}/refs.git", ref)
            end = answer.end
            assert end["phase"] == "ready", end
            assert "fatal: " not in answer.text("fetching")
            assert end["imageName"].endswith(f":{commit}")


def test_arguments_that_repo2docker_refuses(shared: Release) -> None:
    wrong = {"config": {"KubernetesBuildExecutor": {"repo2docker_extra_args": ["--no-such"]}}}
    with values(shared, wrong) as release:
        assert "unrecognized arguments: --no-such" in release.answer("first-image").failed("BHS205")


def test_17_a_ref_that_is_not_there(release: Release) -> None:
    answer = release.answer("first-image", "no-such-branch")
    assert "Could not resolve ref" in answer.failed("BHS904")


def test_17_a_commit_that_is_not_there(release: Release) -> None:
    release.answer("first-image", COMMIT).failed("BHS106")


def test_17_a_repository_that_is_not_there(release: Release) -> None:
    assert "not found" in release.answer("none-such", "main").failed("BHS904")
    release.answer("none-such", COMMIT).failed("BHS104")


def test_17_a_host_that_wants_a_login(release: Release) -> None:
    """A branch is asked for by BinderHub itself, before there is a pod; a commit is taken as it is."""
    with locked(GATEWAY) as url:
        branch = release.answer(f"{url}/group/project.git", "main")
        assert "it does not exist, or it is private" in branch.failed("BHS904")
        assert branch.seconds < 10
        assert not release.pods()
        what = release.answer(f"{url}/group/project.git", COMMIT).failed("BHS104")
    assert "could not read Username" in what


def test_17_a_host_that_cannot_be_reached(release: Release) -> None:
    url = f"http://{GATEWAY}:{free_port(GATEWAY)}/group/project.git"
    branch = release.answer(url, "main")
    assert "Error resolving ref" in branch.failed("BHS905")
    assert branch.seconds < 10
    assert not release.pods()
    release.answer(url, COMMIT).failed("BHS105")
