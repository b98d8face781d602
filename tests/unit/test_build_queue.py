"""Whose build gets the next free place."""

import random

import pytest
from binderhub_service.build_queue import BuildQueue, requester_key


def queue(limit: int, *waiting: str) -> BuildQueue[str]:
    """Builds that asked in this order; the first letter of each is its requester."""
    made: BuildQueue[str] = BuildQueue(limit)
    add(made, *waiting)
    return made


def add(queue: BuildQueue[str], *builds: str) -> None:
    for build in builds:
        queue.add(build, build[0])


def take_turns(queue: BuildQueue[str]) -> list[str]:
    """All builds in the order in which they get places, where the one that began first always ends first."""
    running: list[str] = []
    order: list[str] = []
    while True:
        while build := queue.next():
            running.append(build)
            order.append(build)
        if not running:
            return order
        queue.release(running.pop(0))


def test_places_are_limited() -> None:
    builds = queue(2, "a1", "a2", "a3")
    assert [builds.next(), builds.next(), builds.next()] == ["a1", "a2", None]
    builds.release("a2")
    assert [builds.next(), builds.next()] == ["a3", None]


def test_requesters_alternate() -> None:
    assert take_turns(queue(1, "a1", "a2", "a3", "b1", "b2", "b3")) == ["a1", "b1", "a2", "b2", "a3", "b3"]


def test_a_newcomer_gets_the_very_next_place() -> None:
    builds = queue(2, *(f"a{number}" for number in range(3000)))
    assert [builds.next(), builds.next(), builds.next()] == ["a0", "a1", None]
    add(builds, "b")
    builds.release("a0")
    assert builds.next() == "b"


def test_a_newcomer_goes_before_the_requester_whose_only_build_just_ended() -> None:
    builds = queue(1, "a1", "a2")
    assert builds.next() == "a1"
    add(builds, "b")
    builds.release("a1")
    assert builds.next() == "b"


def test_the_requester_with_the_fewest_running_builds_is_next() -> None:
    builds = queue(4, "a1", "a2", "a3", "b1")
    assert {builds.next() for _ in range(4)} == {"a1", "a2", "a3", "b1"}
    add(builds, "a4", "b2")
    builds.release("a1")
    assert builds.next() == "b2"


def test_newcomers_do_not_starve_a_requester_without_a_running_build() -> None:
    builds = queue(1, "a")
    assert builds.next() == "a"
    add(builds, "b")
    for newcomer in "cdefgh":
        add(builds, newcomer)
    builds.release("a")
    assert builds.next() == "b"


def test_a_build_that_two_want_takes_the_first_turn_and_counts_as_that_requesters() -> None:
    builds = queue(1, "a1", "a2", "b1")
    assert builds.next() == "a1"
    builds.add("a2", "b")
    builds.remove("b1", "b")  # of b's builds, a2 is the oldest now
    add(builds, "b2")
    builds.release("a1")
    assert builds.next() == "a2"
    assert (builds.waiting_of("a"), builds.waiting_of("b")) == (0, 1)
    add(builds, "a3")
    builds.release("a2")
    assert builds.next() == "a3"  # it was b's turn that a2 took


def test_a_build_stays_when_one_of_two_requests_ends() -> None:
    builds = queue(1, "a1", "a2")
    builds.next()
    add(builds, "a2")
    builds.remove("a2", "a")
    assert builds.waiting_of("a") == 1
    builds.remove("a2", "a")
    builds.remove("a2", "a")
    assert builds.waiting_of("a") == 0


def test_a_dropped_build_gets_no_place() -> None:
    builds = queue(1, "a1", "a2", "a3")
    builds.next()
    builds.remove("a2", "a")
    builds.release("a2")
    builds.release("a1")
    assert builds.next() == "a3"


def test_a_build_whose_pod_runs_already_is_placed_beyond_the_limit() -> None:
    builds = queue(1, "a1", "a2", "b1")
    builds.next()
    builds.place("a2")
    builds.release("a1")
    assert builds.next() is None
    builds.release("a2")
    assert builds.next() == "b1"


def test_finished_requesters_are_forgotten() -> None:
    builds = queue(2, *(f"{letter}{number}" for letter in "abc" for number in range(5)))
    builds.remove("c4", "c")
    builds.release("c4")
    take_turns(builds)
    assert not (builds._requesters)
    assert not (builds._waiting)
    assert not (builds._running)


def test_a_waiting_build_knows_its_place() -> None:
    builds = queue(1, "a1", "a2", "b1", "c1", "c2")
    builds.next()
    # a has a running build, so only b's and c's first builds have a known turn.
    assert builds.ahead() == {"a2": 3, "b1": 0, "c1": 1, "c2": 3}


@pytest.mark.parametrize("seed", range(50))
def test_never_more_builds_go_before_one_than_was_told(seed: int) -> None:
    chance = random.Random(seed)  # noqa: S311 - not a secret
    builds = queue(chance.randint(1, 4))
    names = (f"{chance.choice('abcde')}{number}" for number in range(10_000))
    told: dict[str, list[tuple[set[str], int]]] = {}
    """For each waiting build, which builds waited when a bound was told, and that bound."""
    running: list[str] = []
    got: list[str] = []
    for _ in range(300):
        if running and chance.random() < 0.5:
            builds.release(running.pop(chance.randrange(len(running))))
        else:
            add(builds, next(names))
            if builds._waiting and chance.random() < 0.2:
                builds.add(chance.choice(list(builds._waiting)), chance.choice("abcde"))
                told.clear()  # a bound holds until somebody joins a build
        while build := builds.next():
            for others, bound in told.pop(build, []):
                assert len(others & set(got)) <= bound
            running.append(build)
            got.append(build)
        for build, bound in builds.ahead().items():
            told.setdefault(build, []).append((set(builds._waiting) - {build}, bound))


def test_users_are_told_apart_by_name_and_others_by_address() -> None:
    assert requester_key("ada", "192.0.2.1") == requester_key("ada", "192.0.2.2")
    assert requester_key("ada", "192.0.2.1") != requester_key("eve", "192.0.2.1")
    assert requester_key("", "192.0.2.1") != requester_key("", "192.0.2.2")
    assert requester_key("192.0.2.1", "") != requester_key("", "192.0.2.1")


def test_all_addresses_of_an_ipv6_network_are_one_requester() -> None:
    assert requester_key("", "2001:db8::1") == requester_key("", "2001:db8::ffff:1:2:3")
    assert requester_key("", "2001:db8::1") != requester_key("", "2001:db8:0:1::1")
    assert requester_key("", "::ffff:192.0.2.1") == requester_key("", "192.0.2.1")


@pytest.mark.parametrize("name", ["a" * 1_000_000, "\n\x00'\"{}", "not an address"])
def test_the_key_of_a_hostile_text_is_short_and_plain(name: str) -> None:
    for key in (requester_key(name, ""), requester_key("", name)):
        assert len(key) == 64
        assert key.isalnum()
