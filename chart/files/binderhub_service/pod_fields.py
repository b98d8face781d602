"""Answers to small questions about objects of the API, as it shows them. Nothing here judges."""

from collections import Counter

from binderhub_service import Json

DAEMON = "docker-api"
"""The daemon's container. The one beside it, which cleans, may come and go."""


def node(pod: Json) -> str:
    """The node's name; empty where there is none yet."""
    return str((pod.get("spec") or {}).get("nodeName") or "")


def ready(pod: Json) -> bool:
    """Whether the pod's Ready condition holds and nobody is taking it away."""
    return has_condition(pod.get("status") or {}, "Ready", "True") and not pod["metadata"].get("deletionTimestamp")


def container_state(pod: Json, name: str) -> Json:
    """A container's state, also of an init container; empty where the kubelet has told none."""
    return _container_status(pod, name).get("state") or {}


def _container_status(pod: Json, name: str) -> Json:
    status = pod.get("status") or {}
    for kind in ("initContainerStatuses", "containerStatuses"):
        for one in status.get(kind) or []:
            if one.get("name") == name:
                found: Json = one
                return found
    return {}


def started(pod: Json, container: str) -> bool:
    """Whether the container runs or has run."""
    state = container_state(pod, container)
    return "running" in state or "terminated" in state


def container_over(pod: Json, container: str) -> bool:
    """Whether the container has ended, or the pod without a word on it."""
    state = container_state(pod, container)
    return "terminated" in state or (not state and over(pod))


def over(pod: Json) -> bool:
    """Whether the pod has ended, well or not."""
    return (pod.get("status") or {}).get("phase") in ("Succeeded", "Failed")


def has_condition(status: Json, kind: str, value: str) -> bool:
    """Whether a condition of that kind has that status."""
    return any(one.get("type") == kind and one.get("status") == value for one in status.get("conditions") or [])


def disruption(status: Json) -> str:
    """Why the cluster takes the pod away; empty where it does not."""
    for condition in status.get("conditions") or []:
        if condition.get("type") == "DisruptionTarget" and condition.get("status") == "True":
            return str(condition.get("message") or condition.get("reason") or "disrupted")
    return ""


def marked_unready_by_node_controller(status: Json) -> bool:
    """Whether the node's controller made it not ready: it gives no reason, and the kubelet always does."""
    return any(
        condition.get("type") == "Ready" and condition.get("status") != "True" and not condition.get("reason")
        for condition in status.get("conditions") or []
    )


def was_oom_killed(daemon: Json) -> bool:
    """Whether the daemon's container was last ended because it took too much memory."""
    status = _container_status(daemon, DAEMON)
    return any(
        ((status.get(key) or {}).get("terminated") or {}).get("reason") == "OOMKilled" for key in ("state", "lastState")
    )


def identity(daemon: Json | None) -> tuple[str, ...]:
    """What changes when the daemon starts anew."""
    if daemon is None:
        return ()
    return (str(daemon["metadata"].get("uid")), str(_container_status(daemon, DAEMON).get("restartCount")))


def is_pull_error(event: Json) -> bool:
    """Whether the event tells that an image could not be pulled."""
    return event.get("reason") == "Failed" and str(event.get("message", "")).startswith("Failed to pull image")


def last_pull_error(events: list[Json]) -> str:
    """The kubelet's own words on why the pull failed: the container's status soon says only that it waits."""
    last = max(filter(is_pull_error, events), key=when, default=None)
    return str(last["message"]) if last else ""


EVENTS_OF_A_POD = 25
"""A kubelet sends so many events of a pod, then one in five minutes: client-go, tools/record/events_cache.go."""


def is_pulling(events: list[Json]) -> bool:
    """Whether an image is being pulled: of that the container's status says nothing once an attempt has failed.

    No, too, where attempts have failed and the kubelet sends no more events: the last that it sent may be of an attempt
    that has failed since.
    """
    if any(map(is_pull_error, events)) and sum(int(event.get("count") or 1) for event in events) >= EVENTS_OF_A_POD:
        return False
    began = max((when(event) for event in events if event.get("reason") == "Pulling"), default="")
    ends = ("Pulled", "Failed", "BackOff")
    return began > max((when(event) for event in events if event.get("reason") in ends), default="")


def failed_pulls(events: list[Json]) -> int:
    """How many attempts to pull the image have failed: the two containers have the same, and are tried one by one."""
    failed: Counter[str] = Counter()
    for event in filter(is_pull_error, events):
        failed[str((event.get("involvedObject") or {}).get("fieldPath"))] += int(event.get("count") or 1)
    return max(failed.values(), default=0)


def when(event: Json) -> str:
    """When the event was last seen, as text that sorts."""
    return str(event.get("lastTimestamp") or event.get("eventTime") or event["metadata"].get("creationTimestamp") or "")
