"""What a build's pod is doing, judged from what the API shows: waiting and for what, running, or ended and why.

Nothing here asks or waits; the caller brings what it saw and when.
"""

import re
from dataclasses import dataclass, field
from typing import Any

from bhs_faults import Failure
from bhs_pod import BUILD, FETCH

Json = dict[str, Any]

PULL_SECONDS = 120.0
"""How long errors of a pull that may heal are borne."""
PULL_TWICE_SECONDS = 40.0
"""A second attempt has been made by then, also where no event says so: the kubelet waits 10 s after the first."""
MISSING_SECONDS = 30.0
"""How long something that is mounted may be missing; a Secret can be a moment late."""
NODE_SECONDS = 5.0
"""How long pod and daemon must both be called not ready until the node counts as lost."""

_NOT_THERE = re.compile(
    r"not ?found|manifest unknown|unauthori[sz]ed|denied|forbidden|authentication required"
    r"|no basic auth|insufficient_scope|(?:status|code):? 40[134]",
    re.IGNORECASE,
)
_PULL_ERRORS = ("ErrImagePull", "ImagePullBackOff", "ErrImageNeverPull", "RegistryUnavailable", "ImageInspectError")


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
class Broken:
    """The pod will not do what is wanted, or was taken away."""

    failure: Failure


State = Waiting | Running | Ended | Broken


@dataclass
class Memory:
    """Since when what has been so, in seconds of the caller's clock."""

    first: dict[str, float] = field(default_factory=dict)

    def seconds(self, what: str, now: float) -> float:
        """For how long `what` has been so, now that it is."""
        return now - self.first.setdefault(what, now)

    def over(self, what: str) -> None:
        """`what` is so no longer."""
        self.first.pop(what, None)


@dataclass(frozen=True)
class Sight:
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


def judge(sight: Sight, memory: Memory) -> State:
    """The state of a pod that exists."""
    pod, status = sight.pod, sight.pod.get("status") or {}
    phase = status.get("phase", "Pending")
    if phase == "Succeeded":
        return Ended(BUILD, 0)
    if phase == "Failed":
        return _ended(pod, status)
    if pod["metadata"].get("deletionTimestamp"):
        return Broken(_taken_away(pod, status))
    if not _condition(status, "PodScheduled", "True"):
        return _unscheduled(sight, memory, status)
    if _node_lost(sight, memory, status):
        return Broken(Failure("BHS503", {"node": node(pod)}))
    return _on_node(sight, memory, status)


def deleted(last: Json) -> State:
    """The state of a pod that is gone, from what was last seen of it."""
    status = last.get("status") or {}
    if status.get("phase") in ("Succeeded", "Failed"):
        return _ended(last, status) if status["phase"] == "Failed" else Ended(BUILD, 0)
    return Broken(_taken_away(last, status))


def node(pod: Json) -> str:
    """The node's name; empty where there is none yet."""
    return str((pod.get("spec") or {}).get("nodeName") or "")


def ready(pod: Json) -> bool:
    """Whether the pod's Ready condition holds and nobody is taking it away."""
    return _condition(pod.get("status") or {}, "Ready", "True") and not pod["metadata"].get("deletionTimestamp")


def started(pod: Json, container: str) -> bool:
    """Whether the container runs or has run."""
    state = (_container(pod, container).get("state")) or {}
    return "running" in state or "terminated" in state


def killed_for_memory(daemon: Json) -> bool:
    """Whether the daemon's container was last ended because it took too much memory."""
    for one in (daemon.get("status") or {}).get("containerStatuses") or []:
        for key in ("state", "lastState"):
            if ((one.get(key) or {}).get("terminated") or {}).get("reason") == "OOMKilled":
                return True
    return False


def identity(daemon: Json | None) -> tuple[str, ...]:
    """What changes when the daemon starts anew."""
    if daemon is None:
        return ()
    statuses = (daemon.get("status") or {}).get("containerStatuses") or []
    return (str(daemon["metadata"].get("uid")), *(str(one.get("restartCount")) for one in statuses))


