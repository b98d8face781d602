"""When a node counts as lost, on a clock of the test's own."""

import dataclasses
from typing import Any

from binderhub_service.pod_status import NODE_LOST_SECONDS, Failed, PodSnapshot, Running, Timers, pod_state


def pod(ready: dict[str, str], **more: Any) -> dict[str, Any]:
    """A pod that runs. A kubelet gives a reason for what is not ready; the controller of nodes, as here, gives none."""
    conditions = [{"type": "PodScheduled", "status": "True"}, {"type": "Ready", **ready}]
    return {
        "metadata": {"name": "p"},
        "spec": {"nodeName": "node-1", "containers": [{"image": "i"}]},
        "status": {"phase": "Running", "conditions": conditions, **more},
    }


RUNS = {"containerStatuses": [{"name": "builder", "state": {"running": {}}}]}
LOST = {"status": "False"}
SEEN = PodSnapshot(pod(LOST, **RUNS), [], pod(LOST), True, 100.0, 900.0, builder_has_logged=True)


def later(seconds: float, **changes: Any) -> PodSnapshot:
    return dataclasses.replace(SEEN, now=SEEN.now + seconds, **changes)


def test_a_node_is_lost_after_pod_and_daemon_were_unready_for_a_while() -> None:
    timers = Timers()
    assert isinstance(pod_state(SEEN, timers), Running)
    assert isinstance(pod_state(later(NODE_LOST_SECONDS - 1), timers), Running)
    state = pod_state(later(NODE_LOST_SECONDS), timers)
    assert isinstance(state, Failed)
    assert state.failure.code == "BHS503"


def test_a_node_that_sends_lines_is_not_lost() -> None:
    timers = Timers()
    for second in range(60):
        assert isinstance(pod_state(later(second, silent_for=1.0), timers), Running)
    assert isinstance(pod_state(later(100.0, silent_for=NODE_LOST_SECONDS), timers), Failed)


def test_a_report_of_the_kubelet_ends_the_suspicion() -> None:
    timers = Timers()
    for second in range(0, 100, 8):
        assert isinstance(pod_state(later(second), timers), Running)
        assert isinstance(pod_state(later(second + 4, daemon=pod({"status": "True"})), timers), Running)
