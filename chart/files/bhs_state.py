"""What a build's pod is doing, judged from what the API shows: waiting and for what, running, or ended and why.

Nothing here asks or waits; the caller brings what it saw and when.
"""

import re
from typing import Any

from bhs_faults import Failure
from bhs_look import called_lost, container_state, disruption, has_condition, node
from bhs_programs import BUILD, CONTAINERS, FETCH
from bhs_sight import Broken, Ended, Memory, Sight, State
from bhs_waits import cannot_run, on_node, unscheduled

Json = dict[str, Any]

_SOURCE_LIMIT = re.compile(r'Usage of EmptyDir volume "source" exceeds the limit')
"""The kubelet's words: pkg/kubelet/eviction/helpers.go."""
NODE_SECONDS = 10.0
"""How long a build's daemon must be called not ready, and nothing come from the node, until it counts as lost.

When the API server was away for longer than nodes may be silent, all of them are called lost when it is back, until the
kubelets say otherwise: within 10 s.
"""


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
    if container_state(pod, FETCH).get("terminated", {}).get("exitCode"):
        return _ended(pod, status)  # whatever the builder does meanwhile
    if not has_condition(status, "PodScheduled", "True"):
        return unscheduled(sight, memory, status)
    if _node_lost(sight, memory):
        return Broken(Failure("BHS503", {"node": node(pod)}))
    return on_node(sight, memory, status)


def deleted(last: Json) -> State:
    """The state of a pod that is gone, from what was last seen of it."""
    status = last.get("status") or {}
    if status.get("phase") in ("Succeeded", "Failed"):
        return _ended(last, status) if status["phase"] == "Failed" else Ended(BUILD, 0)
    return Broken(_taken_away(last, status))


def _ended(pod: Json, status: Json) -> State:
    reason, message = str(status.get("reason") or ""), str(status.get("message") or "")
    if reason == "DeadlineExceeded":
        return Broken(Failure("BHS704", {"seconds": pod["spec"].get("activeDeadlineSeconds")}))
    if reason == "Evicted" and _SOURCE_LIMIT.search(message):
        return Broken(Failure("BHS109", {"repo": _repository(pod), "detail": "its folder exceeded the volume's limit"}))
    if reason in ("Evicted", "Preempting", "NodeShutdown", "Terminated") or disruption(status):
        return Broken(Failure("BHS702", {"node": node(pod), "detail": message or disruption(status) or reason}))
    for container in CONTAINERS:
        told = container_state(pod, container).get("terminated")
        if told and (told.get("exitCode") or told.get("reason") == "OOMKilled"):
            if told.get("reason") == "OOMKilled":
                return Broken(Failure("BHS701"))
            if told.get("reason") in ("StartError", "ContainerCannotRun"):
                return Broken(cannot_run(pod, str(told.get("message") or told["reason"])))
            return Ended(container, int(told["exitCode"]))
    detail = " ".join(part for part in (reason, message) if part) or "its containers report nothing"
    return Broken(Failure("BHS705", {"detail": detail}))


def _repository(pod: Json) -> str:
    return str((pod["metadata"].get("annotations") or {}).get("binder-repo", ""))


def _taken_away(pod: Json, status: Json) -> Failure:
    why = disruption(status)
    return Failure("BHS702", {"node": node(pod), "detail": why}) if why else Failure("BHS703")


def _node_lost(sight: Sight, memory: Memory) -> bool:
    runs = {name for name in CONTAINERS if "running" in container_state(sight.pod, name)}
    # A pod with a container that has ended is not ready anyway: of one that builds, only its daemon can tell.
    shown = sight.daemon if sight.has_daemons else sight.pod
    if not (runs and shown and called_lost(shown.get("status") or {})):
        memory.over("node")
        return False
    return min(memory.seconds("node", sight.now), sight.silent_for) >= NODE_SECONDS
