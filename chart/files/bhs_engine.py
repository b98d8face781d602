"""What an engine that builds images must tell the executor. One module an engine; nothing else knows which one runs."""

import re
from dataclasses import dataclass, field
from typing import Any, Protocol

Json = dict[str, Any]


@dataclass(frozen=True)
class Parts:
    """What the engine adds to the containers that build and push."""

    socket: str
    """The daemon's socket, as those containers see it."""
    volumes: list[Json] = field(default_factory=list)
    mounts: list[Json] = field(default_factory=list)
    env: list[Json] = field(default_factory=list)


@dataclass(frozen=True)
class Words:
    """How lines of the engine read, as patterns for `match` at the start of a line."""

    output: re.Pattern[str]
    """A line that a step of the build printed: evidence of nothing but the step."""
    quote: re.Pattern[str]
    """Begins and ends a block in which the output of a failed step is repeated."""
    error: re.Pattern[str]
    """The engine's own error; group `error`."""
    step: re.Pattern[str]
    """An error that is a step's; groups `step` and `code`."""
    lost: re.Pattern[str]
    """An error by which the daemon may have gone away."""
    full: re.Pattern[str]
    """An error by which the daemon's disk is full."""


class Engine(Protocol):
    """One way to build images."""

    words: Words

    def parts(self) -> Parts:
        """What lets repo2docker build here."""

    def has_daemons(self) -> bool:
        """Whether pods of the release are the daemons; False where the daemon is somebody else's."""
