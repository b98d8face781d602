"""All builds of a process: who joins which, and what becomes of one that nobody watches."""

import asyncio
import dataclasses
import json
import logging
from collections.abc import Awaitable, Callable
from typing import Any

import pytest
from binderhub_service import builds
from binderhub_service.builds import Builds
from binderhub_service.docker_engine import DockerEngine
from binderhub_service.failures import Failure
from binderhub_service.manifests import BuildRequest, BuildSpec
from binderhub_service.subscribers import Subscribers

ENGINE = DockerEngine("/run/binderhub-service/0123456789/docker-api.sock", True)
SPEC = BuildSpec(
    name="build-x",
    owner="rel",
    namespace="ns",
    repo="https://git.example/group/project",
    ref="main",
    image_name="r.example/i:1",
    repo2docker=["jupyter-repo2docker"],
    build_image="quay.io/r2d:1",
    start_seconds=900,
)


class FakeBuild:
    """Takes a place as a build does, and holds it until the test lets it end."""

    has_pod = False
    attempts = 1
    node = digest = ""

    def __init__(self, key: str, request: BuildRequest, _cluster: Any, builds: Any) -> None:
        self.key, self.request, self.builds = key, request, builds
        self.subscribers = Subscribers()
        self.failure: Failure | None = None
        self.done = False
        self.started_at = 0.0
        self.begun = 0
        self.end = asyncio.Event()

    async def run(self) -> None:
        try:
            for _ in range(self.attempts):
                await self.builds.wait_for_turn(self, has_pod=self.has_pod)
                self.begun += 1
            await self.end.wait()
        finally:
            self.done = True
            self.builds.release(self)

    async def delete_pod(self) -> None:
        """There is no pod."""


class View:
    """One request, from its build to its end."""

    def __init__(self, builds: Builds, ref: str, requester: str = "a", max_waiting: int = 0) -> None:
        spec = dataclasses.replace(SPEC, ref=ref)
        self._builds, self._requester = builds, requester
        self.found: Any = builds.get(BuildRequest(spec, ENGINE), requester, max_waiting)
        if isinstance(self.found, FakeBuild):
            self._changed = self.found.subscribers.subscribe()

    def leave(self) -> None:
        self.found.subscribers.unsubscribe(self._changed)
        self._builds.leave(self.found, self._requester)

    def messages(self) -> list[str]:
        buffer = self.found.subscribers.buffer
        return [json.loads(buffer.get(number))["message"] for number in range(buffer.first, buffer.end)]


async def settle() -> None:
    """Until every task has gone as far as it can."""
    for _ in range(10):
        await asyncio.sleep(0)


Test = Callable[[Builds], Awaitable[None]]


@pytest.fixture
def run(monkeypatch: pytest.MonkeyPatch) -> Callable[[Test], None]:
    """Run a test on a loop, with builds of which one runs at a time."""
    monkeypatch.setattr(builds, "Build", FakeBuild)
    monkeypatch.setattr(builds, "ANNOUNCE_SECONDS", 0.0)

    def on_a_loop(test: Test) -> None:
        async def main() -> None:
            await test(Builds(None, 1))  # type: ignore[arg-type]

        asyncio.run(main())

    return on_a_loop


@pytest.fixture
def audit(caplog: pytest.LogCaptureFixture) -> Callable[[], list[tuple[str, str]]]:
    """The ref and the outcome of each build in the audit."""
    caplog.set_level(logging.INFO, logger="tornado.application")

    def read() -> list[tuple[str, str]]:
        rows = [json.loads(record.getMessage().removeprefix("audit ")) for record in caplog.records]
        return [(row["ref"], row["outcome"]) for row in rows if row["what"] == "build"]

    return read


def test_a_waiting_build_that_nobody_watches_is_dropped(
    run: Callable[[Test], None], audit: Callable[[], list[tuple[str, str]]]
) -> None:
    async def test(builds: Builds) -> None:
        first, second, third = (View(builds, ref) for ref in ("1", "2", "3"))
        await settle()
        second.leave()
        assert audit() == [("2", "dropped")]
        first.found.end.set()
        await settle()
        assert (second.found.begun, third.found.begun) == (0, 1)
        assert audit() == [("2", "dropped"), ("1", "built")]

    run(test)


def test_a_build_that_has_begun_goes_on_without_viewers(
    run: Callable[[Test], None], audit: Callable[[], list[tuple[str, str]]]
) -> None:
    async def test(builds: Builds) -> None:
        only = View(builds, "1")
        await settle()
        only.leave()
        await settle()
        assert View(builds, "1").found is only.found
        only.found.end.set()
        await settle()
        assert audit() == [("1", "built")]

    run(test)


def test_a_dropped_build_that_is_asked_for_again_is_a_new_build(run: Callable[[Test], None]) -> None:
    async def test(builds: Builds) -> None:
        first, second = View(builds, "1"), View(builds, "2")
        await settle()
        second.leave()
        again = View(builds, "2")  # before the dropped build's task has noticed
        assert again.found is not second.found
        await settle()
        first.found.end.set()
        await settle()
        assert (second.found.begun, again.found.begun) == (0, 1)
        again.found.end.set()
        await settle()
        assert not (builds._running)
        assert not (builds._tasks)
        assert not (builds._turns)
        assert not (builds._begun)

    run(test)


