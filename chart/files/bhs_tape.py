"""The events of one build, in order, for any number of viewers, each with a place of its own. Used on the main loop."""

from collections import deque

TAPE_BYTES = 16 << 20
"""More than the kubelet keeps of a log (10 MiB). What a slow viewer has not read by then is lost to it."""


class Tape:
    """Numbered texts; the oldest go when there are too many bytes."""

    def __init__(self, limit: int = TAPE_BYTES) -> None:
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
