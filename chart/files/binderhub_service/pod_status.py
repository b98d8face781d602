"""What the pod of a build does: it waits for something, runs, has ended, or has failed and why.

Nothing here makes a request or waits. The caller brings a snapshot, and timers that last as long as the pod.
"""

import re
from dataclasses import dataclass, field

from binderhub_service import Json
from binderhub_service.failures import Failure
from binderhub_service.pod_fields import (
    all_containers_ended,
    build_image,
    container_names,
    container_started,
    container_state,
    disruption,
    failed_pulls,
    has_condition,
    is_pulling,
    is_ready,
    last_pull_error,
    last_seen,
    marked_unready_by_node_controller,
    node,
)
from binderhub_service.programs import BUILD, CONTAINERS, FETCH

NODE_LOST_SECONDS = 10.0
"""A node counts as lost when its pods have been unready, and their logs silent, for so long.

After an outage of the API server that is longer than a node may be silent, the node controller marks all pods unready,
until the kubelets report again: within 10 s.
"""
PULL_SECONDS = 120.0
"""How long a pull may fail for reasons that can pass."""
SECOND_PULL_SECONDS = 40.0
"""The kubelet has made a second attempt by then, even if no event shows it: it waits 10 s after the first."""
MISSING_SECONDS = 30.0
"""How long something that the pod mounts may be missing. A Secret can be created a moment after the pod."""

# The kubelet's messages: pkg/kubelet/eviction/eviction_manager.go.
_SOURCE_LIMIT = re.compile(r'Usage of EmptyDir volume "source" exceeds the limit')
_DISK_LIMIT = re.compile(
    rf"Container {FETCH} exceeded its local ephemeral storage limit"
    r"|ephemeral local storage usage exceeds the total limit of containers"
)
_NOT_FOUND = re.compile(
    r"not ?found|manifest unknown|unauthori[sz]ed|denied|forbidden|authentication required"
    r"|no basic auth|insufficient_scope|(?:status|code):? 40[134]",
    re.IGNORECASE,
)
_PULL_ERRORS = ("ErrImagePull", "ImagePullBackOff", "ErrImageNeverPull", "RegistryUnavailable", "ImageInspectError")


@dataclass(frozen=True)
class Waiting:
    """No container has a log yet."""

    reason: str
    """What the pod waits for, as a sentence."""


@dataclass(frozen=True)
class Running:
    """A container runs or has run, so its log can be read."""

    container: str


@dataclass(frozen=True)
class Ended:
    """The pod has ended by itself."""

    container: str
    exit_code: int
    """0 is success. For any other code, the container's log says more."""


@dataclass(frozen=True)
class Failed:
    """The pod cannot do its work, or was deleted."""

    failure: Failure


State = Waiting | Running | Ended | Failed


@dataclass
class Timers:
    """How long each condition of one pod has lasted, in seconds of the caller's clock."""

    _started: dict[str, float] = field(default_factory=dict)

    def run(self, condition: str, now: float) -> float:
        """Start the timer of a condition unless it runs, and return how long it has run."""
        return now - self._started.setdefault(condition, now)

    def stop(self, condition: str) -> None:
        """Stop the timer of a condition that no longer holds."""
        self._started.pop(condition, None)


@dataclass(frozen=True)
class PodSnapshot:
    """The pod and its surroundings at one moment."""

    pod: Json
    events: list[Json]
    daemon: Json | None
    """The docker-api pod on the same node."""
    uses_docker_api_pods: bool
    now: float
    start_seconds: float
    """How long the pod may wait for a node, or for its daemon."""
    builder_has_logged: bool = False
    """Whether `builder` has printed anything, which it does only when the daemon answers."""
    silent_for: float = float("inf")
    """Seconds since the last line of a log."""


def pod_state(snapshot: PodSnapshot, timers: Timers) -> State:
    """State of a pod that exists."""
    pod, status = snapshot.pod, snapshot.pod.get("status") or {}
    phase = status.get("phase", "Pending")
    if phase == "Succeeded":
        return Ended(BUILD, 0)
    if phase == "Failed":
        return _ended(pod, status)
    if pod["metadata"].get("deletionTimestamp"):
        return Failed(_evicted_or_deleted(pod, status))
    # The pod need not have ended: the other containers wait for a failed one in vain, and a policy of the cluster may
    # have added a container that never ends.
    if any(container_state(pod, name).get("terminated", {}).get("exitCode") for name in container_names(pod)):
        return _ended(pod, status)
    if all_containers_ended(pod):
        return Ended(BUILD, 0)
    if not has_condition(status, "PodScheduled", "True"):
        return _unscheduled(snapshot, timers)
    if _node_is_lost(snapshot, timers):
        return Failed(Failure("BHS503", {"node": node(pod)}))
    return _scheduled(snapshot, timers)


