"""One attempt at a build: from the creation of its pod to the pod's end. Everything here runs on the main loop."""

import asyncio
import time

from binderhub_service import Json
from binderhub_service.cluster import Cluster, wait_for_change
from binderhub_service.failures import Failure
from binderhub_service.log_analysis import LogAnalysis
from binderhub_service.manifests import BuildRequest, has_push_container
from binderhub_service.pod_creator import API_OUTAGE_SECONDS, PodCreator
from binderhub_service.pod_fields import container_started, daemon_instance, node, was_oom_killed
from binderhub_service.pod_logs import LogFollower, log_event
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
from binderhub_service.programs.build import NO_DAEMON, NO_PERMISSION
from binderhub_service.programs.shared import DAEMON_LOST, DAEMON_SILENT
from binderhub_service.subscribers import Subscribers

TICK_SECONDS = 0.5
REMAINING_LOG_SECONDS = 20.0
REMAINING_LOG_OF_FAILED_POD_SECONDS = 3.0
DAEMON_STATUS_SECONDS = 4.0
"""How much later than its clients the kubelet notices, at most, that the daemon has ended."""
_FAILED = {"exit_code", "error", "lost", "silent", "denied", "check"}
"""Any of these in the report of a program says that it has failed."""
_PHASES = {FETCH: "fetching", BUILD: "building", PUSH: "pushing"}


class DaemonMonitor:
    """Tells whether the daemon is still the one that the attempt began with."""

    def __init__(self, cluster: Cluster, wake: asyncio.Event) -> None:
        """`wake` is set after every change in the cluster."""
        self._cluster, self._wake = cluster, wake
        self._at_start: tuple[str, ...] = ()

    def remember(self, node: str) -> None:
        """The build begins with the daemon that is on this node now."""
        self._at_start = daemon_instance(self._cluster.daemons.get(node))

    async def failure(self, node: str, disconnect: str, hint: str, particulars: Json) -> Failure | None:
        """The failure, if the daemon is why a container failed.

        `disconnect` is what a program saw when the daemon closed its connection. `hint` is an error that may come from
        that; it is only a reason to wait until the daemon's pod shows it.
        """
        if disconnect or hint:
            await self._wait_for_status(node)
        daemon = self._cluster.daemons.get(node)
        restarted = daemon_instance(daemon) != self._at_start
        being_deleted = bool(daemon and daemon["metadata"].get("deletionTimestamp"))
        if daemon and (restarted or disconnect) and was_oom_killed(daemon):
            return Failure("BHS502", particulars)
        if restarted or disconnect or (hint and being_deleted):
            detail = hint or disconnect or "it restarted while the build ran"
            return Failure("BHS501", {**particulars, "detail": detail})
        return None

    async def _wait_for_status(self, node: str) -> None:
        end = time.monotonic() + DAEMON_STATUS_SECONDS
        while time.monotonic() < end and daemon_instance(self._cluster.daemons.get(node)) == self._at_start:
            self._wake.clear()
            await wait_for_change(self._wake, TICK_SECONDS)


