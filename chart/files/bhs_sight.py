"""What is seen of a build's pod at one moment, and what that can mean."""

from dataclasses import dataclass, field
from typing import Any

from bhs_faults import Failure

Json = dict[str, Any]


@dataclass(frozen=True)
class Waiting:
    """Nothing to read yet."""

    reason: str
    """For what, as a sentence."""


@dataclass(frozen=True)
class Running:
    """A container runs, or has run: its log can be read."""

    container: str


@dataclass(frozen=True)
class Ended:
    """The pod has ended by itself."""

    container: str
    exit_code: int
    """0 is success; otherwise the log says more."""


@dataclass(frozen=True)
class Broken:
    """The pod will not do what is wanted, or was taken away."""

    failure: Failure


State = Waiting | Running | Ended | Broken


@dataclass
class Memory:
    """Since when what has been so, in seconds of the caller's clock."""

    first: dict[str, float] = field(default_factory=dict)

    def seconds(self, what: str, now: float) -> float:
        """For how long `what` has been so, now that it is."""
        return now - self.first.setdefault(what, now)

    def over(self, what: str) -> None:
        """`what` is so no longer."""
        self.first.pop(what, None)


@dataclass(frozen=True)
class Sight:
    """What is seen at one moment."""

    pod: Json
    events: list[Json]
    daemon: Json | None
    """The daemon's pod on the build's node."""
    has_daemons: bool
    now: float
    start_seconds: float
    build_has_spoken: bool = False
    """Whether the builder has printed anything: then it has its daemon."""
    silent_for: float = float("inf")
    """Seconds since a line of the log last came from the node."""
