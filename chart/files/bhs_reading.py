"""Reading the logs of a pod's containers, one after the other, as long as somebody wants them."""

import asyncio
import threading
import time
from collections.abc import Callable
from typing import Any

from bhs_api import Refused
from bhs_cluster import Cluster, changes
from bhs_logs import LogReader
from bhs_look import container_over, started
from bhs_pod import pushes, words
from bhs_programs import BUILD, CONTAINERS, PUSH, read_report

Json = dict[str, Any]


class Reading:
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
            await changes(self._woken, 0.1)

    def _reader(self, container: str) -> LogReader:
        return LogReader(
            self._cluster.api,
            self._cluster.path("pods", self._pod["metadata"]["name"]),
            container,
            wanted=lambda: self._wanted() or self._ending,
            over=lambda: self._over() or container_over(self._pod, container),
        )

    def _read_in_thread(self, container: str) -> None:
        loop = self._cluster.loop
        reader = self._readers.setdefault(container, self._reader(container))
        expected = words(self._pod).get(container, "")
        try:
            for lines in reader.batches():
                report = read_report(lines[-1], expected) if expected else None
                taken = threading.Event()
                loop.call_soon_threadsafe(self._hand_on, container, lines[:-1] if report else lines, report, taken)
                taken.wait(60)  # no more is read than the loop can take
                if report:
                    reader.complete = True
                    break
        except Refused as refused:
            reader.complete = True
            lines = [f"(The log of {container} cannot be read: {refused.message})"]
            loop.call_soon_threadsafe(self._hand_on, container, lines, None, threading.Event())
        finally:
            loop.call_soon_threadsafe(self._have_read, container, reader.complete or self._ending)

    def _hand_on(self, container: str, lines: list[str], report: Json | None, taken: threading.Event) -> None:
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
