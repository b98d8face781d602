"""How long is waited for the build image, on a clock of the test's own."""

from typing import Any

import pytest
from binderhub_service.pod_status import PULL_SECONDS, Failed, PodSnapshot, State, Timers, Waiting, pod_state

REFUSED = 'Failed to pull image "i": dial tcp 10.0.0.1:443: connect: no route to host'
MISSING = 'Failed to pull image "i": i: not found'


def event(second: int, reason: str, message: str = "", count: int = 1) -> dict[str, Any]:
    when = f"2026-01-01T00:{second // 60:02}:{second % 60:02}Z"
    return {"reason": reason, "message": message, "count": count, "lastTimestamp": when}


def seen(timers: Timers, now: float, reason: str, *events: dict[str, Any]) -> State:
    """What is made of a pod whose image has not come yet."""
    waiting = {"name": "fetch", "state": {"waiting": {"reason": reason}}}
    pod: dict[str, Any] = {
        "metadata": {"name": "p"},
        "spec": {"nodeName": "node-1", "containers": [{"image": "i"}]},
        "status": {
            "phase": "Pending",
            "conditions": [{"type": "PodScheduled", "status": "True"}],
            "initContainerStatuses": [waiting],
        },
    }
    return pod_state(PodSnapshot(pod, list(events), None, True, now, 10.0), timers)


def test_a_slow_pull_never_fails() -> None:
    timers = Timers()
    for now in (0.0, 100.0, 1000.0):
        state = seen(timers, now, "PodInitializing", event(0, "Pulling"))
        assert isinstance(state, Waiting)
        assert "Pulling the build image" in state.reason


def test_a_pull_in_progress_after_a_failed_attempt_is_waiting() -> None:
    timers = Timers()
    failed = event(1, "Failed", REFUSED)
    assert isinstance(seen(timers, 1.0, "ErrImagePull", event(0, "Pulling"), failed), Waiting)
    for now in (20.0, PULL_SECONDS + 2, 1000.0):
        state = seen(timers, now, "ImagePullBackOff", event(15, "Pulling", count=2), failed, event(2, "BackOff"))
        assert isinstance(state, Waiting)
        assert "again" in state.reason


@pytest.mark.parametrize("ends", [event(135, "Failed", REFUSED, 9), event(135, "BackOff")])
def test_attempts_that_fail_for_two_minutes_are_a_failure(ends: dict[str, Any]) -> None:
    timers = Timers()
    assert isinstance(seen(timers, 0.0, "ErrImagePull", event(1, "Failed", REFUSED)), Waiting)
    assert isinstance(seen(timers, PULL_SECONDS - 1, "ErrImagePull", event(1, "Failed", REFUSED)), Waiting)
    # The last attempt began and failed within a second, as the event's time counts.
    events = event(135, "Pulling", count=9), event(1, "Failed", REFUSED), ends
    state = seen(timers, PULL_SECONDS, "ImagePullBackOff", *events)
    assert isinstance(state, Failed)
    assert state.failure.code == "BHS203"
    assert "no route to host" in state.failure.what


def test_a_failed_attempt_without_an_event_is_a_failure() -> None:
    """The kubelet stops sending events of a pod with many failed attempts; the last may say that one has begun."""
    timers = Timers()
    events = [event(1, "Failed", REFUSED, 8), event(2, "BackOff", count=8), event(40, "Pulling", count=9)]
    assert isinstance(seen(timers, 0.0, "ErrImagePull", events[0]), Waiting)
    state = seen(timers, PULL_SECONDS, "ImagePullBackOff", *events)
    assert isinstance(state, Failed)
    assert state.failure.code == "BHS203"


def test_a_missing_image_fails_when_the_second_attempt_has() -> None:
    timers = Timers()
    first = event(1, "Failed", MISSING)
    assert isinstance(seen(timers, 1.0, "ErrImagePull", event(0, "Pulling"), first), Waiting)
    assert isinstance(seen(timers, 15.0, "ImagePullBackOff", event(14, "Pulling", count=2), first), Waiting)
    again = event(16, "Failed", MISSING, 2)
    state = seen(timers, 16.0, "ErrImagePull", event(14, "Pulling", count=2), again)
    assert isinstance(state, Failed)
    assert state.failure.code == "BHS202"
