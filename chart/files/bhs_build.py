"""One build, for all requests that want it: its pod, its log and how it ends. Everything here runs on the main loop."""

import asyncio
import json
import threading
import time
from collections.abc import Callable
from typing import Any, Protocol

from bhs_api import Refused, Unreachable
from bhs_cluster import Cluster
from bhs_engine import Engine
from bhs_engine_docker import NO_DAEMON
from bhs_faults import Failure
from bhs_logs import LogReader, event
from bhs_outcome import Transcript
from bhs_pod import BUILD, FETCH, Wanted, manifest, same_build, secret
from bhs_state import (
    Broken,
    Ended,
    Memory,
    Running,
    Sight,
    State,
    Waiting,
    deleted,
    identity,
    judge,
    killed_for_memory,
    node,
    started,
)
from bhs_tape import Tape

TICK_SECONDS = 0.5
LINGER_SECONDS = 3.0
"""An ended pod stays so long, for another replica that reads its log."""
LAST_LINES_SECONDS = 20.0
DAEMON_SECONDS = 4.0
TROUBLE_SECONDS = 300.0
"""How long the API server may be away."""
QUOTA_SECONDS = 5.0
ATTEMPTS = 9

Json = dict[str, Any]


class Slots(Protocol):
    """Bounds how many builds have a pod."""

    async def take(self, build: "Build", *, at_once: bool) -> None:
        """Wait for a place, told through `build.waiting`; `at_once` where a pod runs already."""

    def give_back(self, build: "Build") -> None:
        """The build is over."""