def deleted_pod_state(last: Json) -> State:
    """State of a pod that no longer exists, from `last`, the last version of it."""
    status = last.get("status") or {}
    if status.get("phase") in ("Succeeded", "Failed"):
        return _ended(last, status) if status["phase"] == "Failed" else Ended(BUILD, 0)
    return Failed(_evicted_or_deleted(last, status))


def _ended(pod: Json, status: Json) -> State:
    reason, message = str(status.get("reason") or ""), str(status.get("message") or "")
    if reason == "DeadlineExceeded":
        return Failed(Failure("BHS704", {"seconds": pod["spec"].get("activeDeadlineSeconds")}))
    if reason == "Evicted" and (_DISK_LIMIT.search(message) or _SOURCE_LIMIT.search(message)):
        repo = str((pod["metadata"].get("annotations") or {}).get("binder-repo", ""))
        return Failed(Failure("BHS109", {"repo": repo, "detail": message.rstrip(". ")}))
    if reason in ("Evicted", "Preempting", "NodeShutdown", "Terminated") or disruption(status):
        return Failed(Failure("BHS702", {"node": node(pod), "detail": message or disruption(status) or reason}))
    for container in CONTAINERS:
        terminated = container_state(pod, container).get("terminated")
        if terminated and (terminated.get("exitCode") or terminated.get("reason") == "OOMKilled"):
            if terminated.get("reason") == "OOMKilled":
                return Failed(Failure("BHS701"))
            if terminated.get("reason") in ("StartError", "ContainerCannotRun"):
                return Failed(_cannot_run(pod, str(terminated.get("message") or terminated["reason"])))
            return Ended(container, int(terminated["exitCode"]))
    if all_containers_ended(pod):  # a container that somebody else added has failed
        return Ended(BUILD, 0)
    detail = " ".join(part for part in (reason, message) if part) or "its containers report nothing"
    return Failed(Failure("BHS705", {"detail": detail}))


def _evicted_or_deleted(pod: Json, status: Json) -> Failure:
    reason = disruption(status)
    return Failure("BHS702", {"node": node(pod), "detail": reason}) if reason else Failure("BHS703")


def _cannot_run(pod: Json, detail: str) -> Failure:
    return Failure("BHS204", {"image": build_image(pod), "detail": detail})


def _node_is_lost(snapshot: PodSnapshot, timers: Timers) -> bool:
    running = any("running" in container_state(snapshot.pod, name) for name in CONTAINERS)
    # A pod with an ended container is never ready. While the builder runs, only the daemon's pod shows a lost node.
    shown = snapshot.daemon if snapshot.uses_docker_api_pods else snapshot.pod
    if not (running and shown and marked_unready_by_node_controller(shown.get("status") or {})):
        timers.stop("node")
        return False
    return min(timers.run("node", snapshot.now), snapshot.silent_for) >= NODE_LOST_SECONDS


def _unscheduled(snapshot: PodSnapshot, timers: Timers) -> State:
    message = "the scheduler has not considered it yet"
    for condition in (snapshot.pod.get("status") or {}).get("conditions") or []:
        if condition.get("type") == "PodScheduled" and condition.get("message"):
            message = str(condition["message"])
    waited = timers.run("start", snapshot.now)
    if waited >= snapshot.start_seconds:
        return Failed(Failure("BHS301", {"seconds": int(waited), "detail": message}))
    return Waiting(f"Waiting for a node that takes the build pod: {message}")


def _scheduled(snapshot: PodSnapshot, timers: Timers) -> State:
    """The pod has a node, and has not ended."""
    pod = snapshot.pod
    for kind in ("initContainerStatuses", "containerStatuses"):
        for one in (pod.get("status") or {}).get(kind) or []:
            if kind == "containerStatuses" and one.get("name") not in CONTAINERS:
                continue  # the build does not need a container that somebody else added
            waiting = (one.get("state") or {}).get("waiting") or {}
            reason, message = str(waiting.get("reason") or ""), str(waiting.get("message") or "")
            state = _pull_state(snapshot, timers, one, reason, message) or _create_state(
                snapshot, timers, reason, message
            )
            if state:
                return state
    if container_started(pod, BUILD) and container_state(pod, FETCH).keys() <= {"terminated"}:
        timers.stop("pull")
        return _builder_started(snapshot, timers)
    if container_started(pod, FETCH):
        for condition in ("pull", "start", "missing"):
            timers.stop(condition)
        return Running(FETCH)
    return _starting(snapshot, timers)