def test_a_build_whose_viewer_leaves_as_it_gets_its_place_gives_it_to_the_next(run: Callable[[Test], None]) -> None:
    async def test(builds: Builds) -> None:
        first, second, third = (View(builds, ref) for ref in ("1", "2", "3"))
        await settle()
        builds.release(first.found)  # the second build has the place now, and its task has not run yet
        second.leave()
        await settle()
        assert (second.found.begun, third.found.begun) == (0, 1)

    run(test)


def test_a_build_whose_task_has_not_run_yet_is_dropped(run: Callable[[Test], None]) -> None:
    async def test(builds: Builds) -> None:
        View(builds, "1").leave()
        second = View(builds, "2")
        await settle()
        assert second.found.begun == 1

    run(test)


def test_one_of_two_viewers_leaves_and_the_build_waits_on(run: Callable[[Test], None]) -> None:
    async def test(builds: Builds) -> None:
        first = View(builds, "1", "a")
        leaves, stays = View(builds, "2", "a"), View(builds, "2", "b")
        assert leaves.found is stays.found
        leaves.leave()
        first.found.end.set()
        await settle()
        assert stays.found.begun == 1

    run(test)


def test_a_viewer_that_joins_as_the_last_one_leaves_keeps_the_build(run: Callable[[Test], None]) -> None:
    async def test(builds: Builds) -> None:
        View(builds, "1")
        leaves = View(builds, "2")
        await settle()
        joins = View(builds, "2", "b")
        leaves.leave()
        await settle()
        assert View(builds, "2").found is joins.found is leaves.found

    run(test)


def test_a_second_attempt_keeps_its_place(run: Callable[[Test], None], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(FakeBuild, "attempts", 2)

    async def test(builds: Builds) -> None:
        first, second = View(builds, "1"), View(builds, "2", "b")
        await settle()
        assert (first.found.begun, second.found.begun) == (2, 0)

    run(test)


def test_a_pod_that_runs_already_waits_for_no_place(
    run: Callable[[Test], None], monkeypatch: pytest.MonkeyPatch
) -> None:
    async def test(builds: Builds) -> None:
        View(builds, "1")
        await settle()
        monkeypatch.setattr(FakeBuild, "has_pod", True)
        second = View(builds, "2")
        await settle()
        assert second.found.begun == 1

    run(test)


def test_one_waiting_build_too_many_is_refused_and_not_remembered(run: Callable[[Test], None]) -> None:
    async def test(builds: Builds) -> None:
        running, waits, _ = (View(builds, ref, max_waiting=2) for ref in ("1", "2", "3"))
        await settle()
        refused = View(builds, "4", max_waiting=2).found
        assert (refused["phase"], refused["code"]) == ("failed", "BHS804")
        assert refused["what"].startswith("2 of your builds are waiting")
        assert isinstance(View(builds, "4", "b", max_waiting=2).found, FakeBuild)
        assert isinstance(View(builds, "5", max_waiting=0).found, FakeBuild)
        assert View(builds, "2", max_waiting=2).found is waits.found
        assert View(builds, "1", max_waiting=2).found is running.found

    run(test)


def test_a_requester_may_ask_again_once_fewer_of_its_builds_wait(run: Callable[[Test], None]) -> None:
    async def test(builds: Builds) -> None:
        running, waits = (View(builds, ref, max_waiting=1) for ref in ("1", "2"))
        await settle()
        assert View(builds, "3", max_waiting=1).found["code"] == "BHS804"
        waits.leave()
        third = View(builds, "3", max_waiting=1)
        assert View(builds, "4", max_waiting=1).found["code"] == "BHS804"
        running.found.end.set()
        await settle()
        assert third.found.begun == 1
        assert isinstance(View(builds, "4", max_waiting=1).found, FakeBuild)

    run(test)


def test_waiting_viewers_are_told_how_many_builds_go_before_theirs(run: Callable[[Test], None]) -> None:
    async def test(builds: Builds) -> None:
        View(builds, "1", "a")
        second, third, fourth = View(builds, "2", "a"), View(builds, "3", "a"), View(builds, "4", "b")
        await settle()
        place = "Waiting for one of the 1 builds that may run at a time to end; "
        assert fourth.messages() == [f"{place}it is next.\n"]
        assert second.messages() == [f"{place}at most 1 build is ahead of it.\n"]
        assert third.messages() == [f"{place}at most 2 builds are ahead of it.\n"]
        fourth.leave()
        await settle()
        assert second.messages()[1:] == [f"{place}it is next.\n"]

    run(test)


def test_three_thousand_hang_ups_cost_one_visitor_no_turn(
    run: Callable[[Test], None], audit: Callable[[], list[tuple[str, str]]]
) -> None:
    async def test(builds: Builds) -> None:
        running = View(builds, "first", "a")
        await settle()
        for number in range(3000):
            View(builds, str(number), "a").leave()
        honest = View(builds, "honest", "b")
        await settle()
        assert honest.messages()[-1].endswith("it is next.\n")
        assert [outcome for _, outcome in audit()] == ["dropped"] * 3000
        running.found.end.set()
        await settle()
        assert honest.found.begun == 1

    run(test)
