"""One test a fault, on a real cluster: what the client is told, how soon, and that nothing is left."""

import contextlib
import os
import re
import signal
import threading
import time
from collections.abc import Iterator
from pathlib import Path
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
    return any(_ready_pods(release, "app.kubernetes.io/component=binderhub"))


def _ready_pods(release: Release, selector: str) -> list[bool]:
    """Of each pod whether it is ready, and stays."""
    return [
        not pod["metadata"].get("deletionTimestamp")
        and ("Ready", "True") in [(one["type"], one["status"]) for one in pod["status"].get("conditions", [])]
        for pod in release.pods(selector)
    ]


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


# With a prefix of its own: an image that a test before this one pushed would be found, and not pushed again.
WRONG = {
    "config": {"BinderHub": {"image_prefix": "registry.lab.test/refused/"}},
    "buildPodsRegistryCredentials": {"password": "wrong"},
}
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


def test_sticky_builds_find_the_cache_of_the_commit_before(release: Release) -> None:
    """Another ref of the same repository: another image name, the same node, and its cache."""
    first = release.answer("first-image", "refs/heads/main")
    assert first.end["phase"] == "ready"
    again = release.answer("first-image", "refs/heads/main")
    assert again.end["message"] == "Done! Found built image\n"
    release.install({"config": {"BinderHub": {"image_prefix": f"{release.target.registry}/{release.namespace}/b-"}}})
    with release.reached() as reached:
        second = reached.answer("first-image", "refs/heads/main")
        assert second.end["phase"] == "ready"
        assert "CACHED" in second.text("building")
        reached.nothing_left()
    release.install()


def test_10_the_api_server_is_away_during_a_build(release: Release) -> None:
    """For 20 s: the process is stopped, and its clients see what a server that is gone looks like.

    The repository is this test's own: a step that another build has run would be cached, and print nothing.
    """
    answer, stopped = Answer(), 0.0
    server = _api_server()
    try:
        for event in release.ask("slow-step-too"):
            answer.events.append(event)
            if "second 2" in event["message"] and not stopped:
                os.kill(server, signal.SIGSTOP)
                stopped = time.monotonic()
                threading.Timer(20, os.kill, (server, signal.SIGCONT)).start()
    finally:
        os.kill(server, signal.SIGCONT)
    assert answer.end["phase"] == "ready"
    lines = re.findall(r"second (\d+)$", answer.text("building"), re.MULTILINE)
    assert lines == [str(number) for number in range(1, 26)]


def _api_server() -> int:
    """The process id of the local cluster's API server."""
    (found,) = [
        int(process.name)
        for process in Path("/proc").glob("[0-9]*")
        if (process / "cmdline").exists()
        and b"kube-apiserver\0--advertise-address=10.89.0.10" in (process / "cmdline").read_bytes()
    ]
    return found


APART = {
    "nodeSelector": {"hub.jupyter.org/node-purpose": "core"},
    "builders": {"nodeSelector": {"hub.jupyter.org/node-purpose": "user"}},
}


def test_6_a_lost_node(shared: Release) -> None:
    """BinderHub is on the other node, since requests reach it through its node's kubelet."""
    with values(shared, APART) as release:
        lose_the_node(release)
        until(lambda: all(_ready_pods(release, "app.kubernetes.io/component=docker-api")), "the node to be back")


def lose_the_node(release: Release) -> None:
    """Stop the kubelet of a build's node, which is all that the cluster sees of a lost node, until the stream ends."""
    answer, kubelets = Answer(), list[int]()
    lost: list[float] = []
    try:
        for event in release.ask("very-slow-step"):
            answer.events.append(event)
            if "second 2" in event["message"] and not kubelets:
                (pod,) = release.pods()
                node = pod["spec"]["nodeName"]
                kubelets = _kubelet(node)
                for kubelet in kubelets:
                    os.kill(kubelet, signal.SIGSTOP)
                threading.Thread(target=until_not_ready, args=(release, node, lost), daemon=True).start()
        ended = time.monotonic()
    finally:
        for kubelet in kubelets:
            os.kill(kubelet, signal.SIGCONT)
    assert node in answer.failed("BHS503")
    assert ended - lost[0] < 15


def until_not_ready(release: Release, node: str, times: list[float]) -> None:
    """Note when the docker-api pod of the node is first called not ready."""
    while not times:
        for pod in release.pods("app.kubernetes.io/component=docker-api"):
            conditions = {one["type"]: one["status"] for one in pod["status"].get("conditions", [])}
            if pod["spec"]["nodeName"] == node and conditions.get("Ready") != "True":
                times.append(time.monotonic())
        threading.Event().wait(0.5)


def _kubelet(node: str) -> list[int]:
    return [
        int(process.name)
        for process in Path("/proc").glob("[0-9]*")
        if (process / "cmdline").exists()
        and b"kubelet\0" in (process / "cmdline").read_bytes()
        and f"--hostname-override={node}\0".encode() in (process / "cmdline").read_bytes()
        and b"kube-proxy" not in (process / "cmdline").read_bytes()
    ]
