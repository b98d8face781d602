"""What a person reads while a command works: lines on stderr, and one line a step with its seconds."""

import sys
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager

HEARTBEAT_SECONDS = 30.0


def say(text: str) -> None:
    """Print `text` on stderr, at once."""
    print(text, file=sys.stderr, flush=True)


@contextmanager
def step(what: str) -> Iterator[None]:
    """Announce `what`, show that it is still going, and say how many seconds it took, or that it failed.

    On a terminal the line counts seconds in place; elsewhere a line is added every `HEARTBEAT_SECONDS`.
    """
    terminal = sys.stderr.isatty()
    started = time.monotonic()
    finished = threading.Event()

    def tick() -> None:
        while not finished.wait(1.0 if terminal else HEARTBEAT_SECONDS):
            seconds = time.monotonic() - started
            if terminal:
                print(f"\r  … {what} ({seconds:.0f} s)", end="", file=sys.stderr, flush=True)
            else:
                say(f"  … {what} ({seconds:.0f} s so far)")

    if terminal:
        print(f"  … {what}", end="", file=sys.stderr, flush=True)
    else:
        say(f"  … {what}")
    ticker = threading.Thread(target=tick, daemon=True)
    ticker.start()
    outcome = "failed"
    try:
        yield
        outcome = "done"
    finally:
        finished.set()
        ticker.join()
        mark = "✓" if outcome == "done" else "✗"
        start_of_line = "\r\033[K" if terminal else ""
        say(f"{start_of_line}  {mark} {what}: {outcome} in {time.monotonic() - started:.1f} s")
