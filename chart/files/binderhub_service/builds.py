"""All builds of this process: one for each key, those that wait for their turn, and those that failed a moment ago."""

import asyncio
import time

from binderhub_service import Json
from binderhub_service.build import Build
from binderhub_service.build_queue import BuildQueue
from binderhub_service.cluster import Cluster
from binderhub_service.failures import Failure
from binderhub_service.manifests import BuildRequest, build_name
from binderhub_service.service_log import log_audit_event

REPEAT_SECONDS = 30.0
"""Event streams reconnect by themselves when they end. For so long they get the same failure again."""
ANNOUNCE_SECONDS = 0.2
"""Changes of the queue within so short a time are announced together: each concerns every waiting build."""


class Builds:
    """The builds of one namespace. Created and used on one loop."""

    def __init__(self, cluster: Cluster, limit: int) -> None:
        """At most `limit` builds of this process have a pod at a time."""
        self.cluster = cluster
        self._queue: BuildQueue[Build] = BuildQueue(limit)
        self._running: dict[str, Build] = {}
        self._turns: dict[Build, asyncio.Event] = {}
        self._begun: set[Build] = set()
        self._failed: dict[str, tuple[float, Json]] = {}
        self._tasks: dict[Build, asyncio.Task[None]] = {}
        self._announcing = False

    def get(self, request: BuildRequest, requester: str = "", max_waiting: int = 0) -> Build | Json:
        """The build that a requester asks for, started if there is none; or the `failed` event of the request.

        The caller subscribes to the build before anything else runs, and calls `leave` in the end. A requester with
        `max_waiting` waiting builds cannot start another one; 0 is no limit.
        """
        key = build_name(request.spec, request.engine)
        build = self._running.get(key)
        if not build:
            failed_at, failed = self._failed.get(key, (0.0, {}))
            if failed and time.monotonic() - failed_at < REPEAT_SECONDS:
                note = f"(The same request failed {time.monotonic() - failed_at:.0f} s ago, with this answer.)"
                return {**failed, "repeated": True, "message": f"{note}\n{failed['message']}"}
            if max_waiting and self._queue.waiting_of(requester) >= max_waiting:
                return Failure("BHS804", {"count": max_waiting}).event()
            build = self._start(key, request)
        self._queue.add(build, requester)
        self._give_turns()
        return build

    def leave(self, build: Build, requester: str) -> None:
        """End a request that has unsubscribed from its build. A build is dropped if nobody else waits for it."""
        self._queue.remove(build, requester)
        if not build.subscribers.changed and build in self._turns and build not in self._begun:
            self._drop(build)

    async def wait_for_turn(self, build: Build, *, has_pod: bool) -> None:
        """Wait until the build may have a pod: at once if it has one, or has had its turn."""
        if build in self._begun:
            return
        if has_pod:
            self._queue.place(build)
        else:
            await self._turns[build].wait()
        self._begun.add(build)

    def release(self, build: Build) -> None:
        """Give the place of a build that has ended to the next."""
        self._begun.discard(build)
        self._turns.pop(build, None)
        self._queue.release(build)
        self._give_turns()

    def _start(self, key: str, request: BuildRequest) -> Build:
        build = Build(key, request, self.cluster, self)
        self._running[key] = build
        self._turns[build] = asyncio.Event()
        task = asyncio.get_running_loop().create_task(self._run(build))
        self._tasks[build] = task
        task.add_done_callback(lambda _: self._tasks.pop(build, None))
        return build

    def _drop(self, build: Build) -> None:
        """Forget a build that has not begun. In one step: the next request finds either the build or none."""
        del self._running[build.key]
        self._tasks[build].cancel()
        self.release(build)
        self._audit(build, "dropped")

    def _give_turns(self) -> None:
        while build := self._queue.next():
            self._turns[build].set()
        if not self._announcing:
            self._announcing = True
            asyncio.get_running_loop().call_later(ANNOUNCE_SECONDS, self._announce_queue)

    def _announce_queue(self) -> None:
        self._announcing = False
        for build, ahead in self._queue.ahead().items():
            place = (
                f"at most {ahead} {'build is' if ahead == 1 else 'builds are'} ahead of it" if ahead else "it is next"
            )
            build.subscribers.publish_wait(
                f"Waiting for one of the {self._queue.limit} builds that may run at a time to end; {place}."
            )

    async def _run(self, build: Build) -> None:
        await build.run()
        del self._running[build.key]
        failure, now = build.failure, time.monotonic()
        self._failed = {key: failed for key, failed in self._failed.items() if now - failed[0] < REPEAT_SECONDS}
        if failure and not failure.kind.retryable:
            self._failed[build.key] = (now, failure.event())
        self._audit(build, "failed" if failure else "built", failure.code if failure else "")
        await build.delete_pod()

    def _audit(self, build: Build, outcome: str, code: str = "") -> None:
        spec = build.request.spec
        log_audit_event(
            "build",
            name=build.key,
            repo=spec.repo,
            ref=spec.ref,
            image=spec.image_name,
            node=build.node,
            outcome=outcome,
            code=code,
            seconds=round(time.monotonic() - build.started_at, 1),
            digest=build.digest,
        )
