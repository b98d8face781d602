"""What is seen of a build's pod at one moment, and what that can mean.

What a build's pod is doing, judged from what the API shows: waiting and for what, running, or ended and why.

Nothing here asks or waits; the caller brings what it saw and when.


What a build's pod waits for before it builds, and how long that may last."""

import re
from dataclasses import dataclass, field

from binderhub_service import Json
from binderhub_service.failures import Failure
from binderhub_service.pod_fields import (
    container_state,
    disruption,
    failed_pulls,
    has_condition,
    is_pulling,
    last_pull_error,
    marked_unready_by_node_controller,
    node,
    ready,
    started,
    when,
)
from binderhub_service.programs import BUILD, CONTAINERS, FETCH


@dataclass(frozen=True)
class Waiting:
    """Nothing to read yet."""

    reason: str
    """For what, as a sentence."""


@dataclass(frozen=True)
class Running:
    """A container runs, or has run: its log can be read."""

    container: str


@dataclass(frozen=True)
class Ended:
    """The pod has ended by itself."""

    container: str
    exit_code: int
    """0 is success; otherwise the log says more."""


@dataclass(frozen=True)
class Failed:
    """The pod will not do what is wanted, or was taken away."""

    failure: Failure


State = Waiting | Running | Ended | Failed


@dataclass
class Timers:
    """Since when what has been so, in seconds of the caller's clock."""

    first: dict[str, float] = field(default_factory=dict)

    def seconds(self, what: str, now: float) -> float:
        """For how long `what` has been so, now that it is."""
        return now - self.first.setdefault(what, now)

    def over(self, what: str) -> None:
        """`what` is so no longer."""
        self.first.pop(what, None)


@dataclass(frozen=True)
class PodSnapshot:
    """What is seen at one moment."""

    pod: Json
    events: list[Json]
    daemon: Json | None
    """The daemon's pod on the build's node."""
    has_daemons: bool
    now: float
    start_seconds: float
    build_has_spoken: bool = False
    """Whether the builder has printed anything: then it has its daemon."""
    silent_for: float = float("inf")
    """Seconds since a line of the log last came from the node."""


_SOURCE_LIMIT = re.compile(r'Usage of EmptyDir volume "source" exceeds the limit')
"""The kubelet's words: pkg/kubelet/eviction/helpers.go."""
NODE_SECONDS = 10.0
"""How long a build's daemon must be called not ready, and nothing come from the node, until it counts as lost.

When the API server was away for longer than nodes may be silent, all of them are called lost when it is back, until the
kubelets say otherwise: within 10 s.
"""


def pod_state(snapshot: PodSnapshot, memory: Timers) -> State:
    """The state of a pod that exists."""
    pod, status = snapshot.pod, snapshot.pod.get("status") or {}
    phase = status.get("phase", "Pending")
    if phase == "Succeeded":
        return Ended(BUILD, 0)
    if phase == "Failed":
        return _ended(pod, status)
    if pod["metadata"].get("deletionTimestamp"):
        return Failed(_taken_away(pod, status))
    if container_state(pod, FETCH).get("terminated", {}).get("exitCode"):
        return _ended(pod, status)  # whatever the builder does meanwhile
    if not has_condition(status, "PodScheduled", "True"):
        return unscheduled(snapshot, memory, status)
    if _node_lost(snapshot, memory):
        return Failed(Failure("BHS503", {"node": node(pod)}))
    return on_node(snapshot, memory, status)


def deleted_pod_state(last: Json) -> State:
    """The state of a pod that is gone, from what was last seen of it."""
    status = last.get("status") or {}
    if status.get("phase") in ("Succeeded", "Failed"):
        return _ended(last, status) if status["phase"] == "Failed" else Ended(BUILD, 0)
    return Failed(_taken_away(last, status))


