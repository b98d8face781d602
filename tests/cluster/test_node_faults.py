"""A node that is lost during a build."""

import contextlib
import threading
import time

import pytest
from support.binderhub import until
from support.host_processes import kubelet, stopped
from support.release import Answer, Release, ready_pods

pytestmark = pytest.mark.local

DAEMONS = "app.kubernetes.io/component=docker-api"
# BinderHub is on the other node, since requests reach it through its node's kubelet.
VALUES = {
    "nodeSelector": {"hub.jupyter.org/node-purpose": "core"},
    "builders": {"nodeSelector": {"hub.jupyter.org/node-purpose": "user"}},
}


def test_6_a_lost_node(release: Release) -> None:
    """The kubelet of the build's node is stopped, which is all that the cluster sees of a lost node."""
    answer, lost = Answer(), list[float]()
    node = ""
    with contextlib.ExitStack() as away:
        for event in release.ask("very-slow-step"):
            answer.events.append(event)
            if "second 2" in event["message"] and not node:
                node = release.build_pod()["spec"]["nodeName"]
                away.enter_context(stopped(kubelet(node)))
                threading.Thread(target=until_not_ready, args=(release, node, lost), daemon=True).start()
        ended = time.monotonic()
    assert node in answer.failed("BHS503")
    assert ended - lost[0] < 15
    until(lambda: all(ready_pods(release, DAEMONS)), "the node to be back")


def until_not_ready(release: Release, node: str, times: list[float]) -> None:
    """Note when the docker-api pod of the node is first called not ready."""
    while not times:
        for pod in release.pods(DAEMONS):
            conditions = {one["type"]: one["status"] for one in pod["status"].get("conditions", [])}
            if pod["spec"]["nodeName"] == node and conditions.get("Ready") != "True":
                times.append(time.monotonic())
        threading.Event().wait(0.5)
