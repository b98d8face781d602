"""All builds of this process: one for each key, a queue for those that wait, and what failed a moment ago."""

import asyncio
import time
from collections.abc import Callable
from typing import Any

from binderhub_service import Json
from binderhub_service.build import Build
from binderhub_service.build_queue import BuildQueue
from binderhub_service.cluster import Cluster
from binderhub_service.docker_engine import DockerEngine
from binderhub_service.failures import Failure
from binderhub_service.objects import BuildSpec, build_name
from binderhub_service.service_log import told

FAILED_SECONDS = 30.0
"""Event streams ask again by themselves when they end: for so long they get the same failure."""
TELL_SECONDS = 0.2
"""Changes of the queue within so short a time are told together: each concerns every build that waits."""


class Builds:
    """Made and used on one loop."""

    def __init__(self, cluster: Cluster, limit: int) -> None:
        """At most `limit` builds that this process started have pods at a time."""
        self.cluster = cluster
        self._queue: BuildQueue[Build] = BuildQueue(limit)
        self._running: dict[str, Build] = {}
        self._may_begin: dict[Build, asyncio.Event] = {}
        self._begun: set[Build] = set()
        self._failed: dict[str, tuple[float, Json]] = {}
        self._tasks: dict[Build, asyncio.Task[None]] = {}
        self._telling = False

    def get(
        self,
        spec: BuildSpec,
        engine: DockerEngine,
        prefer: Callable[[], str],
        registry: Any = None,  # noqa: ANN401 - BinderHub's, or a class of the administrator's
        requester: str = "",
        most_waiting: int = 0,
    ) -> Build | Json:
        """The build of what is wanted, started if there is none; or the `failed` event of the request.

        Whoever gets a build joins its audience before anything else runs, and calls `leave` in the end. A requester
        of whom `most_waiting` builds wait starts no further one; 0 is without bound.
        """
        key = build_name(spec, engine)
        build = self._running.get(key)
        if not build:
            when, failed = self._failed.get(key, (0.0, {}))
            if failed and time.monotonic() - when < FAILED_SECONDS:
                again = f"(The same request failed {time.monotonic() - when:.0f} s ago; this is its answer.)"
                return {**failed, "repeated": True, "message": f"{again}\n{failed['message']}"}
            if most_waiting and self._queue.waiting_of(requester) >= most_waiting:
                return Failure("BHS804", {"count": most_waiting}).event()
            build = self._start(key, spec, engine, prefer, registry)
        self._queue.add(build, requester)
        self._fill_places()
        return build

    def leave(self, build: Build, requester: str) -> None:
        """A request is over, and has left the build's audience. A build that nobody else waits for is dropped."""
        self._queue.remove(build, requester)
        if not build.subscribers.changed and build in self._may_begin and build not in self._begun:
            self._drop(build)

    async def take(self, build: Build, *, at_once: bool) -> None:
        """See Slots."""
        if build in self._begun:
            return
        if at_once:
            self._queue.place(build)
        else:
            await self._may_begin[build].wait()
        self._begun.add(build)

    def give_back(self, build: Build) -> None:
        """See Slots."""
        self._begun.discard(build)
        self._may_begin.pop(build, None)
        self._queue.release(build)
        self._fill_places()

    def _start(
        self, key: str, spec: BuildSpec, engine: DockerEngine, prefer: Callable[[], str], registry: Any,  # noqa: ANN401
    ) -> Build:
        build = Build(key, spec, engine, self.cluster, self, prefer, registry)
        self._running[key] = build
        self._may_begin[build] = asyncio.Event()
        task = asyncio.get_running_loop().create_task(self._run(build))
        self._tasks[build] = task
        task.add_done_callback(lambda _: self._tasks.pop(build, None))
        return build

    def _drop(self, build: Build) -> None:
        """Forget a build that has not begun. All in one step: whoever asks next finds either it or none."""
        del self._running[build.key]
        self._tasks[build].cancel()
        self.give_back(build)
        self._audit(build, "dropped")

    def _fill_places(self) -> None:
        while build := self._queue.next():
            self._may_begin[build].set()
        if not self._telling:
            self._telling = True
            asyncio.get_running_loop().call_later(TELL_SECONDS, self._tell_places)

    def _tell_places(self) -> None:
        self._telling = False
        for build, ahead in self._queue.ahead().items():
            before = f"at most {ahead} of those that wait now {'goes' if ahead == 1 else 'go'} before it"
            build.subscribers.waiting(
                f"Waiting for one of the {self._queue.limit} builds that may run at a time to end; "
                f"{before if ahead else 'it is next'}."
            )

    async def _run(self, build: Build) -> None:
        await build.run()
        del self._running[build.key]
        failure = build.outcome
        self._failed = {key: kept for key, kept in self._failed.items() if time.monotonic() - kept[0] < FAILED_SECONDS}
        if failure and not failure.kind.retryable:
            self._failed[build.key] = (time.monotonic(), failure.event())
        self._audit(build, "failed" if failure else "built", failure.code if failure else "")
        await build.remove()

    def _audit(self, build: Build, outcome: str, code: str = "") -> None:
        told(
            "build",
            name=build.key,
            repo=build.spec.repo,
            ref=build.spec.ref,
            image=build.spec.image_name,
            node=build.node,
            outcome=outcome,
            code=code,
            seconds=round(time.monotonic() - build.started_at, 1),
            digest=build.digest,
        )
