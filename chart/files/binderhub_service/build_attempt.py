"""The daemon that a build uses: whether it is still the one that the build began with.

One attempt at a build: its pod, from the making to the end. Everything here runs on the main loop."""

import asyncio
import time
from typing import Any

from binderhub_service import Json
from binderhub_service.cluster import Cluster, wait_for_change
from binderhub_service.docker_engine import DockerEngine
from binderhub_service.failures import Failure
from binderhub_service.kubernetes_api import ApiUnreachable
from binderhub_service.log_analysis import LogAnalysis
from binderhub_service.objects import BuildSpec, pushes
from binderhub_service.pod_creator import TROUBLE_SECONDS, PodCreator
from binderhub_service.pod_fields import identity, node, started, was_oom_killed
from binderhub_service.pod_logs import LogFollower, event
from binderhub_service.pod_status import (
    Ended,
    Failed,
    PodSnapshot,
    Running,
    State,
    Timers,
    Waiting,
    deleted_pod_state,
    pod_state,
)
from binderhub_service.programs import BUILD, FETCH, PUSH
from binderhub_service.programs.build import DAEMON_LOST, NO_DAEMON
from binderhub_service.subscribers import Subscribers

SHOWS_SECONDS = 4.0
"""A client notices that the daemon is gone before the kubelet does, by so much at most."""
TICK_SECONDS = 0.5


class DaemonMonitor:
    """Of one attempt."""

    def __init__(self, cluster: Cluster, woken: asyncio.Event) -> None:
        """`woken` is set after every change in the cluster."""
        self._cluster, self._woken = cluster, woken
        self._at_start: tuple[str, ...] = ()

    def note(self, node: str) -> None:
        """The build begins, with the daemon of this node as it is now."""
        self._at_start = identity(self._cluster.daemons.get(node))

    async def failure(self, node: str, cut: str, hint: str, particulars: dict[str, Any]) -> Failure | None:
        """Why the daemon is what ended a container that failed; nothing where it is not.

        `cut` is what a program saw that had the daemon's end of its connection closed. `hint` is an error that may come
        from that: only a reason to wait until the daemon's pod shows it.
        """
        if cut or hint:
            await self._shows(node)
        daemon = self._cluster.daemons.get(node)
        lost = identity(daemon) != self._at_start
        leaves = bool(daemon and daemon["metadata"].get("deletionTimestamp"))
        if daemon and (lost or cut) and was_oom_killed(daemon):
            return Failure("BHS502", particulars)
        if lost or cut or (hint and leaves):
            return Failure("BHS501", {**particulars, "detail": hint or cut or "it started anew while the build ran"})
        return None

    async def _shows(self, node: str) -> None:
        end = time.monotonic() + SHOWS_SECONDS
        while time.monotonic() < end and identity(self._cluster.daemons.get(node)) == self._at_start:
            self._woken.clear()
            await wait_for_change(self._woken, TICK_SECONDS)


TICK_SECONDS = 0.5
LAST_LINES_SECONDS = 20.0
LAST_LINES_OF_BROKEN_SECONDS = 3.0
_PHASES = {FETCH: "fetching", BUILD: "building", PUSH: "pushing"}


