"""One test a fault, on a real cluster: what the client is told, how soon, and that nothing is left."""

import contextlib
import time
from collections.abc import Iterator
from typing import Any

import httpx
import pytest
from contract.service import until
from faults.release import Answer, Release

pytestmark = pytest.mark.local


@contextlib.contextmanager
def values(shared: Release, changes: dict[str, Any]) -> Iterator[Release]:
    """The release with other values for one test."""
    shared.install(changes)
    try:
        with shared.reached() as reached:
            yield reached
            reached.nothing_left()
    finally:
        shared.install()


def test_1_a_step_that_fails(release: Release) -> None:
    answer = release.answer("fails-in-a-step")
    what = answer.failed("BHS101")
    assert "[3/3] RUN echo this step fails && exit 3" in what
    assert "exit code 3" in what
    assert "this step fails" in answer.text("building")


def test_8_a_step_that_is_killed(release: Release) -> None:
    answer = release.answer("killed-in-a-step")
    what = answer.failed("BHS102")
    assert "kill -9 $$" in what
    assert "137" in what


def test_8_a_pod_deleted_by_hand(release: Release) -> None:
    answer = Answer()
    for event in release.ask("slow-step"):
        answer.events.append(event)
        if "second 1" in event["message"] and not answer.seconds:
            release.delete("pod", "--selector=component=binderhub-build", "--wait=false")
            answer.seconds = time.monotonic()
    answer.failed("BHS703")
    assert time.monotonic() - answer.seconds < 10


def test_5_a_daemon_that_is_deleted_during_the_build(release: Release) -> None:
    answer = Answer()
    for event in release.ask("slow-step"):
        answer.events.append(event)
        if "second 1" in event["message"] and not answer.seconds:
            (pod,) = release.pods()
            node = pod["spec"]["nodeName"]
            for daemon in release.pods("app.kubernetes.io/component=docker-api"):
                if daemon["spec"]["nodeName"] == node:
                    release.delete("pod", daemon["metadata"]["name"], "--grace-period=1", "--wait=false")
            answer.seconds = time.monotonic()
    assert node in answer.failed("BHS501")
    assert time.monotonic() - answer.seconds < 15


def test_5_a_build_waits_for_a_daemon_that_comes(release: Release) -> None:
    release.delete("pod", "--selector=app.kubernetes.io/component=docker-api", "--grace-period=1", "--wait=false")
    assert release.answer("first-image").end["phase"] == "ready"


def test_9_a_build_goes_on_when_binderhub_ends(shared: Release) -> None:
    ref = "HEAD"
    with shared.reached() as reached, contextlib.suppress(httpx.TransportError):
        for event in reached.ask("slow-step", ref):
            assert event["phase"] not in ("ready", "failed")
            if "second 3" in event["message"]:
                shared.delete("pod", "--selector=app.kubernetes.io/component=binderhub", "--grace-period=0", "--force")
    until(lambda: _ready(shared), "the new BinderHub")
    with shared.reached() as reached:
        answer = reached.answer("slow-step", ref)
        assert answer.end["phase"] == "ready"
        seconds = [f"second {number}\n" for number in range(1, 26)]
        assert all(second in answer.text("building") for second in seconds)
        reached.nothing_left()


def _ready(release: Release) -> bool:
    pods = release.pods("app.kubernetes.io/component=binderhub")
    return any(
        condition["type"] == "Ready" and condition["status"] == "True" and not pod["metadata"].get("deletionTimestamp")
        for pod in pods
        for condition in pod["status"].get("conditions", [])
    )


@pytest.mark.parametrize(
    ("image", "code"),
    [("quay.io/Not/valid:1", "BHS201"), ("quay.io/jupyterhub/repo2docker:there-is-none", "BHS202")],
)
def test_2_the_build_image(shared: Release, image: str, code: str) -> None:
    with values(shared, {"config": {"KubernetesBuildExecutor": {"build_image": image}}}) as release:
        answer = release.answer("fails-in-a-step")
        answer.failed(code)
        assert answer.seconds < (10 if code == "BHS201" else 60)


def test_3_no_node_fits(shared: Release) -> None:
    with values(shared, {"config": {"KubernetesBuildExecutor": {"node_selector": {"no": "node"}}}}) as release:
        answer = release.answer("fails-in-a-step")
        answer.failed("BHS301")
        assert "didn't match Pod's node affinity/selector" in answer.text("waiting")
        assert 10 <= answer.seconds < 20


def test_4_a_secret_that_is_missing(shared: Release) -> None:
    changes = {"extraConfig": {"zz": 'c.KubernetesBuildExecutor.push_secret = "none-such"'}}
    with values(shared, changes) as release:
        answer = release.answer("fails-in-a-step")
        assert "none-such" in answer.failed("BHS401")
        assert 30 <= answer.seconds < 50


WRONG = {"buildPodsRegistryCredentials": {"password": "wrong"}}
NOWHERE = {"config": {"BinderHub": {"image_prefix": "nowhere.lab.test/x/"}}}
UNTRUSTED = {"config": {"BinderHub": {"image_prefix": "10.89.0.20/x/"}}}


@pytest.mark.parametrize(("changes", "code"), [(WRONG, "BHS601"), (NOWHERE, "BHS604"), (UNTRUSTED, "BHS605")])
def test_7_the_push(shared: Release, changes: dict[str, Any], code: str) -> None:
    with values(shared, changes) as release:
        answer = release.answer("first-image", "main")
        answer.failed(code)


def test_17_a_ref_that_is_not_there(release: Release) -> None:
    answer = release.answer("first-image", "no-such-branch")
    assert answer.end["phase"] == "failed"
    assert "Could not resolve ref" in answer.end["message"]


def test_17_a_commit_that_is_not_there(release: Release) -> None:
    release.answer("first-image", "0" * 40).failed("BHS106")


def test_17_a_repository_that_is_not_there(release: Release) -> None:
    release.answer("none-such", "0" * 40).failed("BHS104")
