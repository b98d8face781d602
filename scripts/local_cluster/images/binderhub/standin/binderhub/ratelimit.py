"""How many builds an address may ask for in a time."""

import time
from typing import Any

from traitlets import Dict, Integer
from traitlets.config import LoggingConfigurable


class RateLimitExceeded(Exception):  # noqa: N818 - BinderHub's name
    """The key has used up its requests of this period."""


class RateLimiter(LoggingConfigurable):
    """Counts requests a key in fixed windows. The count lives in this process and ends with it."""

    period_seconds = Integer(3600, config=True, help="Length of a window.")
    limit = Integer(10, config=True, help="Requests a window; 0 means no limit.")
    clean_seconds = Integer(600, config=True, help="How often windows that have ended are forgotten.")
    _limits = Dict()
    _last_cleaned = Integer(0)

    def increment(self, key: str) -> dict[str, Any]:
        """Count one request of `key`; `{"remaining": n, "reset": epoch seconds}`, or RateLimitExceeded."""
        now = int(time.time())
        if now - self._last_cleaned > self.clean_seconds:
            self._last_cleaned = now
            self._limits = {name: window for name, window in self._limits.items() if window["reset"] > now}
        if key not in self._limits or self._limits[key]["reset"] < now:
            self._limits[key] = {"remaining": self.limit, "reset": now + self.period_seconds}
        window: dict[str, Any] = self._limits[key]
        window["remaining"] -= 1
        if window["remaining"] < 0:
            raise RateLimitExceeded(f"{key} asked too often, again in {window['reset'] - now} s")
        return window