def _ended(pod: Json, status: Json) -> State:
    reason, message = str(status.get("reason") or ""), str(status.get("message") or "")
    if reason == "DeadlineExceeded":
        return Broken(Failure("BHS704", {"seconds": pod["spec"].get("activeDeadlineSeconds")}))
    if reason in ("Evicted", "Preempting", "NodeShutdown", "Terminated") or _disruption(status):
        return Broken(Failure("BHS702", {"node": node(pod), "detail": message or _disruption(status) or reason}))
    for container in (FETCH, BUILD):
        told = ((_container(pod, container).get("state")) or {}).get("terminated")
        if told and (told.get("exitCode") or told.get("reason") == "OOMKilled"):
            if told.get("reason") == "OOMKilled":
                return Broken(Failure("BHS701"))
            if told.get("reason") in ("StartError", "ContainerCannotRun"):
                return Broken(_cannot_run(pod, str(told.get("message") or "")))
            return Ended(container, int(told["exitCode"]))
    detail = " ".join(part for part in (reason, message) if part) or "its containers report nothing"
    return Broken(Failure("BHS705", {"detail": detail}))


def _taken_away(pod: Json, status: Json) -> Failure:
    why = _disruption(status)
    return Failure("BHS702", {"node": node(pod), "detail": why}) if why else Failure("BHS703")


def _disruption(status: Json) -> str:
    for condition in status.get("conditions") or []:
        if condition.get("type") == "DisruptionTarget" and condition.get("status") == "True":
            return str(condition.get("message") or condition.get("reason") or "disrupted")
    return ""


def _unscheduled(sight: Sight, memory: Memory, status: Json) -> State:
    message = "the scheduler has not looked at it yet"
    for condition in status.get("conditions") or []:
        if condition.get("type") == "PodScheduled" and condition.get("message"):
            message = str(condition["message"])
    waited = memory.seconds("start", sight.now)
    if waited >= sight.start_seconds:
        return Broken(Failure("BHS301", {"seconds": int(waited), "detail": message}))
    return Waiting(f"Waiting for a node that takes the build pod: {message}")


def _node_lost(sight: Sight, memory: Memory, status: Json) -> bool:
    runs = {name for name in (FETCH, BUILD) if "running" in (_container(sight.pod, name).get("state") or {})}
    # While it fetches, a pod is not ready anyway, and only its daemon can tell.
    pod_out = FETCH in runs if sight.has_daemons and FETCH in runs else _called_lost(status)
    daemon_out = not sight.has_daemons or (sight.daemon is not None and _called_lost(sight.daemon.get("status") or {}))
    if not (runs and pod_out and daemon_out):
        memory.over("node")
        return False
    return memory.seconds("node", sight.now) >= NODE_SECONDS


def _called_lost(status: Json) -> bool:
    """Whether the node's controller made it not ready: it gives no reason, and the kubelet always does."""
    return any(
        condition.get("type") == "Ready" and condition.get("status") != "True" and not condition.get("reason")
        for condition in status.get("conditions") or []
    )


def _on_node(sight: Sight, memory: Memory, status: Json) -> State:
    pod = sight.pod
    for kind in ("initContainerStatuses", "containerStatuses"):
        for one in status.get(kind) or []:
            waiting = (one.get("state") or {}).get("waiting") or {}
            broken = _held_up(sight, memory, str(waiting.get("reason") or ""), str(waiting.get("message") or ""))
            if broken:
                return broken
    if started(pod, BUILD):
        memory.over("pull")
        return _with_daemon(sight, memory)
    if started(pod, FETCH):
        memory.over("pull")
        memory.over("start")
        memory.over("missing")
        return Running(FETCH)
    return _creating(sight, memory)


