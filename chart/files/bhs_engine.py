"""What an engine that builds images must tell the executor. One module an engine; nothing else knows which one runs."""

import re
from dataclasses import dataclass, field
from typing import Any, Protocol

Json = dict[str, Any]


@dataclass(frozen=True)
class Parts:
    """What the engine adds to the container that builds."""

    command: list[str]
    """Waits for the daemon, then runs the command that it was made for."""
    volumes: list[Json] = field(default_factory=list)
    mounts: list[Json] = field(default_factory=list)
    env: list[Json] = field(default_factory=list)


@dataclass(frozen=True)
class Words:
    """How lines of the engine read, as patterns for `search`."""

    step: re.Pattern[str]
    """A step that failed; groups `step`, `code`."""
    push: re.Pattern[str]
    """From the first line that matches, it is the push that goes on."""
    digest: re.Pattern[str]
    """What was pushed; group `digest`."""
    lost: re.Pattern[str]
    """The daemon went away."""
    full: re.Pattern[str]
    """The daemon's disk is full."""


class Engine(Protocol):
    """One way to build images."""

    words: Words

    def parts(self, command: list[str], patience: int) -> Parts:
        """What lets repo2docker build here, waiting at most `patience` seconds for the daemon.

        `command` is to run from then on, and until repo2docker has ended.
        """

    def has_daemons(self) -> bool:
        """Whether pods of the release are the daemons; False where the daemon is somebody else's."""
