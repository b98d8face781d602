"""When a node counts as lost, on a clock of the test's own."""

import dataclasses
from typing import Any

from bhs_sight import Broken, Memory, Running, Sight
from bhs_state import NODE_SECONDS, judge


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
SEEN = Sight(pod(LOST, **RUNS), [], pod(LOST), True, 100.0, 900.0, build_has_spoken=True)


def later(seconds: float, **changes: Any) -> Sight:
    return dataclasses.replace(SEEN, now=SEEN.now + seconds, **changes)


def test_a_node_is_lost_when_pod_and_daemon_have_been_called_so_for_a_while() -> None:
    memory = Memory()
    assert isinstance(judge(SEEN, memory), Running)
    assert isinstance(judge(later(NODE_SECONDS - 1), memory), Running)
    state = judge(later(NODE_SECONDS), memory)
    assert isinstance(state, Broken)
    assert state.failure.code == "BHS503"


def test_a_node_that_sends_lines_is_there_whatever_it_is_called() -> None:
    memory = Memory()
    for second in range(60):
        assert isinstance(judge(later(second, silent_for=1.0), memory), Running)
    assert isinstance(judge(later(100.0, silent_for=NODE_SECONDS), memory), Broken)


def test_the_kubelets_word_takes_it_back() -> None:
    memory = Memory()
    for second in range(0, 100, 8):
        assert isinstance(judge(later(second), memory), Running)
        assert isinstance(judge(later(second + 4, daemon=pod({"status": "True"})), memory), Running)
