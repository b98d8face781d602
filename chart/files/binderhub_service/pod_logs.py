"""A container's log, line by line, across broken connections: no line twice and none lost that Kubernetes holds.

Reading the logs of a pod's containers, one after the other, as long as somebody wants them."""

import asyncio
import json
import threading
import time
from collections.abc import Callable, Iterator

from binderhub_service import Json
from binderhub_service.cluster import Cluster, wait_for_change
from binderhub_service.kubernetes_api import ApiClient, ApiError, ApiUnreachable
from binderhub_service.objects import pushes, words
from binderhub_service.pod_fields import container_over, started
from binderhub_service.programs import BUILD, CONTAINERS, PUSH, read_report

SILENCE_SECONDS = 10.0
"""A quiet stream is asked for anew after so long: that is when a reader sees that nobody listens any more."""
LINE_BYTES = 2 << 20
"""A longer line is cut, and says so."""
FIRST_PAUSE, LONGEST_PAUSE = 0.2, 3.0
TRIES_AFTER_END = 5
"""How often the log of a container that has ended is asked for."""

PHASES = ("waiting", "fetching", "building", "pushing")
"""Those of binderhub/builder.py and repo2docker/utils.py that end nothing."""


class LogReader:
    """One pass over the log of one container of one pod."""

    def __init__(
        self, api: ApiClient, path: str, container: str, is_wanted: Callable[[], bool], is_over: Callable[[], bool]
    ) -> None:
        """`path` is the pod's in the API.

        `wanted` says whether anybody still wants lines, and `over` whether the container has ended. Both are called
        from the reader's thread.
        """
        self._api = api
        self._path = path
        self._container = container
        self._is_wanted = is_wanted
        self._is_over = is_over
        self._last = ""
        self._count_at_last = 0
        self.complete = False
        """Whether the end of the log has been reached."""

    def batches(self) -> Iterator[list[str]]:
        """Lines without their ends, as many as arrived together, until the log's end or nobody wants more.

        Called again after nobody wanted more, it goes on with the next line. Raises Refused when the API server will
        not give the log, for a reason that does not pass.
        """
        pause, in_vain = FIRST_PAUSE, 0
        while self._is_wanted() and in_vain < TRIES_AFTER_END:
            ended_before = self._is_over()
            in_vain += ended_before
            try:
                for lines in self._once():
                    pause = FIRST_PAUSE
                    yield lines
                    if not self._is_wanted():
                        return
                # A stream may also end because the kubelet went away: it is the end only if the container had ended.
                self.complete = ended_before
            except ApiError as refused:
                self.complete = refused.status == 404  # the pod is gone, and its log with it
                if refused.status in (401, 403):
                    raise
            except ApiUnreachable:
                pass  # silence, or a server that is down: what was missed comes with the next answer
            if self.complete:
                return
            if not ended_before and self._is_over():
                continue  # it ended while its log was read: one more look, for lines that came in between
            time.sleep(pause)
            pause = min(pause * 2, LONGEST_PAUSE)

    def _once(self) -> Iterator[list[str]]:
        query: Json = {"container": self._container, "follow": "true", "timestamps": "true"}
        if self._last:
            query["sinceTime"] = f"{self._last[:19]}Z"  # the API takes whole seconds; what comes twice is skipped below
        skip_until, seen_there = self._last, self._count_at_last
        rest = b""
        with self._api.stream(f"{self._path}/log", query, SILENCE_SECONDS) as pieces:
            for piece in pieces:
                *whole, rest = (rest + piece).split(b"\n")
                if len(rest) > LINE_BYTES:
                    rest = rest[: LINE_BYTES + 1]
                lines = []
                for raw in whole:
                    stamp, text = self._split(raw)
                    if skip_until and stamp < skip_until:
                        continue
                    if skip_until and stamp == skip_until and seen_there:
                        seen_there -= 1
                        continue
                    self._note(stamp)
                    lines.append(text)
                if lines:
                    yield lines
        if rest:
            stamp, text = self._split(rest)
            if stamp > self._last:
                self._note(stamp)
                yield [text]

    def _note(self, stamp: str) -> None:
        self._count_at_last = self._count_at_last + 1 if stamp == self._last else 1
        self._last = stamp

    @staticmethod
    def _split(raw: bytes) -> tuple[str, str]:
        stamp, _, text = raw.partition(b" ")
        cut = f" … (cut after {LINE_BYTES} bytes)" if len(text) > LINE_BYTES else ""
        return _comparable(stamp.decode("ascii", "replace")), text[:LINE_BYTES].decode("utf-8", "replace") + cut


