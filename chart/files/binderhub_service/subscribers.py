"""The events of one build, and the requests that follow them. Everything here runs on the main loop."""

import asyncio
import json
from collections import deque

from binderhub_service import Json

BUFFER_CHARACTERS = 16 << 20
"""More than the kubelet keeps of a log (10 MiB). A client that is slower than that loses the oldest events."""


class EventBuffer:
    """Numbered texts, of which the oldest are dropped when the buffer is full.

    Each reader keeps its own position, so any number of readers can share one buffer.
    """

    def __init__(self, limit: int = BUFFER_CHARACTERS) -> None:
        """Keep at most `limit` characters, but always the newest text."""
        self._texts: deque[str] = deque()
        self._limit = limit
        self._size = 0
        self.first = 0
        """Number of the oldest text in the buffer."""

    @property
    def end(self) -> int:
        """Number that the next text gets."""
        return self.first + len(self._texts)

    def add(self, text: str) -> None:
        """Append a text."""
        self._texts.append(text)
        self._size += len(text)
        while self._size > self._limit and len(self._texts) > 1:
            self._size -= len(self._texts.popleft())
            self.first += 1

    def get(self, number: int) -> str:
        """The text with that number. Raises IndexError if it was dropped or does not exist yet."""
        if number < self.first:
            raise IndexError(number)
        return self._texts[number - self.first]


class Subscribers:
    """All requests that follow one build."""

    def __init__(self) -> None:
        """A build without subscribers."""
        self.buffer = EventBuffer()
        self.changed: set[asyncio.Event] = set()
        """One event for each subscriber, set when the buffer has more, or when the build is done."""
        self.wake = asyncio.Event()
        """Wakes the build: set when a subscriber comes, and by the build after each change in the cluster."""
        self._last_wait = ""

    def subscribe(self) -> asyncio.Event:
        """Add a subscriber. Its event is set now and after every change; `unsubscribe` takes it back."""
        changed = asyncio.Event()
        changed.set()
        self.changed.add(changed)
        self.wake.set()
        return changed

    def unsubscribe(self, changed: asyncio.Event) -> None:
        """Remove a subscriber."""
        self.changed.discard(changed)

    def publish_wait(self, reason: str) -> None:
        """Say what the build waits for, unless the previous event said the same."""
        if reason != self._last_wait:
            self._last_wait = reason
            self.publish({"phase": "waiting", "message": f"{reason}\n"})

    def end_wait(self) -> None:
        """The build waits for nothing now. The next reason is published even if it equals the previous one."""
        self._last_wait = ""

    def publish(self, event: Json) -> None:
        """Add an event to the buffer."""
        self.buffer.add(json.dumps(event))
        self.notify()

    def notify(self) -> None:
        """Wake all subscribers."""
        for changed in self.changed:
            changed.set()
