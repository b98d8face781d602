"""Queries on pods and events, as the Kubernetes API returns them."""

from collections import Counter

from binderhub_service import Json
from binderhub_service.programs import CONTAINERS

DAEMON_CONTAINER = "docker-api"
"""The container of the daemon in a docker-api pod. The cleaner beside it may restart without harm."""
MAX_EVENTS_OF_A_POD = 25
"""A kubelet sends so many events of a pod, then one in five minutes: client-go, tools/record/events_cache.go."""


def node(pod: Json) -> str:
    """Name of the pod's node; empty before the pod is scheduled."""
    return str((pod.get("spec") or {}).get("nodeName") or "")


def is_ready(pod: Json) -> bool:
    """Whether the pod is ready and is not being deleted."""
    return has_condition(pod.get("status") or {}, "Ready", "True") and not pod["metadata"].get("deletionTimestamp")


def has_ended(pod: Json) -> bool:
    """Whether the pod has succeeded or failed, or would have without a container that somebody else added."""
    return (pod.get("status") or {}).get("phase") in ("Succeeded", "Failed") or all_containers_ended(pod)


def has_condition(status: Json, kind: str, value: str) -> bool:
    """Whether the condition `kind` has the status `value`."""
    return any(one.get("type") == kind and one.get("status") == value for one in status.get("conditions") or [])


def container_names(pod: Json) -> list[str]:
    """Names of the containers that builds have in this pod, without those that somebody else added.

    The last version of a deleted pod is kept without its spec.
    """
    statuses = (pod.get("status") or {}).get("containerStatuses") or []
    present = {container.get("name") for container in (pod.get("spec") or {}).get("containers") or statuses}
    return [name for name in CONTAINERS if name in present]


def build_image(pod: Json) -> str:
    """The image of the pod's own containers."""
    containers = (pod.get("spec") or {}).get("containers") or []
    return str(next((one.get("image") for one in containers if one.get("name") in CONTAINERS), ""))


def container_state(pod: Json, name: str) -> Json:
    """State of a container or an init container; empty before the kubelet reports it."""
    return _container_status(pod, name).get("state") or {}


def container_started(pod: Json, container: str) -> bool:
    """Whether the container runs or has run."""
    state = container_state(pod, container)
    return "running" in state or "terminated" in state


def container_ended(pod: Json, container: str) -> bool:
    """Whether the container has ended, or the pod has ended without a state of the container."""
    state = container_state(pod, container)
    return "terminated" in state or (not state and has_ended(pod))


def all_containers_ended(pod: Json) -> bool:
    """Whether all containers that builds have in this pod have ended, whatever else the pod runs."""
    names = container_names(pod)
    return bool(names) and all("terminated" in container_state(pod, name) for name in names)


def _container_status(pod: Json, name: str) -> Json:
    status = pod.get("status") or {}
    for kind in ("initContainerStatuses", "containerStatuses"):
        for one in status.get(kind) or []:
            if one.get("name") == name:
                found: Json = one
                return found
    return {}


def disruption(status: Json) -> str:
    """Why the cluster evicts the pod; empty if it does not."""
    for condition in status.get("conditions") or []:
        if condition.get("type") == "DisruptionTarget" and condition.get("status") == "True":
            return str(condition.get("message") or condition.get("reason") or "disrupted")
    return ""


def marked_unready_by_node_controller(status: Json) -> bool:
    """Whether the node controller set Ready to false. It gives no reason; the kubelet always gives one."""
    return any(
        condition.get("type") == "Ready" and condition.get("status") != "True" and not condition.get("reason")
        for condition in status.get("conditions") or []
    )


def was_oom_killed(daemon: Json) -> bool:
    """Whether the daemon's container last ended because it exceeded its memory limit."""
    status = _container_status(daemon, DAEMON_CONTAINER)
    return any(
        ((status.get(key) or {}).get("terminated") or {}).get("reason") == "OOMKilled" for key in ("state", "lastState")
    )


def daemon_instance(daemon: Json | None) -> tuple[str, ...]:
    """Identifies one run of the daemon: it differs after a restart."""
    if daemon is None:
        return ()
    return (str(daemon["metadata"].get("uid")), str(_container_status(daemon, DAEMON_CONTAINER).get("restartCount")))


def is_pull_error(event: Json) -> bool:
    """Whether the event reports that an image could not be pulled."""
    return event.get("reason") == "Failed" and str(event.get("message", "")).startswith("Failed to pull image")


def last_pull_error(events: list[Json]) -> str:
    """The kubelet's reason why the pull failed. The container's status soon says only that it waits."""
    last = max(filter(is_pull_error, events), key=last_seen, default=None)
    return str(last["message"]) if last else ""


def is_pulling(events: list[Json]) -> bool:
    """Whether the kubelet pulls an image now. After a failed attempt the container's status no longer shows that.

    False if an attempt has failed and the kubelet sends no more events: that attempt may have failed without one.
    """
    if any(map(is_pull_error, events)) and sum(int(event.get("count") or 1) for event in events) >= MAX_EVENTS_OF_A_POD:
        return False
    began = max((last_seen(event) for event in events if event.get("reason") == "Pulling"), default="")
    ends = ("Pulled", "Failed", "BackOff")
    return began > max((last_seen(event) for event in events if event.get("reason") in ends), default="")


def failed_pulls(events: list[Json]) -> int:
    """Number of failed attempts to pull the image. All containers have the same image; each is counted by itself."""
    failed: Counter[str] = Counter()
    for event in filter(is_pull_error, events):
        failed[str((event.get("involvedObject") or {}).get("fieldPath"))] += int(event.get("count") or 1)
    return max(failed.values(), default=0)


def last_seen(event: Json) -> str:
    """When the event was last seen, as text that sorts by time."""
    return str(event.get("lastTimestamp") or event.get("eventTime") or event["metadata"].get("creationTimestamp") or "")