def _comparable(stamp: str) -> str:
    """Timestamps drop zeros at their end, and then would not sort as text."""
    whole, _, fraction = stamp.rstrip("Z").partition(".")
    return f"{whole}.{fraction.ljust(9, '0')}"


def event(line: str, phase: str) -> Json:
    """The event for a log line: the message of repo2docker's object, or any other text.

    Only the executor says that a build failed or is ready, and clients act on further fields: so that an object keeps
    its phase only where that says how far a build is, and nothing else but its message.
    """
    try:
        told = json.loads(line)
    except (ValueError, RecursionError):
        told = None
    if not isinstance(told, dict):
        return {"phase": phase, "message": f"{line}\n"}
    message = told.get("message", "")
    return {
        "phase": told["phase"] if told.get("phase") in PHASES else phase,
        "message": message if isinstance(message, str) else _written(message),
    }


def _written(value: object) -> str:
    try:
        return json.dumps(value)
    except RecursionError:
        return "(nested too deeply to be shown)"


class LogFollower:
    """All logs of one pod. A thread reads; everything else is on the main loop."""

    def __init__(
        self,
        cluster: Cluster,
        woken: asyncio.Event,
        wanted: Callable[[], bool],
        over: Callable[[], bool],
        take: Callable[[str, list[str]], None],
        report: Callable[[str, Json], None],
    ) -> None:
        """`wanted` says whether anybody listens, `over` whether nobody will any more.

        `take` gets a container's lines, and `report` its program's last one.
        """
        self._cluster, self._woken = cluster, woken
        self._wanted, self._over, self._take, self._report = wanted, over, take, report
        self._pod: Json = {}
        self._read: set[str] = set()
        self._now = ""
        self._readers: dict[str, LogReader] = {}
        self._ending = False

    @property
    def builds(self) -> bool:
        """Whether the builder's log is being read, or has been."""
        return self._now in (BUILD, PUSH) or BUILD in self._read

    def go_on(self, pod: Json) -> None:
        """Have the next container's log read, if anybody wants it and none is being read."""
        self._pod = pod
        if self._now or not (self._wanted() or self._ending):
            return
        for container in CONTAINERS if pushes(pod) else CONTAINERS[:-1]:
            if container not in self._read:
                if started(pod, container):
                    self._now = container
                    name = f"log {pod['metadata']['name']}"
                    threading.Thread(target=self._read_in_thread, args=(container,), name=name).start()
                return

    def read_to_the_end(self) -> None:
        """The containers have ended: their logs are wanted whole, also without viewers."""
        self._ending = True

    async def last_lines(self, pod: Json, seconds: float) -> None:
        """Read what is left of the log, for so long at most."""
        end = time.monotonic() + seconds
        while time.monotonic() < end:
            self.go_on(pod)
            if not self._now:
                return
            self._woken.clear()
            await wait_for_change(self._woken, 0.1)

    def _reader(self, container: str) -> LogReader:
        return LogReader(
            self._cluster.api,
            self._cluster.path("pods", self._pod["metadata"]["name"]),
            container,
            is_wanted=lambda: self._wanted() or self._ending,
            is_over=lambda: self._over() or container_over(self._pod, container),
        )

    def _read_in_thread(self, container: str) -> None:
        loop = self._cluster.loop
        reader = self._readers.setdefault(container, self._reader(container))
        expected = words(self._pod).get(container, "")
        try:
            for lines in reader.batches():
                report = read_report(lines[-1], expected) if expected else None
                taken = threading.Event()
                loop.call_soon_threadsafe(self._forward, container, lines[:-1] if report else lines, report, taken)
                taken.wait(60)  # no more is read than the loop can take
                if report:
                    reader.complete = True
                    break
        except ApiError as refused:
            reader.complete = True
            lines = [f"(The log of {container} cannot be read: {refused.message})"]
            loop.call_soon_threadsafe(self._forward, container, lines, None, threading.Event())
        finally:
            loop.call_soon_threadsafe(self._have_read, container, reader.complete or self._ending)

    def _forward(self, container: str, lines: list[str], report: Json | None, taken: threading.Event) -> None:
        try:
            self._take(container, lines)
            if report:
                self._report(container, report)
        finally:
            taken.set()

    def _have_read(self, container: str, whole: bool) -> None:
        self._now = ""
        if whole:
            self._read.add(container)
        self._woken.set()