def _held_up(sight: Sight, memory: Memory, reason: str, message: str) -> State | None:
    """What a container's reason for waiting means, if it is one that hinders."""
    image = {"image": sight.pod["spec"]["containers"][0]["image"]}
    detail = message or reason
    if reason == "InvalidImageName":
        return Broken(Failure("BHS201", {**image, "detail": detail}))
    if reason in _PULL_ERRORS:
        seconds = memory.seconds("pull", sight.now)
        told = _pull_error(sight.events) or detail
        attempts = sum(int(event.get("count") or 1) for event in sight.events if _is_pull_error(event))
        if reason == "ErrImageNeverPull":
            return Broken(Failure("BHS202", {**image, "detail": detail}))
        if _NOT_THERE.search(told) and (attempts >= 2 or seconds >= PULL_TWICE_SECONDS):
            return Broken(Failure("BHS202", {**image, "detail": told}))
        if seconds >= PULL_SECONDS:
            return Broken(Failure("BHS203", {**image, "seconds": int(seconds), "detail": told}))
        return Waiting(f"The build image cannot be pulled yet, trying again: {told}")
    if reason in ("CreateContainerConfigError", "CreateContainerError"):
        seconds = memory.seconds("missing", sight.now)
        if seconds >= MISSING_SECONDS:
            return Broken(Failure("BHS401", {"detail": detail}))
        return Waiting(f"The build pod's container cannot be made yet: {detail}")
    if reason == "RunContainerError":
        return Broken(_cannot_run(sight.pod, detail))
    return None


def _creating(sight: Sight, memory: Memory) -> State:
    """Scheduled, and no container has started: volumes are mounted, images pulled."""
    pod = sight.pod
    last = max(sight.events, key=_when, default=None)
    reasons = [str(event.get("reason")) for event in sight.events]
    if last and last.get("reason") in ("FailedMount", "FailedAttachVolume"):
        message = str(last.get("message"))
        if "hostPath type check failed" in message:  # no daemon has made its socket yet
            return _no_daemon(sight, memory, message)
        if memory.seconds("missing", sight.now) >= MISSING_SECONDS:
            return Broken(Failure("BHS401", {"detail": message}))
        return Waiting(f"Waiting for what the build pod mounts: {message}")
    if reasons.count("Pulling") > reasons.count("Pulled"):
        memory.over("start")
        return Waiting(f"The build image is being pulled on node {node(pod)}.")
    waited = memory.seconds("start", sight.now)
    detail = str(last.get("message")) if last else f"node {node(pod)} has not begun"
    if waited >= sight.start_seconds:
        return Broken(Failure("BHS303", {"seconds": int(waited), "detail": detail}))
    return Waiting(f"The build pod starts on node {node(pod)}.")


def _with_daemon(sight: Sight, memory: Memory) -> State:
    """The builder runs; before its first word it may still wait for its daemon."""
    if sight.build_has_spoken or not sight.has_daemons or (sight.daemon and ready(sight.daemon)):
        memory.over("start")
        return Running(BUILD)
    where = f"the docker-api pod on node {node(sight.pod)} is not ready"
    if sight.daemon is None:
        where = f"there is no docker-api pod on node {node(sight.pod)}"
    return _no_daemon(sight, memory, where)


def _no_daemon(sight: Sight, memory: Memory, detail: str) -> State:
    waited = memory.seconds("start", sight.now)
    if waited >= sight.start_seconds:
        return Broken(Failure("BHS302", {"seconds": int(waited), "detail": detail}))
    return Waiting(f"Waiting for the daemon: {detail}.")


def _cannot_run(pod: Json, detail: str) -> Failure:
    return Failure("BHS204", {"image": pod["spec"]["containers"][0]["image"], "detail": detail})


def _is_pull_error(event: Json) -> bool:
    return event.get("reason") == "Failed" and str(event.get("message", "")).startswith("Failed to pull image")


def _pull_error(events: list[Json]) -> str:
    """The kubelet's own words on why the pull failed: the container's status soon says only that it waits."""
    last = max(filter(_is_pull_error, events), key=_when, default=None)
    return str(last["message"]) if last else ""


def _when(event: Json) -> str:
    return str(event.get("lastTimestamp") or event.get("eventTime") or event["metadata"].get("creationTimestamp") or "")


def _condition(status: Json, kind: str, value: str) -> bool:
    return any(one.get("type") == kind and one.get("status") == value for one in status.get("conditions") or [])


def _container(pod: Json, name: str) -> Json:
    status = pod.get("status") or {}
    for kind in ("initContainerStatuses", "containerStatuses"):
        for one in status.get(kind) or []:
            if one.get("name") == name:
                found: Json = one
                return found
    return {}
