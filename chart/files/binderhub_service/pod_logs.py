"""The logs of a build pod's containers, one after the other, as long as somebody follows the build."""

import json
import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass

from binderhub_service import Json
from binderhub_service.cluster import Cluster, wait_for_change
from binderhub_service.kubernetes_api import ApiClient, ApiError, ApiUnreachable
from binderhub_service.manifests import has_push_container, report_words
from binderhub_service.pod_fields import container_ended, container_started
from binderhub_service.programs import BUILD, CONTAINERS, PUSH, read_report
from binderhub_service.subscribers import Subscribers

SILENCE_SECONDS = 10.0
"""After so many silent seconds the log is requested again: only then does a reader see that nobody follows any more."""
LINE_BYTES = 2 << 20
"""Longer lines are cut, with a note."""
FIRST_PAUSE, LONGEST_PAUSE = 0.2, 3.0
ATTEMPTS_AFTER_END = 5
"""How often the log of an ended container is requested."""
HANDOVER_SECONDS = 60.0
"""How long a reader waits for the main loop to take a batch of lines."""

PHASES = ("waiting", "fetching", "building", "pushing")
"""Phases of binderhub/builder.py and repo2docker/utils.py that do not end a stream."""


def log_event(line: str, phase: str) -> Json:
    """The event for a line of a log: the message of repo2docker's JSON object, or the line itself.

    Only the executor may say that a build failed or is ready. Clients act on other fields as well. Therefore an event
    has no other fields than these two, and keeps the object's phase only if that phase ends nothing.
    """
    try:
        read = json.loads(line)
    except (ValueError, RecursionError):
        read = None
    if not isinstance(read, dict):
        return {"phase": phase, "message": f"{line}\n"}
    message = read.get("message", "")
    return {
        "phase": read["phase"] if read.get("phase") in PHASES else phase,
        "message": message if isinstance(message, str) else _as_json(message),
    }


def _as_json(value: object) -> str:
    try:
        return json.dumps(value)
    except RecursionError:
        return "(nested too deeply to be shown)"


@dataclass(frozen=True)
class ContainerLog:
    """Where a container's log is in the API."""

    pod_path: str
    container: str


class LogReader:
    """Reads one container's log across broken connections: no line twice, and none lost that Kubernetes still has."""

    def __init__(
        self, api: ApiClient, log: ContainerLog, is_wanted: Callable[[], bool], has_ended: Callable[[], bool]
    ) -> None:
        """`is_wanted` says whether anybody still wants lines, and `has_ended` whether the container has ended.

        Both are called from the reader's thread.
        """
        self._api = api
        self._log = log
        self._is_wanted = is_wanted
        self._has_ended = has_ended
        self._last = ""
        self._count_at_last = 0
        self.complete = False
        """Whether the end of the log was reached."""

    def batches(self) -> Iterator[list[str]]:
        """Lines without line breaks, as many as arrived together, until the log ends or nobody wants more.

        After nobody wanted more, another call continues with the next line. Raises ApiError if the API server refuses
        the log for a reason that does not pass.
        """
        pause, after_end = FIRST_PAUSE, 0
        while self._is_wanted() and after_end < ATTEMPTS_AFTER_END:
            ended_before = self._has_ended()
            after_end += ended_before
            try:
                for lines in self._read_stream():
                    pause = FIRST_PAUSE
                    yield lines
                    if not self._is_wanted():
                        return
                # A stream also ends when the kubelet stops: it is the log's end only if the container had ended before.
                self.complete = ended_before
            except ApiError as error:
                self.complete = error.status == 404  # the pod is gone, and its log with it
                if error.status in (401, 403):
                    raise
            except ApiUnreachable:
                pass  # silence, or no server: the next request returns what was missed
            if self.complete:
                return
            if not ended_before and self._has_ended():
                continue  # it ended while its log was read: request the lines that came in between
            time.sleep(pause)
            pause = min(pause * 2, LONGEST_PAUSE)

    def _read_stream(self) -> Iterator[list[str]]:
        query: Json = {"container": self._log.container, "follow": "true", "timestamps": "true"}
        if self._last:
            query["sinceTime"] = f"{self._last[:19]}Z"  # the API takes whole seconds; lines before are skipped below
        skip_until, skip_at_last = self._last, self._count_at_last
        rest = b""
        with self._api.stream(f"{self._log.pod_path}/log", query, SILENCE_SECONDS) as pieces:
            for piece in pieces:
                *whole, rest = (rest + piece).split(b"\n")
                if len(rest) > LINE_BYTES:
                    rest = rest[: LINE_BYTES + 1]
                lines = []
                for raw in whole:
                    stamp, text = self._split(raw)
                    if skip_until and stamp < skip_until:
                        continue
                    if skip_until and stamp == skip_until and skip_at_last:
                        skip_at_last -= 1
                        continue
                    self._remember(stamp)
                    lines.append(text)
                if lines:
                    yield lines
        if rest:
            stamp, text = self._split(rest)
            if stamp > self._last:
                self._remember(stamp)
                yield [text]

    def _remember(self, stamp: str) -> None:
        self._count_at_last = self._count_at_last + 1 if stamp == self._last else 1
        self._last = stamp

    @staticmethod
    def _split(raw: bytes) -> tuple[str, str]:
        stamp, _, text = raw.partition(b" ")
        cut = f" … (cut after {LINE_BYTES} bytes)" if len(text) > LINE_BYTES else ""
        return _sortable(stamp.decode("ascii", "replace")), text[:LINE_BYTES].decode("utf-8", "replace") + cut