def _ended(pod: Json, status: Json) -> State:
    reason, message = str(status.get("reason") or ""), str(status.get("message") or "")
    if reason == "DeadlineExceeded":
        return Failed(Failure("BHS704", {"seconds": pod["spec"].get("activeDeadlineSeconds")}))
    if reason == "Evicted" and _SOURCE_LIMIT.search(message):
        return Failed(Failure("BHS109", {"repo": _repository(pod), "detail": "its folder exceeded the volume's limit"}))
    if reason in ("Evicted", "Preempting", "NodeShutdown", "Terminated") or disruption(status):
        return Failed(Failure("BHS702", {"node": node(pod), "detail": message or disruption(status) or reason}))
    for container in CONTAINERS:
        told = container_state(pod, container).get("terminated")
        if told and (told.get("exitCode") or told.get("reason") == "OOMKilled"):
            if told.get("reason") == "OOMKilled":
                return Failed(Failure("BHS701"))
            if told.get("reason") in ("StartError", "ContainerCannotRun"):
                return Failed(cannot_run(pod, str(told.get("message") or told["reason"])))
            return Ended(container, int(told["exitCode"]))
    detail = " ".join(part for part in (reason, message) if part) or "its containers report nothing"
    return Failed(Failure("BHS705", {"detail": detail}))


def _repository(pod: Json) -> str:
    return str((pod["metadata"].get("annotations") or {}).get("binder-repo", ""))


def _taken_away(pod: Json, status: Json) -> Failure:
    why = disruption(status)
    return Failure("BHS702", {"node": node(pod), "detail": why}) if why else Failure("BHS703")


def _node_lost(snapshot: PodSnapshot, memory: Timers) -> bool:
    runs = {name for name in CONTAINERS if "running" in container_state(snapshot.pod, name)}
    # A pod with a container that has ended is not ready anyway: of one that builds, only its daemon can tell.
    shown = snapshot.daemon if snapshot.has_daemons else snapshot.pod
    if not (runs and shown and marked_unready_by_node_controller(shown.get("status") or {})):
        memory.over("node")
        return False
    return min(memory.seconds("node", snapshot.now), snapshot.silent_for) >= NODE_SECONDS


PULL_SECONDS = 120.0
"""How long errors of a pull that may heal are borne."""
PULL_TWICE_SECONDS = 40.0
"""A second attempt has been made by then, also where no event says so: the kubelet waits 10 s after the first."""
MISSING_SECONDS = 30.0
"""How long something that is mounted may be missing; a Secret can be a moment late."""

_NOT_THERE = re.compile(
    r"not ?found|manifest unknown|unauthori[sz]ed|denied|forbidden|authentication required"
    r"|no basic auth|insufficient_scope|(?:status|code):? 40[134]",
    re.IGNORECASE,
)
_PULL_ERRORS = ("ErrImagePull", "ImagePullBackOff", "ErrImageNeverPull", "RegistryUnavailable", "ImageInspectError")


def unscheduled(snapshot: PodSnapshot, memory: Timers, status: Json) -> State:
    """No node has been found for the pod yet."""
    message = "the scheduler has not looked at it yet"
    for condition in status.get("conditions") or []:
        if condition.get("type") == "PodScheduled" and condition.get("message"):
            message = str(condition["message"])
    waited = memory.seconds("start", snapshot.now)
    if waited >= snapshot.start_seconds:
        return Failed(Failure("BHS301", {"seconds": int(waited), "detail": message}))
    return Waiting(f"Waiting for a node that takes the build pod: {message}")


def on_node(snapshot: PodSnapshot, memory: Timers, status: Json) -> State:
    """The pod has a node, and has not ended."""
    pod = snapshot.pod
    for kind in ("initContainerStatuses", "containerStatuses"):
        for one in status.get(kind) or []:
            waiting = (one.get("state") or {}).get("waiting") or {}
            broken = _held_up(snapshot, memory, str(waiting.get("reason") or ""), str(waiting.get("message") or ""))
            if broken:
                return broken
    if started(pod, BUILD) and container_state(pod, FETCH).keys() <= {"terminated"}:
        memory.over("pull")
        return _with_daemon(snapshot, memory)
    if started(pod, FETCH):
        memory.over("pull")
        memory.over("start")
        memory.over("missing")
        return Running(FETCH)
    return _creating(snapshot, memory)