class BuildAttempt:
    """Follows the pod that a creator creates."""

    def __init__(self, request: BuildRequest, cluster: Cluster, subscribers: Subscribers, creator: PodCreator) -> None:
        """`subscribers.wake` is set after every change in the cluster, and when a subscriber comes."""
        self._request, self._cluster, self._subscribers, self._creator = request, cluster, subscribers, creator
        self._wake = subscribers.wake
        self.node = creator.required_node
        self.pod: Json = {}
        self.log_analysis = LogAnalysis(request.engine.output)
        self.log_follower = LogFollower(cluster, subscribers, self._take_lines, self._take_report)
        self._daemon = DaemonMonitor(cluster, self._wake)
        self._timers = Timers()
        self._clock = 0.0
        """Seconds in which the API server answered."""
        self._last_line_at = float("-inf")
        self._builder_has_logged = False

    def has_running_pod(self) -> bool:
        """Whether a pod of this build runs already."""
        return bool(self._creator.running_pod())

    async def run(self) -> Failure | None:
        """Wait until the pod has ended or failed. Raises ApiUnreachable and ApiError."""
        try:
            try:
                failure = await self._creator.create_or_adopt()
            finally:
                self.pod = self._creator.pod
            return failure or await self._follow()
        finally:
            self.log_follower.close()

    async def _follow(self) -> Failure | None:
        before = time.monotonic()
        while not self._has_succeeded():
            self._wake.clear()
            now = time.monotonic()
            if self._cluster.trouble:
                self._subscribers.publish_wait("The Kubernetes API does not answer; the build continues meanwhile.")
                if now - self._cluster.trouble_since > API_OUTAGE_SECONDS:
                    raise self._cluster.outage()
            else:
                self._clock += now - before
                self._update()
                state = self._state()
                if isinstance(state, Failed):
                    if not state.failure.kind.node_lost:
                        await self.log_follower.read_remaining(self.pod, REMAINING_LOG_OF_FAILED_POD_SECONDS)
                    return state.failure
                if isinstance(state, Ended):
                    return await self._result(state)
                if isinstance(state, Waiting):
                    self._subscribers.publish_wait(state.reason)
                if isinstance(state, Running):
                    self._subscribers.end_wait()
                self.log_follower.follow(self.pod)
            before = now
            await wait_for_change(self._wake, TICK_SECONDS)
        return None

    def _has_succeeded(self) -> bool:
        """Whether the last program has reported success. Only that container knows the word of its report."""
        report = self.log_analysis.reports.get(PUSH if has_push_container(self.pod) else BUILD)
        return report is not None and report.keys() & _FAILED == set()

    def _watched_pod(self) -> Json | None:
        """This attempt's pod as the cluster has it now; None if it is gone."""
        found = self._cluster.pods.get(self.pod["metadata"]["name"])
        return found if found and found["metadata"]["uid"] == self.pod["metadata"]["uid"] else None

    def _update(self) -> None:
        """Take over what has changed in the cluster."""
        self.pod = self._watched_pod() or self.pod
        self.node = node(self.pod) or self.node
        if not self._builder_has_logged and container_started(self.pod, BUILD):
            self._daemon.remember(self.node)

    def _state(self) -> State:
        if not self._watched_pod():
            return deleted_pod_state(self._cluster.last_version(self.pod))
        return pod_state(
            PodSnapshot(
                pod=self.pod,
                events=self._cluster.events_of(self.pod),
                daemon=self._cluster.daemons.get(self.node),
                uses_docker_api_pods=self._request.engine.uses_docker_api_pods,
                now=self._clock,
                start_seconds=self._request.spec.start_seconds,
                builder_has_logged=self._builder_has_logged,
                silent_for=self._clock - self._last_line_at,
            ),
            self._timers,
        )

    async def _result(self, state: Ended) -> Failure | None:
        """How the attempt ended, from the pod's exit code, its logs and the daemon."""
        self.log_follower.want_all()
        await self.log_follower.read_remaining(self.pod, REMAINING_LOG_SECONDS)
        if state.exit_code == 0:
            return None if self._has_succeeded() else Failure("BHS706")
        spec, reports = self._request.spec, self.log_analysis.reports
        if state.container == BUILD and state.exit_code == NO_DAEMON and BUILD not in reports:
            detail = f"the one on node {self.node} did not answer"
            return Failure("BHS302", {"seconds": spec.start_seconds, "detail": detail})
        particulars = {
            "node": self.node,
            "repo": spec.repo,
            "ref": spec.ref,
            "name": spec.image_name,
            "image": spec.build_image,
        }
        report = reports.get(state.container, {})
        if state.exit_code == DAEMON_SILENT and "silent" in report:
            return Failure("BHS505", {**particulars, "seconds": report["silent"]})
        if state.exit_code == NO_PERMISSION and "denied" in report:
            return Failure("BHS506", {**particulars, "detail": report["denied"]})
        if state.container != FETCH:
            disconnect = ""
            if state.exit_code == DAEMON_LOST and "exit_code" not in reports.get(BUILD, {}):
                lost = reports.get(PUSH, {}).get("lost")
                disconnect = str(lost or self.log_analysis.daemon_error or "it closed its connections")
            failure = await self._daemon.failure(self.node, disconnect, self.log_analysis.daemon_error, particulars)
            if failure:
                return failure
        return self.log_analysis.failure(state.container, state.exit_code, particulars)

    def _take_lines(self, container: str, lines: list[str]) -> None:
        for line in lines:
            event = log_event(line, _PHASES[container])
            self.log_analysis.add(container, event)
            self._subscribers.publish(event)
        self._builder_has_logged = self._builder_has_logged or container == BUILD
        self._last_line_at = self._clock

    def _take_report(self, container: str, report: Json) -> None:
        self.log_analysis.reports[container] = report
        self._wake.set()