class Build:
    """A build that goes on until its pod has ended, whether or not anybody watches."""

    def __init__(
        self, key: str, wanted: Wanted, engine: Engine, cluster: Cluster, slots: Slots, prefer: Callable[[], str]
    ) -> None:
        """`key` names the pod; `prefer` gives the node that the pod should run on, or an empty text."""
        self.key, self.wanted, self.engine, self.cluster = key, wanted, engine, cluster
        self.tape = Tape()
        self.outcome: Failure | None = None
        self.over = False
        self.node = ""
        self.started_at = time.monotonic()
        self.changed: set[asyncio.Event] = set()
        """One for each viewer, set when there is more on the tape or the build is over."""
        self._slots, self._prefer = slots, prefer
        self._transcript = Transcript(engine.words)
        self._memory = Memory()
        self._wake = asyncio.Event()
        self._clock = 0.0
        self._told = ""
        self._pod: Json = {}
        self._daemon_at_start: tuple[str, ...] = ()
        self._ending = False
        self._read: set[str] = set()
        self._reading = ""
        self._spoke = False
        self._readers: dict[str, LogReader] = {}

    @property
    def digest(self) -> str:
        """Digest of the pushed image, if the log told it."""
        return self._transcript.digest

    @property
    def phase(self) -> str:
        """The phase of what is being waited for, in BinderHub's words."""
        return "building" if BUILD in self._read or self._reading == BUILD else "waiting"

    def join(self) -> asyncio.Event:
        """A viewer more. Its event is set now and after every change; `leave` with it."""
        changed = asyncio.Event()
        changed.set()
        self.changed.add(changed)
        self._wake.set()
        return changed

    def leave(self, changed: asyncio.Event) -> None:
        """A viewer less."""
        self.changed.discard(changed)

    def waiting(self, reason: str) -> None:
        """Tell what is waited for, unless that was the last thing told."""
        if reason != self._told:
            self._told = reason
            self._tell({"phase": "waiting", "message": f"{reason}\n"})

    async def run(self) -> None:
        """Go from the request to the outcome. Never raises."""
        forget = self.cluster.listen(self._wake.set)
        try:
            self.outcome = await self._attempts()
        except Refused as refused:
            code = "BHS801" if refused.status in (401, 403) else "BHS304"
            self.outcome = Failure(code, {"detail": refused.message})
        except Unreachable as broken:
            self.outcome = Failure("BHS802", {"detail": str(broken), "seconds": int(self._elapsed())})
        except Exception as wrong:
            self.outcome = Failure("BHS803", {"detail": f"{type(wrong).__name__}: {wrong}"})
        finally:
            self.over = True
            forget()
            self._slots.give_back(self)
            self._notify()

    async def remove(self) -> None:
        """Take the pod away after a moment. A pod on a lost node stays until the node is back, under its name."""
        lost = self.outcome is not None and self.outcome.code == "BHS503"
        if not self._pod:
            return
        if not lost:
            await asyncio.sleep(LINGER_SECONDS)
        pod = self.cluster.pods.get(self._pod["metadata"]["name"])
        if (
            pod
            and pod["metadata"]["uid"] == self._pod["metadata"]["uid"]
            and not pod["metadata"].get("deletionTimestamp")
        ):
            await self.cluster.delete_pod(pod, at_once=not lost)

    async def _attempts(self) -> Failure | None:
        await self.cluster.seen()
        failure = await self._attempt(1, "")
        if failure and failure.code == "BHS607":
            self.waiting(f"The push failed, trying once more on node {self.node}: {failure.particulars['detail']}")
            await self.cluster.delete_pod(self._pod)
            self._transcript = Transcript(self.engine.words)
            self._memory, self._pod, self._read, self._readers = Memory(), {}, set(), {}
            self._ending = self._spoke = False
            failure = await self._attempt(2, self.node)
        return failure

    async def _attempt(self, first: int, on_node: str) -> Failure | None:
        joined = self._joinable(first)
        await self._slots.take(self, at_once=bool(joined))
        broken = await self._make(first, on_node)
        return broken or await self._follow()

    def _names(self, first: int) -> list[str]:
        return [self.key if number == 1 else f"{self.key}-{number}" for number in range(first, ATTEMPTS + 1)]

    def _joinable(self, first: int) -> Json | None:
        for name in self._names(first):
            pod = self.cluster.pods.get(name)
            if pod and same_build(pod, self.wanted) and not _over(pod) and not pod["metadata"].get("deletionTimestamp"):
                return pod
        return None

    async def _make(self, first: int, on_node: str) -> Failure | None:
        """Join the pod that runs already, or make one; a Failure where the cluster does not let us."""
        since = time.monotonic()
        while True:
            joined = self._joinable(first)
            if joined:
                self._pod = joined
                return None
            for name in self._names(first):
                held = self.cluster.pods.get(name)
                if held and _over(held) and same_build(held, self.wanted):
                    await self.cluster.delete_pod(held)
                    held = None
                if not held:
                    break
            pod = manifest(self.wanted, self.engine, name, on_node, self._prefer())
            try:
                self._pod = await self.cluster.create_pod(pod)
                await self._make_secret()
                return None
            except Refused as refused:
                waited = time.monotonic() - since
                if refused.status == 409 and waited < TROUBLE_SECONDS:
                    await self._look_up(name)
                    await asyncio.sleep(0.1)
                elif "exceeded quota" in refused.message:
                    if waited >= self.wanted.start_seconds:
                        return Failure("BHS305", {"seconds": int(waited), "detail": refused.message})
                    self.waiting(f"Waiting for room in the namespace's quota: {refused.message}")
                    await asyncio.sleep(min(QUOTA_SECONDS, max(0.1, self.wanted.start_seconds - waited)))
                elif refused.status < 500 and refused.status != 429:
                    rights = "cannot " in refused.message and refused.status == 403
                    return Failure("BHS801" if rights else "BHS304", {"detail": refused.message})
                else:
                    await self._bear(str(refused), since)
            except Unreachable as broken:
                await self._bear(str(broken), since)

    async def _bear(self, trouble: str, since: float) -> None:
        if time.monotonic() - since > TROUBLE_SECONDS:
            raise Unreachable(trouble)
        self.waiting(f"Waiting for the Kubernetes API: {trouble}")
        await asyncio.sleep(1)

    async def _look_up(self, name: str) -> None:
        """A pod of that name is there and the watch has not shown it: another replica's, or one being deleted."""
        try:
            self.cluster.pods[name] = await self.cluster.request("GET", self.cluster.path("pods", name))
        except Refused as refused:
            if refused.status != 404:
                raise

    async def _make_secret(self) -> None:
        made = secret(self.wanted, self._pod)
        if made:
            try:
                await self.cluster.request("POST", self.cluster.path("secrets"), None, made)
            except Refused:
                await self.cluster.delete_pod(self._pod)
                raise

    async def _follow(self) -> Failure | None:
        """Until the pod has ended, or will not do any more."""
        before = time.monotonic()
        while True:
            self._wake.clear()
            now = time.monotonic()
            if self.cluster.trouble:
                self.waiting("The Kubernetes API does not answer; the build goes on meanwhile.")
                if now - self.cluster.trouble_since > TROUBLE_SECONDS:
                    raise Unreachable(self.cluster.trouble)
            else:
                self._clock += now - before  # stands still while nothing can be seen
                state = self._state()
                if isinstance(state, Broken):
                    await self._last_lines(3.0)
                    return state.failure
                if isinstance(state, Ended):
                    return await self._ended(state)
                if isinstance(state, Waiting):
                    self.waiting(state.reason)
                if isinstance(state, Running):
                    self._told = ""
                self._read_on()
            before = now
            try:
                await asyncio.wait_for(self._wake.wait(), TICK_SECONDS)
            except TimeoutError:
                continue

    def _state(self) -> State:
        seen = self.cluster.pods.get(self._pod["metadata"]["name"])
        if not seen or seen["metadata"]["uid"] != self._pod["metadata"]["uid"]:
            return deleted(self._pod)
        self._pod = seen
        self.node = node(seen) or self.node
        daemon = self.cluster.daemons.get(self.node)
        if not self._spoke and started(seen, BUILD):
            self._daemon_at_start = identity(daemon)
        return judge(
            Sight(
                pod=seen,
                events=self.cluster.events_of(seen),
                daemon=daemon,
                has_daemons=self.engine.has_daemons(),
                now=self._clock,
                start_seconds=self.wanted.start_seconds,
                build_has_spoken=self._spoke,
            ),
            self._memory,
        )

    async def _ended(self, state: Ended) -> Failure | None:
        self._ending = True
        await self._last_lines(LAST_LINES_SECONDS)
        if state.exit_code == 0:
            return None
        if state.container == BUILD and state.exit_code == NO_DAEMON and not self._spoke:
            detail = f"the one on node {self.node} did not answer"
            return Failure("BHS302", {"seconds": self.wanted.start_seconds, "detail": detail})
        particulars = {
            "node": self.node,
            "repo": self.wanted.repo,
            "ref": self.wanted.ref,
            "name": self.wanted.image_name,
            "image": self.wanted.build_image,
        }
        if state.container == BUILD and self.engine.has_daemons():
            if self._transcript.lost:
                await self._daemon_shows()
            daemon = self.cluster.daemons.get(self.node)
            lost = identity(daemon) != self._daemon_at_start
            if daemon and (lost or self._transcript.lost) and killed_for_memory(daemon):
                return Failure("BHS502", particulars)
            if lost and not self._transcript.full:
                detail = self._transcript.lost or "it started anew while the build ran"
                return Failure("BHS501", {**particulars, "detail": detail})
        return self._transcript.failure(state.container, state.exit_code, particulars)

    async def _daemon_shows(self) -> None:
        """A client notices before the kubelet does that the daemon is gone."""
        end = time.monotonic() + DAEMON_SECONDS
        while time.monotonic() < end and identity(self.cluster.daemons.get(self.node)) == self._daemon_at_start:
            self._wake.clear()
            try:
                await asyncio.wait_for(self._wake.wait(), TICK_SECONDS)
            except TimeoutError:
                continue

    async def _last_lines(self, seconds: float) -> None:
        """Read what is left of the log, for so long at most."""
        end = time.monotonic() + seconds
        while time.monotonic() < end:
            self._read_on()
            if not self._reading:
                return
            self._wake.clear()
            try:
                await asyncio.wait_for(self._wake.wait(), 0.1)
            except TimeoutError:
                continue

    def _read_on(self) -> None:
        """Have the next container's log read, if anybody wants it and none is being read."""
        if self._reading or not (self.changed or self._ending):
            return
        for container in (FETCH, BUILD):
            if container not in self._read:
                if started(self._pod, container):
                    self._reading = container
                    threading.Thread(target=self._read_in_thread, args=(container,), name=f"log {self.key}").start()
                return

    def _reader(self, container: str) -> LogReader:
        return LogReader(
            self.cluster.api,
            self.cluster.path("pods", self._pod["metadata"]["name"]),
            container,
            wanted=lambda: bool(self.changed) or self._ending,
            over=lambda: self.over or _container_over(self._pod, container),
        )

    def _read_in_thread(self, container: str) -> None:
        loop = self.cluster.loop
        reader = self._readers.setdefault(container, self._reader(container))
        try:
            for lines in reader.batches():
                taken = threading.Event()
                loop.call_soon_threadsafe(self._take, container, lines, taken)
                taken.wait(60)  # no more is read than the loop can take
        except Refused as refused:
            reader.complete = True
            lines = [f"(The log of {container} cannot be read: {refused.message})"]
            loop.call_soon_threadsafe(self._take, container, lines, threading.Event())
        finally:
            loop.call_soon_threadsafe(self._have_read, container, reader.complete or self._ending)

    def _take(self, container: str, lines: list[str], taken: threading.Event) -> None:
        for line in lines:
            told = event(line, "fetching" if container == FETCH else "building")
            self._transcript.add(container, told)
            self._tell(told)
        self._spoke = self._spoke or container == BUILD
        taken.set()

    def _have_read(self, container: str, whole: bool) -> None:
        self._reading = ""
        if whole:
            self._read.add(container)
        self._wake.set()

    def _tell(self, told: Json) -> None:
        self.tape.add(json.dumps(told))
        self._notify()

    def _notify(self) -> None:
        for changed in self.changed:
            changed.set()

    def _elapsed(self) -> float:
        return time.monotonic() - self.started_at


def _over(pod: Json) -> bool:
    return (pod.get("status") or {}).get("phase") in ("Succeeded", "Failed")


def _container_over(pod: Json, name: str) -> bool:
    status = pod.get("status") or {}
    for kind in ("initContainerStatuses", "containerStatuses"):
        for one in status.get(kind) or []:
            if one.get("name") == name:
                return "terminated" in (one.get("state") or {})
    return _over(pod)