def _held_up(snapshot: PodSnapshot, memory: Timers, reason: str, message: str) -> State | None:
    """What a container's reason for waiting means, if it is one that hinders."""
    image = {"image": snapshot.pod["spec"]["containers"][0]["image"]}
    detail = message or reason
    if reason == "InvalidImageName":
        return Failed(Failure("BHS201", {**image, "detail": detail}))
    if reason in _PULL_ERRORS:
        seconds = memory.seconds("pull", snapshot.now)
        told = last_pull_error(snapshot.events) or detail
        if reason == "ErrImageNeverPull":
            return Failed(Failure("BHS202", {**image, "detail": detail}))
        if is_pulling(snapshot.events):
            return Waiting(f"The build image is being pulled once more on node {node(snapshot.pod)}: {told}")
        if _NOT_THERE.search(told) and (failed_pulls(snapshot.events) >= 2 or seconds >= PULL_TWICE_SECONDS):
            return Failed(Failure("BHS202", {**image, "detail": told}))
        if seconds >= PULL_SECONDS:
            return Failed(Failure("BHS203", {**image, "seconds": int(seconds), "detail": told}))
        return Waiting(f"The build image cannot be pulled yet, trying again: {told}")
    if reason in ("CreateContainerConfigError", "CreateContainerError"):
        seconds = memory.seconds("missing", snapshot.now)
        if seconds >= MISSING_SECONDS:
            return Failed(Failure("BHS401", {"detail": detail}))
        return Waiting(f"The build pod's container cannot be made yet: {detail}")
    if reason == "RunContainerError":
        return Failed(cannot_run(snapshot.pod, detail))
    return None


def _creating(snapshot: PodSnapshot, memory: Timers) -> State:
    """Scheduled, and no container has started: volumes are mounted, images pulled."""
    pod = snapshot.pod
    last = max(snapshot.events, key=when, default=None)
    if last and last.get("reason") in ("FailedMount", "FailedAttachVolume"):
        message = str(last.get("message"))
        if "hostPath type check failed" in message:  # no daemon has made its socket yet
            return _no_daemon(snapshot, memory, message)
        if memory.seconds("missing", snapshot.now) >= MISSING_SECONDS:
            return Failed(Failure("BHS401", {"detail": message}))
        return Waiting(f"Waiting for what the build pod mounts: {message}")
    if is_pulling(snapshot.events):
        memory.over("start")
        return Waiting(f"The build image is being pulled on node {node(pod)}.")
    waited = memory.seconds("start", snapshot.now)
    detail = str(last.get("message")) if last else f"node {node(pod)} has not begun"
    if waited >= snapshot.start_seconds:
        return Failed(Failure("BHS303", {"seconds": int(waited), "detail": detail}))
    return Waiting(f"The build pod starts on node {node(pod)}.")


def _with_daemon(snapshot: PodSnapshot, memory: Timers) -> State:
    """The builder runs; before its first word it may still wait for its daemon."""
    if snapshot.build_has_spoken or not snapshot.has_daemons or (snapshot.daemon and ready(snapshot.daemon)):
        memory.over("start")
        return Running(BUILD)
    where = f"the docker-api pod on node {node(snapshot.pod)} is not ready"
    if snapshot.daemon is None:
        where = f"there is no docker-api pod on node {node(snapshot.pod)}"
    return _no_daemon(snapshot, memory, where)


def _no_daemon(snapshot: PodSnapshot, memory: Timers, detail: str) -> State:
    waited = memory.seconds("start", snapshot.now)
    if waited >= snapshot.start_seconds:
        return Failed(Failure("BHS302", {"seconds": int(waited), "detail": detail}))
    return Waiting(f"Waiting for the daemon: {detail}.")


def cannot_run(pod: Json, detail: str) -> Failure:
    """The build image is there, and its command cannot be started."""
    return Failure("BHS204", {"image": pod["spec"]["containers"][0]["image"], "detail": detail})