def _sortable(stamp: str) -> str:
    """Timestamps have no trailing zeros, and would not sort as text without them."""
    whole, _, fraction = stamp.rstrip("Z").partition(".")
    return f"{whole}.{fraction.ljust(9, '0')}"


class LogFollower:
    """Reads all logs of one pod. A thread reads; everything else runs on the main loop."""

    def __init__(
        self,
        cluster: Cluster,
        subscribers: Subscribers,
        on_lines: Callable[[str, list[str]], None],
        on_report: Callable[[str, Json], None],
    ) -> None:
        """`on_lines` gets the lines of a container, and `on_report` the last line of its program."""
        self._cluster, self._subscribers = cluster, subscribers
        self._on_lines, self._on_report = on_lines, on_report
        self._pod: Json = {}
        self._read: set[str] = set()
        self._current = ""
        self._readers: dict[str, LogReader] = {}
        self._wants_all = False
        self._closed = False

    @property
    def has_reached_builder(self) -> bool:
        """Whether the log of `builder`, or a later one, is being read or was read."""
        return self._current in (BUILD, PUSH) or BUILD in self._read

    def follow(self, pod: Json) -> None:
        """Start to read the next container's log, if anybody wants it and no log is being read."""
        self._pod = pod
        if self._current or not self._is_wanted():
            return
        for container in CONTAINERS if has_push_container(pod) else CONTAINERS[:-1]:
            if container not in self._read:
                if container_started(pod, container):
                    self._current = container
                    name = f"log {pod['metadata']['name']}"
                    threading.Thread(target=self._read_in_thread, args=(container,), name=name).start()
                return

    async def read_remaining(self, pod: Json, seconds: float) -> None:
        """Read what is left of the logs, for at most so many seconds."""
        end = time.monotonic() + seconds
        while time.monotonic() < end:
            self.follow(pod)
            if not self._current:
                return
            self._subscribers.wake.clear()
            await wait_for_change(self._subscribers.wake, 0.1)

    def want_all(self) -> None:
        """The containers have ended: read their logs to the end, even without subscribers."""
        self._wants_all = True

    def close(self) -> None:
        """Nobody will want the logs any more.

        What the callbacks and readers refer to is then free at once. Python would find the cycle only much later, since
        it has few objects, but large ones.
        """
        self._closed = True
        self._on_lines = lambda _container, _lines: None
        self._on_report = lambda _container, _report: None
        self._readers = {}

    def _is_wanted(self) -> bool:
        return bool(self._subscribers.changed) or self._wants_all

    def _new_reader(self, container: str) -> LogReader:
        return LogReader(
            self._cluster.api,
            ContainerLog(self._cluster.path("pods", self._pod["metadata"]["name"]), container),
            self._is_wanted,
            lambda: self._closed or container_ended(self._pod, container),
        )

    def _read_in_thread(self, container: str) -> None:
        loop = self._cluster.loop
        reader = self._readers.setdefault(container, self._new_reader(container))
        word = report_words(self._pod).get(container, "")
        try:
            for lines in reader.batches():
                report = read_report(lines[-1], word) if word else None
                taken = threading.Event()
                loop.call_soon_threadsafe(self._hand_over, container, lines[:-1] if report else lines, report, taken)
                taken.wait(HANDOVER_SECONDS)  # read no faster than the main loop takes
                if report:
                    reader.complete = True
                    break
        except ApiError as error:
            reader.complete = True
            lines = [f"(The log of {container} cannot be read: {error.message})"]
            loop.call_soon_threadsafe(self._hand_over, container, lines, None, threading.Event())
        finally:
            loop.call_soon_threadsafe(self._reader_stopped, container, reader.complete or self._wants_all)

    def _hand_over(self, container: str, lines: list[str], report: Json | None, taken: threading.Event) -> None:
        try:
            self._on_lines(container, lines)
            if report:
                self._on_report(container, report)
        finally:
            taken.set()

    def _reader_stopped(self, container: str, complete: bool) -> None:
        self._current = ""
        if complete:
            self._read.add(container)
        self._subscribers.wake.set()
