"""What a build tells, and who listens. Used on the main loop."""

import asyncio
import json
from typing import Any

from bhs_tape import Tape


class Audience:
    """All viewers of one build."""

    def __init__(self, woken: asyncio.Event) -> None:
        """`woken` is set when a viewer comes: the build may have had nobody to read its log for."""
        self.tape = Tape()
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
        self.tape.add(json.dumps(event))
        self.notify()

    def notify(self) -> None:
        """Have all viewers look."""
        for changed in self.changed:
            changed.set()
