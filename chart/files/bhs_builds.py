"""All builds of this process: one for each key, a bound on how many have pods, and what failed a moment ago."""

import asyncio
import time
from collections.abc import Callable
from typing import Any

from bhs_audit import told
from bhs_build import Build
from bhs_cluster import Cluster
from bhs_engine import Engine
from bhs_pod import Wanted, lock_name

FAILED_SECONDS = 30.0
"""Event streams ask again by themselves when they end: for so long they get the same failure."""

Json = dict[str, Any]


class Builds:
    """Made and used on one loop."""

    def __init__(self, cluster: Cluster, limit: int) -> None:
        """At most `limit` builds that this process started have pods at a time."""
        self.cluster = cluster
        self._limit = limit
        self._running: dict[str, Build] = {}
        self._placed: set[Build] = set()
        self._queue: list[tuple[Build, asyncio.Event]] = []
        self._failed: dict[str, tuple[float, Json]] = {}
        self._tasks: set[asyncio.Task[None]] = set()

    def get(self, wanted: Wanted, engine: Engine, prefer: Callable[[], str], registry: Any = None) -> Build | Json:  # noqa: ANN401
        """The build of what is wanted, started if there is none; or the `failed` event of one that failed just now."""
        key = lock_name(wanted, engine)
        found = self._running.get(key)
        if found:
            return found
        when, failed = self._failed.get(key, (0.0, {}))
        if failed and time.monotonic() - when < FAILED_SECONDS:
            again = f"(The same request failed {time.monotonic() - when:.0f} s ago; this is its answer.)"
            return {**failed, "repeated": True, "message": f"{again}\n{failed['message']}"}
        build = Build(key, wanted, engine, self.cluster, self, prefer, registry)
        self._running[key] = build
        task = asyncio.get_running_loop().create_task(self._run(build))
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)
        return build

    async def take(self, build: Build, *, at_once: bool) -> None:
        """See Slots."""
        if build in self._placed:
            return
        if not at_once and (len(self._placed) >= self._limit or self._queue):
            free = asyncio.Event()
            self._queue.append((build, free))
            self._tell_places()
            await free.wait()
        self._placed.add(build)

    def give_back(self, build: Build) -> None:
        """See Slots."""
        self._placed.discard(build)
        self._queue = [(one, free) for one, free in self._queue if one is not build]
        room = self._limit - len(self._placed)
        for one, free in self._queue[: max(0, room)]:
            self._placed.add(one)
            free.set()
        self._queue = self._queue[max(0, room) :]
        self._tell_places()

    def _tell_places(self) -> None:
        for before, (build, _) in enumerate(self._queue):
            others = f"{before} more {'waits' if before == 1 else 'wait'} before it" if before else "it is next"
            build.audience.waiting(
                f"Waiting for one of the {self._limit} builds that may run at a time to end; {others}."
            )

    async def _run(self, build: Build) -> None:
        await build.run()
        del self._running[build.key]
        failure = build.outcome
        self._failed = {key: kept for key, kept in self._failed.items() if time.monotonic() - kept[0] < FAILED_SECONDS}
        if failure and not failure.fault.heals:
            self._failed[build.key] = (time.monotonic(), failure.event())
        told(
            "build",
            name=build.key,
            repo=build.wanted.repo,
            ref=build.wanted.ref,
            image=build.wanted.image_name,
            node=build.node,
            outcome="failed" if failure else "built",
            code=failure.code if failure else "",
            seconds=round(time.monotonic() - build.started_at, 1),
            digest=build.digest,
        )
        await build.remove()
