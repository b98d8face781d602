"""The events of one build, in order, for any number of viewers, each with a place of its own. Used on the main loop.

What a build tells, and who listens. Used on the main loop."""

import asyncio
import json
from collections import deque
from typing import Any

BUFFER_BYTES = 16 << 20
"""More than the kubelet keeps of a log (10 MiB). What a slow viewer has not read by then is lost to it."""


class EventBuffer:
    """Numbered texts; the oldest go when there are too many bytes."""

    def __init__(self, limit: int = BUFFER_BYTES) -> None:
        """Keep at most `limit` characters, and always the newest text."""
        self._texts: deque[str] = deque()
        self._limit = limit
        self._size = 0
        self.first = 0
        """Number of the oldest that is kept."""

    @property
    def end(self) -> int:
        """Number that the next one gets."""
        return self.first + len(self._texts)

    def add(self, text: str) -> None:
        """Append one."""
        self._texts.append(text)
        self._size += len(text)
        while self._size > self._limit and len(self._texts) > 1:
            self._size -= len(self._texts.popleft())
            self.first += 1

    def get(self, number: int) -> str:
        """The text of that number. Raises IndexError when it is gone or not there yet."""
        if number < self.first:
            raise IndexError(number)
        return self._texts[number - self.first]


class Subscribers:
    """All viewers of one build."""

    def __init__(self, woken: asyncio.Event) -> None:
        """`woken` is set when a viewer comes: the build may have had nobody to read its log for."""
        self.buffer = EventBuffer()
        self.changed: set[asyncio.Event] = set()
        """One for each viewer, set when there is more on the tape or the build is over."""
        self._woken = woken
        self._told = ""

    def join(self) -> asyncio.Event:
        """A viewer more. Its event is set now and after every change; `leave` with it."""
        changed = asyncio.Event()
        changed.set()
        self.changed.add(changed)
        self._woken.set()
        return changed

    def leave(self, changed: asyncio.Event) -> None:
        """A viewer less."""
        self.changed.discard(changed)

    def waiting(self, reason: str) -> None:
        """Tell what is waited for, unless that was the last thing told."""
        if reason != self._told:
            self._told = reason
            self.tell({"phase": "waiting", "message": f"{reason}\n"})

    def goes_on(self) -> None:
        """Nothing is waited for now: the next reason is told even if it is the last one again."""
        self._told = ""

    def tell(self, event: dict[str, Any]) -> None:
        """Put an event on the tape."""
        self.buffer.add(json.dumps(event))
        self.notify()

    def notify(self) -> None:
        """Have all viewers look."""
        for changed in self.changed:
            changed.set()