class Attempt:
    """Follows the pod that its maker makes."""

    def __init__(
        self,
        spec: BuildSpec,
        engine: DockerEngine,
        cluster: Cluster,
        subscribers: Subscribers,
        creator: PodCreator,
        woken: asyncio.Event,
        on_node: str,
    ) -> None:
        """`woken` is set after every change in the cluster, and when a viewer comes."""
        self._spec, self._engine, self._cluster, self._subscribers = spec, engine, cluster, subscribers
        self._creator = creator
        self._woken = woken
        self.node = on_node
        self.pod: Json = {}
        self.log_analysis = LogAnalysis(engine.words)
        self._over = False
        self.log_follower = LogFollower(
            cluster, woken, lambda: bool(subscribers.changed), lambda: self._over, self._take, self._report
        )
        self._daemon = DaemonMonitor(cluster, woken)
        self._memory = Timers()
        self._clock = 0.0
        self._heard = float("-inf")
        self._spoke = False

    def joinable(self) -> bool:
        """Whether a pod of this very build runs already."""
        return bool(self._creator.joinable())

    async def run(self) -> Failure | None:
        """Until the pod has ended, or will not do any more. Raises Unreachable and Refused."""
        try:
            try:
                broken = await self._creator.make()
            finally:
                self.pod = self._creator.pod
            return broken or await self._follow()
        finally:
            self._over = True

    async def _follow(self) -> Failure | None:
        before = time.monotonic()
        while not self._succeeded():
            self._woken.clear()
            now = time.monotonic()
            if self._cluster.trouble:
                self._subscribers.waiting("The Kubernetes API does not answer; the build goes on meanwhile.")
                if now - self._cluster.trouble_since > TROUBLE_SECONDS:
                    raise ApiUnreachable(self._cluster.trouble)
            else:
                self._clock += now - before  # stands still while nothing can be seen
                state = self._state()
                if isinstance(state, Failed):
                    if state.failure.code != "BHS503":  # nothing more comes from a node that is lost
                        await self.log_follower.last_lines(self.pod, LAST_LINES_OF_BROKEN_SECONDS)
                    return state.failure
                if isinstance(state, Ended):
                    return await self._ended(state)
                if isinstance(state, Waiting):
                    self._subscribers.waiting(state.reason)
                if isinstance(state, Running):
                    self._subscribers.goes_on()
                self.log_follower.go_on(self.pod)
            before = now
            await wait_for_change(self._woken, TICK_SECONDS)
        return None

    def _succeeded(self) -> bool:
        """Whether the last program has reported success; a container of that name and word is nobody else's."""
        report = self.log_analysis.reports.get(PUSH if pushes(self.pod) else BUILD)
        return report is not None and report.keys() & {"exit_code", "error", "lost"} == set()

    def _state(self) -> State:
        seen = self._cluster.pods.get(self.pod["metadata"]["name"])
        if not seen or seen["metadata"]["uid"] != self.pod["metadata"]["uid"]:
            return deleted_pod_state(self._cluster.last_of(self.pod))
        self.pod = seen
        self.node = node(seen) or self.node
        if not self._spoke and started(seen, BUILD):
            self._daemon.note(self.node)
        return pod_state(
            PodSnapshot(
                pod=seen,
                events=self._cluster.events_of(seen),
                daemon=self._cluster.daemons.get(self.node),
                has_daemons=self._engine.uses_docker_api_pods(),
                now=self._clock,
                start_seconds=self._spec.start_seconds,
                build_has_spoken=self._spoke,
                silent_for=self._clock - self._heard,
            ),
            self._memory,
        )

    async def _ended(self, state: Ended) -> Failure | None:
        self.log_follower.read_to_the_end()
        await self.log_follower.last_lines(self.pod, LAST_LINES_SECONDS)
        if state.exit_code == 0:
            return None if self._succeeded() else Failure("BHS706")
        if state.container == BUILD and state.exit_code == NO_DAEMON and BUILD not in self.log_analysis.reports:
            detail = f"the one on node {self.node} did not answer"
            return Failure("BHS302", {"seconds": self._spec.start_seconds, "detail": detail})
        particulars = {
            "node": self.node,
            "repo": self._spec.repo,
            "ref": self._spec.ref,
            "name": self._spec.image_name,
            "image": self._spec.build_image,
        }
        if state.container != FETCH:
            cut = ""
            if state.exit_code == DAEMON_LOST and "exit_code" not in self.log_analysis.reports.get(BUILD, {}):
                lost = self.log_analysis.reports.get(PUSH, {}).get("lost")
                cut = str(lost or self.log_analysis.maybe_lost or "it closed its connections")
            hint = self.log_analysis.maybe_lost
            failure = await self._daemon.failure(self.node, cut, hint, particulars)
            if failure:
                return failure
        return self.log_analysis.failure(state.container, state.exit_code, particulars)

    def _take(self, container: str, lines: list[str]) -> None:
        for line in lines:
            told = event(line, _PHASES[container])
            self.log_analysis.add(container, told)
            self._subscribers.tell(told)
        self._spoke = self._spoke or container == BUILD
        self._heard = self._clock

    def _report(self, container: str, report: Json) -> None:
        self.log_analysis.reports[container] = report
        self._woken.set()