def _pull_state(snapshot: PodSnapshot, timers: Timers, container: Json, reason: str, message: str) -> State | None:
    """State of a pod with a container that waits for `reason`; None unless that is about its image."""
    image = {"image": container.get("image") or build_image(snapshot.pod)}
    if reason == "InvalidImageName":
        return Failed(Failure("BHS201", {**image, "detail": message or reason}))
    if reason == "ErrImageNeverPull":
        return Failed(Failure("BHS202", {**image, "detail": message or reason}))
    if reason not in _PULL_ERRORS:
        return None
    seconds = timers.run("pull", snapshot.now)
    error = last_pull_error(snapshot.events) or message or reason
    if is_pulling(snapshot.events):
        return Waiting(f"Pulling the build image again on node {node(snapshot.pod)}: {error}")
    if _NOT_FOUND.search(error) and (failed_pulls(snapshot.events) >= 2 or seconds >= SECOND_PULL_SECONDS):
        return Failed(Failure("BHS202", {**image, "detail": error}))
    if seconds >= PULL_SECONDS:
        return Failed(Failure("BHS203", {**image, "seconds": int(seconds), "detail": error}))
    return Waiting(f"The build image cannot be pulled yet, trying again: {error}")


def _create_state(snapshot: PodSnapshot, timers: Timers, reason: str, message: str) -> State | None:
    """State of a pod with a container that waits for `reason`; None unless the container cannot be created."""
    detail = message or reason
    if reason in ("CreateContainerConfigError", "CreateContainerError"):
        if timers.run("missing", snapshot.now) >= MISSING_SECONDS:
            return Failed(Failure("BHS401", {"detail": detail}))
        return Waiting(f"The build pod's container cannot be created yet: {detail}")
    if reason == "RunContainerError":
        return Failed(_cannot_run(snapshot.pod, detail))
    return None


def _starting(snapshot: PodSnapshot, timers: Timers) -> State:
    """The pod has a node, which mounts volumes and pulls images; no container has started."""
    pod = snapshot.pod
    last = max(snapshot.events, key=last_seen, default=None)
    if last and last.get("reason") in ("FailedMount", "FailedAttachVolume"):
        message = str(last.get("message"))
        if "hostPath type check failed" in message:  # the daemon has not created its socket yet
            return _waiting_for_daemon(snapshot, timers, message)
        if timers.run("missing", snapshot.now) >= MISSING_SECONDS:
            return Failed(Failure("BHS401", {"detail": message}))
        return Waiting(f"Waiting for a volume of the build pod: {message}")
    if is_pulling(snapshot.events):
        timers.stop("start")
        return Waiting(f"Pulling the build image on node {node(pod)}.")
    waited = timers.run("start", snapshot.now)
    detail = str(last.get("message")) if last else f"node {node(pod)} has not begun"
    if waited >= snapshot.start_seconds:
        return Failed(Failure("BHS303", {"seconds": int(waited), "detail": detail}))
    return Waiting(f"Starting the build pod on node {node(pod)}.")


def _builder_started(snapshot: PodSnapshot, timers: Timers) -> State:
    """`builder` runs. Until it logs something, it may wait for its daemon."""
    if snapshot.builder_has_logged or not snapshot.uses_docker_api_pods:
        ready = True
    else:
        ready = bool(snapshot.daemon and is_ready(snapshot.daemon))
    if ready:
        timers.stop("start")
        return Running(BUILD)
    if snapshot.daemon is None:
        return _waiting_for_daemon(snapshot, timers, f"there is no docker-api pod on node {node(snapshot.pod)}")
    return _waiting_for_daemon(snapshot, timers, f"the docker-api pod on node {node(snapshot.pod)} is not ready")


def _waiting_for_daemon(snapshot: PodSnapshot, timers: Timers, detail: str) -> State:
    waited = timers.run("start", snapshot.now)
    if waited >= snapshot.start_seconds:
        return Failed(Failure("BHS302", {"seconds": int(waited), "detail": detail}))
    return Waiting(f"Waiting for the daemon: {detail}.")
