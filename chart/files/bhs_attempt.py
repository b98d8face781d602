"""One attempt at a build: its pod, from the making to the end. Everything here runs on the main loop."""

import asyncio
import time
from typing import Any

from bhs_api import Unreachable
from bhs_audience import Audience
from bhs_cluster import Cluster, changes
from bhs_daemon import UsedDaemon
from bhs_engine import Engine
from bhs_faults import Failure
from bhs_logs import event
from bhs_look import node, started
from bhs_make import TROUBLE_SECONDS, Maker
from bhs_outcome import Transcript
from bhs_pod import Wanted, pushes
from bhs_program_build import DAEMON_LOST, NO_DAEMON
from bhs_programs import BUILD, FETCH, PUSH
from bhs_reading import Reading
from bhs_sight import Broken, Ended, Memory, Running, Sight, State, Waiting
from bhs_state import deleted, judge

TICK_SECONDS = 0.5
LAST_LINES_SECONDS = 20.0
LAST_LINES_OF_BROKEN_SECONDS = 3.0
_PHASES = {FETCH: "fetching", BUILD: "building", PUSH: "pushing"}

Json = dict[str, Any]


class Attempt:
    """Follows the pod that its maker makes."""

    def __init__(
        self,
        wanted: Wanted,
        engine: Engine,
        cluster: Cluster,
        audience: Audience,
        maker: Maker,
        woken: asyncio.Event,
        on_node: str,
    ) -> None:
        """`woken` is set after every change in the cluster, and when a viewer comes."""
        self._wanted, self._engine, self._cluster, self._audience = wanted, engine, cluster, audience
        self._maker = maker
        self._woken = woken
        self.node = on_node
        self.pod: Json = {}
        self.transcript = Transcript(engine.words)
        self._over = False
        self.reading = Reading(
            cluster, woken, lambda: bool(audience.changed), lambda: self._over, self._take, self._report
        )
        self._daemon = UsedDaemon(cluster, woken)
        self._memory = Memory()
        self._clock = 0.0
        self._heard = float("-inf")
        self._spoke = False

    def joinable(self) -> bool:
        """Whether a pod of this very build runs already."""
        return bool(self._maker.joinable())

    async def run(self) -> Failure | None:
        """Until the pod has ended, or will not do any more. Raises Unreachable and Refused."""
        try:
            try:
                broken = await self._maker.make()
            finally:
                self.pod = self._maker.pod
            return broken or await self._follow()
        finally:
            self._over = True

    async def _follow(self) -> Failure | None:
        before = time.monotonic()
        while not self._succeeded():
            self._woken.clear()
            now = time.monotonic()
            if self._cluster.trouble:
                self._audience.waiting("The Kubernetes API does not answer; the build goes on meanwhile.")
                if now - self._cluster.trouble_since > TROUBLE_SECONDS:
                    raise Unreachable(self._cluster.trouble)
            else:
                self._clock += now - before  # stands still while nothing can be seen
                state = self._state()
                if isinstance(state, Broken):
                    if state.failure.code != "BHS503":  # nothing more comes from a node that is lost
                        await self.reading.last_lines(self.pod, LAST_LINES_OF_BROKEN_SECONDS)
                    return state.failure
                if isinstance(state, Ended):
                    return await self._ended(state)
                if isinstance(state, Waiting):
                    self._audience.waiting(state.reason)
                if isinstance(state, Running):
                    self._audience.goes_on()
                self.reading.go_on(self.pod)
            before = now
            await changes(self._woken, TICK_SECONDS)
        return None

    def _succeeded(self) -> bool:
        """Whether the last program has reported success; a container of that name and word is nobody else's."""
        report = self.transcript.reports.get(PUSH if pushes(self.pod) else BUILD)
        return report is not None and report.keys() & {"exit_code", "error", "lost"} == set()

    def _state(self) -> State:
        seen = self._cluster.pods.get(self.pod["metadata"]["name"])
        if not seen or seen["metadata"]["uid"] != self.pod["metadata"]["uid"]:
            return deleted(self._cluster.last_of(self.pod))
        self.pod = seen
        self.node = node(seen) or self.node
        if not self._spoke and started(seen, BUILD):
            self._daemon.note(self.node)
        return judge(
            Sight(
                pod=seen,
                events=self._cluster.events_of(seen),
                daemon=self._cluster.daemons.get(self.node),
                has_daemons=self._engine.has_daemons(),
                now=self._clock,
                start_seconds=self._wanted.start_seconds,
                build_has_spoken=self._spoke,
                silent_for=self._clock - self._heard,
            ),
            self._memory,
        )

    async def _ended(self, state: Ended) -> Failure | None:
        self.reading.read_to_the_end()
        await self.reading.last_lines(self.pod, LAST_LINES_SECONDS)
        if state.exit_code == 0:
            return None if self._succeeded() else Failure("BHS706")
        if state.container == BUILD and state.exit_code == NO_DAEMON and BUILD not in self.transcript.reports:
            detail = f"the one on node {self.node} did not answer"
            return Failure("BHS302", {"seconds": self._wanted.start_seconds, "detail": detail})
        particulars = {
            "node": self.node,
            "repo": self._wanted.repo,
            "ref": self._wanted.ref,
            "name": self._wanted.image_name,
            "image": self._wanted.build_image,
        }
        if state.container != FETCH:
            cut = ""
            if state.exit_code == DAEMON_LOST and "exit_code" not in self.transcript.reports.get(BUILD, {}):
                lost = self.transcript.reports.get(PUSH, {}).get("lost")
                cut = str(lost or self.transcript.maybe_lost or "it closed its connections")
            hint = self.transcript.maybe_lost
            failure = await self._daemon.failure(self.node, cut, hint, particulars)
            if failure:
                return failure
        return self.transcript.failure(state.container, state.exit_code, particulars)

    def _take(self, container: str, lines: list[str]) -> None:
        for line in lines:
            told = event(line, _PHASES[container])
            self.transcript.add(container, told)
            self._audience.tell(told)
        self._spoke = self._spoke or container == BUILD
        self._heard = self._clock

    def _report(self, container: str, report: Json) -> None:
        self.transcript.reports[container] = report
        self._woken.set()
