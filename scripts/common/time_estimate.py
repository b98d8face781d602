"""How long a series of steps still takes."""

import time
from collections.abc import Callable, Sequence

PRIOR_SECONDS = 60.0
"""How much the usual pace counts beside the measured one, so that a short first step does not decide."""


class Estimate:
    """The time that a series of steps still takes, from what each usually takes and from what they took so far."""

    def __init__(self, usual: Sequence[float], clock: Callable[[], float] = time.monotonic) -> None:
        """Start the first step. `usual` has the seconds of each step, in order; on a slower machine all take longer."""
        self._usual = usual
        self._clock = clock
        self._done = 0
        self._started = self._step_started = clock()

    def step_done(self) -> None:
        """End a step and start the next one."""
        self._done += 1
        self._step_started = self._clock()

    def seconds(self) -> float:
        """The seconds that remain."""
        now = self._clock()
        before, current = sum(self._usual[: self._done]), sum(self._usual[self._done : self._done + 1])
        # A step that takes longer than expected shows a slow machine before it ends.
        pace = max(
            _pace(self._step_started - self._started, before),
            _pace(now - self._started, before + current),
        )
        rest = sum(self._usual[self._done + 1 :])
        return max(pace * current - (now - self._step_started), 0.0) + pace * rest

    def __str__(self) -> str:
        """In words, such as "about 6 min left"."""
        minutes = round(self.seconds() / 60)
        return f"about {minutes} min left" if minutes else "less than a minute left"


def _pace(taken: float, usual: float) -> float:
    return (PRIOR_SECONDS + taken) / (PRIOR_SECONDS + usual)
