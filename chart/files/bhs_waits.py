"""What a build's pod waits for before it builds, and how long that may last."""

import re
from typing import Any

from bhs_faults import Failure
from bhs_look import container_state, node, pull_error, pull_errors, pulls_now, ready, started, when
from bhs_programs import BUILD, FETCH
from bhs_sight import Broken, Memory, Running, Sight, State, Waiting

Json = dict[str, Any]

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


def unscheduled(sight: Sight, memory: Memory, status: Json) -> State:
    """No node has been found for the pod yet."""
    message = "the scheduler has not looked at it yet"
    for condition in status.get("conditions") or []:
        if condition.get("type") == "PodScheduled" and condition.get("message"):
            message = str(condition["message"])
    waited = memory.seconds("start", sight.now)
    if waited >= sight.start_seconds:
        return Broken(Failure("BHS301", {"seconds": int(waited), "detail": message}))
    return Waiting(f"Waiting for a node that takes the build pod: {message}")


def on_node(sight: Sight, memory: Memory, status: Json) -> State:
    """The pod has a node, and has not ended."""
    pod = sight.pod
    for kind in ("initContainerStatuses", "containerStatuses"):
        for one in status.get(kind) or []:
            waiting = (one.get("state") or {}).get("waiting") or {}
            broken = _held_up(sight, memory, str(waiting.get("reason") or ""), str(waiting.get("message") or ""))
            if broken:
                return broken
    if started(pod, BUILD) and container_state(pod, FETCH).keys() <= {"terminated"}:
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
        told = pull_error(sight.events) or detail
        if reason == "ErrImageNeverPull":
            return Broken(Failure("BHS202", {**image, "detail": detail}))
        if pulls_now(sight.events):
            return Waiting(f"The build image is being pulled once more on node {node(sight.pod)}: {told}")
        if _NOT_THERE.search(told) and (pull_errors(sight.events) >= 2 or seconds >= PULL_TWICE_SECONDS):
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
        return Broken(cannot_run(sight.pod, detail))
    return None


def _creating(sight: Sight, memory: Memory) -> State:
    """Scheduled, and no container has started: volumes are mounted, images pulled."""
    pod = sight.pod
    last = max(sight.events, key=when, default=None)
    if last and last.get("reason") in ("FailedMount", "FailedAttachVolume"):
        message = str(last.get("message"))
        if "hostPath type check failed" in message:  # no daemon has made its socket yet
            return _no_daemon(sight, memory, message)
        if memory.seconds("missing", sight.now) >= MISSING_SECONDS:
            return Broken(Failure("BHS401", {"detail": message}))
        return Waiting(f"Waiting for what the build pod mounts: {message}")
    if pulls_now(sight.events):
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


def cannot_run(pod: Json, detail: str) -> Failure:
    """The build image is there, and its command cannot be started."""
    return Failure("BHS204", {"image": pod["spec"]["containers"][0]["image"], "detail": detail})
