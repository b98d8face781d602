"""Faults of the daemon: lost, out of memory, its disk full."""

import pytest
from contract.service import until
from faults.release import Release, ready_pods

pytestmark = pytest.mark.local

DAEMONS = "app.kubernetes.io/component=docker-api"
VALUES = {
    "dockerApi": {
        "resources": {"limits": {"memory": "800Mi"}},
        "storage": {"emptyDir": {"medium": "Memory", "sizeLimit": "400Mi"}},
    },
    "buildPods": {"startTimeoutSeconds": 90},
}
"""A disk and a memory that can be filled, and harm nobody else on the node; and time for a daemon to start again."""


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


def test_5_a_build_waits_for_a_daemon_that_comes(release: Release) -> None:
    release.delete("pod", f"--selector={DAEMONS}", "--grace-period=1", "--wait=false")
    assert release.answer("one-file").end["phase"] == "ready"


def test_16_the_daemons_disk_is_full(release: Release) -> None:
    nodes = []
    answer = release.answer_while(
        "fills-the-disk", "RUN head", lambda: nodes.append(release.build_pod()["spec"]["nodeName"])
    )
    what = answer.failed("BHS504")
    assert "o space left on device" in what
    assert f"node {nodes[0]} " in what


def test_8_the_daemon_runs_out_of_memory(release: Release) -> None:
    """The last of this file: the daemon that was killed has to start again."""
    nodes = []
    answer = release.answer_while(
        "eats-memory", "RUN for", lambda: nodes.append(release.build_pod()["spec"]["nodeName"])
    )
    assert f"node {nodes[0]} " in answer.failed("BHS502")
    until(lambda: all(ready_pods(release, DAEMONS)), "the daemon to be back")
