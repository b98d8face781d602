"""The queue of builds: how many may run at a time, and whose build is next. It does not wait for anything itself."""

import hashlib
import ipaddress
from collections.abc import Hashable
from dataclasses import dataclass, field
from itertools import count
from typing import Generic, TypeVar

IPV6_PREFIX = 64
"""A network of this size counts as one address, because a single host can use all of it."""

Item = TypeVar("Item", bound=Hashable)


def requester_key(user: str, address: str) -> str:
    """Identifies a requester: by the user if there is one, otherwise by the client's address.

    It is a hash, because both are texts of unknown length from outside.
    """
    if user:
        return hashlib.sha256(f"user {user}".encode()).hexdigest()
    return hashlib.sha256(f"address {_network(address)}".encode()).hexdigest()


def _network(address: str) -> str:
    try:
        parsed = ipaddress.ip_address(address)
    except ValueError:
        return address
    if isinstance(parsed, ipaddress.IPv6Address):
        if parsed.ipv4_mapped:
            return str(parsed.ipv4_mapped)
        return str(ipaddress.ip_network((int(parsed), IPV6_PREFIX), strict=False))
    return str(parsed)


@dataclass
class _Requester(Generic[Item]):
    since: int
    """When it came, or when one of its builds last began or ended, whichever was later."""
    waiting: dict[Item, int] = field(default_factory=dict)
    """Its waiting builds, the oldest first, each with the number of its requests."""
    running: int = 0


class BuildQueue(Generic[Item]):
    """A limited number of places for running builds, and the builds that wait for one.

    A free place goes to the requester with the fewest running builds; among equals, to the one that has gone longest
    without a turn. Each requester's own builds keep their order. A build that several requesters want takes the first
    turn that any of them has, and counts as that requester's.
    """

    def __init__(self, limit: int) -> None:
        """At most `limit` builds run at a time."""
        self.limit = limit
        self._clock = count()
        self._requesters: dict[str, _Requester[Item]] = {}
        self._waiting: dict[Item, set[str]] = {}
        """Waiting builds, each with its requesters."""
        self._running: dict[Item, str] = {}
        """Builds that have a place, each with the requester whose turn it took."""

    def add(self, item: Item, requester: str) -> None:
        """Add a request for a build. The build starts to wait unless it has a place."""
        if item in self._running:
            return
        one = self._requester(requester)
        one.waiting[item] = one.waiting.get(item, 0) + 1
        self._waiting.setdefault(item, set()).add(requester)

    def remove(self, item: Item, requester: str) -> None:
        """Remove a request for a build. The build itself stays until `release`."""
        one = self._requesters.get(requester)
        if not one or item not in one.waiting:
            return
        one.waiting[item] -= 1
        if not one.waiting[item]:
            del one.waiting[item]
            self._waiting[item].discard(requester)
            self._forget(requester)

    def next(self) -> Item | None:
        """Give a free place to a build, and return it; None if no place is free, or no build waits."""
        if len(self._running) >= self.limit:
            return None
        waiting = [name for name, one in self._requesters.items() if one.waiting]
        if not waiting:
            return None
        name = min(waiting, key=self._turn)
        item = next(iter(self._requesters[name].waiting))
        self._place(item, name)
        return item

    def place(self, item: Item) -> None:
        """Give a waiting build a place at once, even beyond the limit."""
        if self._waiting.get(item):
            self._place(item, min(self._waiting[item], key=self._turn))

    def release(self, item: Item) -> None:
        """Remove a build that has ended or was dropped."""
        self._leave_lines(item)
        name = self._running.pop(item, None)
        if name is not None:
            one = self._requesters[name]
            one.running -= 1
            one.since = next(self._clock)
            self._forget(name)

    def waiting_of(self, requester: str) -> int:
        """Number of waiting builds that this requester wants."""
        one = self._requesters.get(requester)
        return len(one.waiting) if one else 0

    def ahead(self) -> dict[Item, int]:
        """For each waiting build an upper bound of how many other builds, of those that wait now, go before it.

        It holds until another requester joins one of them, which can bring that one forward.
        """
        idle = sorted(one.since for one in self._requesters.values() if one.waiting and not one.running)
        turns = {since: turn for turn, since in enumerate(idle)}
        bounds: dict[Item, int] = {}
        for one in self._requesters.values():
            behind = 0  # builds that wait in this line alone, and so behind this one for certain
            for index, item in reversed(list(enumerate(one.waiting))):
                bound = len(self._waiting) - 1 - behind
                if index == 0 and not one.running:
                    # Nobody who has a running build gets a turn before, and everybody else at most one.
                    bound = min(bound, turns[one.since])
                bounds[item] = min(bounds.get(item, bound), bound)
                behind += len(self._waiting[item]) == 1
        return bounds

    def _turn(self, requester: str) -> tuple[int, int]:
        one = self._requesters[requester]
        return one.running, one.since

    def _requester(self, name: str) -> _Requester[Item]:
        if name not in self._requesters:
            self._requesters[name] = _Requester(next(self._clock))
        return self._requesters[name]

    def _place(self, item: Item, name: str) -> None:
        one = self._requesters[name]
        one.running += 1
        one.since = next(self._clock)
        self._running[item] = name
        self._leave_lines(item)

    def _leave_lines(self, item: Item) -> None:
        for name in self._waiting.pop(item, set()):
            del self._requesters[name].waiting[item]
            self._forget(name)

    def _forget(self, name: str) -> None:
        one = self._requesters[name]
        if not one.waiting and not one.running:
            del self._requesters[name]
