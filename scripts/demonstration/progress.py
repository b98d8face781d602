"""The progress of a build on the terminal: new lines of the log, and the current phase."""

import re
import sys
import time
from types import TracebackType
from typing import Self

from rich.console import Console
from rich.markup import escape

from demonstration.build_client import Event

LOG_WIDTH = 120  # where no terminal says how wide it is

CONSOLE = Console(stderr=True, highlight=False, width=None if sys.stderr.isatty() else LOG_WIDTH)

# BuildKit repeats a layer's progress several times a second: "#9 pushing layer ea8a43d2 54MB / 116MB 3.6s".
_PROGRESS = re.compile(r"#\d+ .*\d+(\.\d+)?[kMG]?B / \d+(\.\d+)?[kMG]?B")
_DROPPED = re.compile(r"(#\d+ [\d.]+ )?\(Reading database|#\d+ (sha256:\w+ )?(\d+(\.\d+)?\s*$|\.\.\.|extracting)")


class View:
    """Prints a build's events. On a terminal, the last line shows the current phase and its duration."""

    def __init__(self) -> None:
        """Begin with nothing said."""
        self._started = time.monotonic()
        self._status = CONSOLE.status("asking BinderHub")

    def __enter__(self) -> Self:
        """Show the last line."""
        self._status.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Take the last line away."""
        self._status.stop()

    def tell(self, event: Event) -> None:
        """Show one event."""
        seconds = time.monotonic() - self._started
        for line in event.message.splitlines():
            self._status.update(f"[dim]{seconds:4.0f} s[/] {event.phase or 'working'}: {escape(line[:90])}")
            if line.strip() and not _PROGRESS.match(line) and not _DROPPED.match(line):
                CONSOLE.print(f"    [dim]{seconds:5.1f} s  {event.phase:<9}[/] {escape(line)}", soft_wrap=True)
