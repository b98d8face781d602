"""Progress on stderr: lines of text, and one line for each step, with its seconds."""

import sys
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager

from common.time_estimate import Estimate

TICK_SECONDS = 1.0


def say(text: str) -> None:
    """Print `text` on stderr, at once."""
    print(text, file=sys.stderr, flush=True)


@contextmanager
def step(what: str, estimate: Estimate | None = None) -> Iterator[None]:
    """Announce `what`, and say at its end how many seconds it took, or that it failed.

    With the `estimate` of a series it says how long the series still takes. On a terminal the line counts seconds in
    place; elsewhere a step has one line at its start and one at its end.
    """
    terminal = sys.stderr.isatty()
    started = time.monotonic()
    finished = threading.Event()

    def tick() -> None:
        while not finished.wait(TICK_SECONDS):
            words = [f"{time.monotonic() - started:.0f} s", *([str(estimate)] if estimate else [])]
            print(f"\r\033[K  … {what} ({', '.join(words)})", end="", file=sys.stderr, flush=True)

    begin = f"  … {what} ({estimate})" if estimate else f"  … {what}"
    print(begin, end="" if terminal else "\n", file=sys.stderr, flush=True)
    ticker = threading.Thread(target=tick, daemon=True)
    if terminal:
        ticker.start()
    outcome = "failed"
    try:
        yield
        outcome = "done"
        if estimate:
            estimate.step_done()
    finally:
        finished.set()
        if terminal:
            ticker.join()
        mark = "✓" if outcome == "done" else "✗"
        start_of_line = "\r\033[K" if terminal else ""
        say(f"{start_of_line}  {mark} {what}: {outcome} in {time.monotonic() - started:.1f} s")
