"""Faults of the daemon: lost, its disk full, or its memory."""

import contextlib
import json
import time
from pathlib import Path

import pytest
from local_cluster.layout import GATEWAY
from support.binderhub import until
from support.git_servers import serving
from support.host_processes import daemons, end_first, stopped
from support.release import WAY_TO_THIS_MACHINE, Release, ready_pods, values

pytestmark = pytest.mark.local

DAEMONS = "app.kubernetes.io/component=docker-api"
VALUES = {
    **WAY_TO_THIS_MACHINE,
    "dockerApi": {"storage": {"emptyDir": {"medium": "Memory", "sizeLimit": "400Mi"}}},
    "buildPods": {"startTimeoutSeconds": 90},
}
"""A disk that can be filled and harms nobody else on the node; and time for a daemon to start again."""


def test_5_a_daemon_that_is_deleted_during_the_build(release: Release) -> None:
    nodes = []

    def delete() -> None:
        nodes.append(release.build_pod()["spec"]["nodeName"])
        for daemon in release.pods(DAEMONS):
            if daemon["spec"]["nodeName"] == nodes[0]:
                release.delete("pod", daemon["metadata"]["name"], "--grace-period=1", "--wait=false")

    answer = release.answer_while("slow-step", "second 1", delete)
    assert nodes[0] in answer.failed("BHS501")
    assert answer.seconds < 15


IMPATIENT = {"buildPods": {"silenceTimeoutSeconds": 20}}


def test_a_daemon_that_stops_answering_ends_the_build(shared: Release) -> None:
    with values(shared, IMPATIENT) as release, contextlib.ExitStack() as stack:
        stopped_at = []

        def stop() -> None:
            stack.enter_context(stopped(daemons(socket(release))))
            stopped_at.append(time.monotonic())

        said_after = 0.0
        events = []
        for event in release.ask("very-slow-step"):
            events.append(event)
            if "second 1" in event["message"] and not stopped_at:
                stop()
            if "has not answered for" in event["message"] and not said_after:
                said_after = time.monotonic() - stopped_at[0]
                assert event["phase"] == "waiting"
        assert 0 < said_after < 15
        assert events[-1]["code"] == "BHS505", events[-1]
        assert time.monotonic() - stopped_at[0] < 45
        stack.close()
        until(lambda: all(ready_pods(release, DAEMONS)), "the daemons to answer")


def test_5_a_build_waits_for_a_daemon_that_comes(release: Release) -> None:
    nowhere(release, "yes")
    until(lambda: not release.pods(DAEMONS), "the daemons to be gone")
    answer = release.answer_while("one-file", "Waiting for the daemon: ", lambda: nowhere(release, None))
    assert answer.end["phase"] == "ready"


def nowhere(release: Release, label: str | None) -> None:
    """Have the daemons want a label that no node has, or no longer."""
    change = {"spec": {"template": {"spec": {"nodeSelector": {"nowhere": label}}}}}
    patch = ["patch", f"--namespace={release.namespace}", "daemonset", "docker-api", f"--patch={json.dumps(change)}"]
    release.target.run(release.target.kubectl, *patch)


def test_16_a_step_that_finds_a_disk_full_has_failed(release: Release) -> None:
    """Its own words are no evidence: it may have filled any disk, or none."""
    answer = release.answer("fills-the-disk")
    assert "RUN head" in answer.failed("BHS101")
    assert "o space left on device" in answer.text("building")


def test_16_the_daemons_disk_is_full(release: Release, tmp_path: Path) -> None:
    """BuildKit itself says so: it copies the repository to that disk."""
    nodes = []
    with serving(tmp_path / "git", GATEWAY, login=None) as git:
        dockerfile = "FROM docker.io/library/debian:trixie-slim\nCOPY large /\n"
        git.repository("large.git", dockerfile=dockerfile, files={"large": bytes(500_000_000)})
        answer = release.answer_while(
            f"http://{git.host}/large.git",
            "load build context",
            lambda: nodes.append(release.build_pod()["spec"]["nodeName"]),
        )
    what = answer.failed("BHS504")
    assert "no space left on device" in what
    assert f"node {nodes[0]} " in what


BOUNDED = {"cpu": "1", "memory": "700Mi"}
MEMORY = {"dockerApi": {"resources": {"limits": BOUNDED, "requests": BOUNDED}}}
"""Guaranteed: to the kernel all processes of such a pod matter alike, until the test says otherwise."""


def test_8_the_daemon_runs_out_of_memory(shared: Release) -> None:
    """The step asks for memory again and again; of the processes that have it, the daemon is made the first to go."""
    nodes = []
    with values(shared, MEMORY) as release:

        def end() -> None:
            nodes.append(release.build_pod()["spec"]["nodeName"])
            end_first(daemons(socket(release)))

        answer = release.answer_while("eats-memory", "memory: wanted", end)
        assert f"node {nodes[0]} " in answer.failed("BHS502")
        until(lambda: all(ready_pods(release, DAEMONS)), "the daemon to be back")


def socket(release: Release) -> str:
    """Where the daemons of the release listen, on their nodes."""
    (volume,) = [volume for volume in release.build_pod()["spec"]["volumes"] if volume["name"] == "docker-api"]
    return f"{volume['hostPath']['path']}/docker-api.sock"
