"""Faults of the daemon: lost, or its disk full."""

import pytest
from faults.release import Release

pytestmark = pytest.mark.local

DAEMONS = "app.kubernetes.io/component=docker-api"
VALUES = {
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
