"""The start of every script: read the options, prepare the machine, do the job, and return an exit code."""

import argparse
import importlib
import signal
import sys
from typing import Protocol, cast

from common import debian_packages, paths, virtual_environment
from common.errors import UserError
from common.progress import say


class Command(Protocol):
    """A module in `commands`. Its imports at the top are of the standard library and `machine` alone."""

    FORWARDS: bool
    """May be missing. Where it is true, what the parser does not know is in `options.further`."""

    def parser(self) -> argparse.ArgumentParser:
        """The options; asked before anything is installed."""

    def check(self, options: argparse.Namespace) -> None:
        """Raise UserError for what can be known to be wrong before anything is installed."""

    def packages(self, options: argparse.Namespace) -> tuple[str, ...]:
        """The groups of Debian packages that the job needs, see machine.packages."""

    def main(self, options: argparse.Namespace) -> int:
        """Do the job and return the exit code; runs inside the environment."""


def run(name: str) -> int:
    """Run the command `name` with this process's arguments and return its exit code.

    0 is success, 1 a UserError, 2 wrong options (argparse), and 130 an interruption.
    """
    command = cast("Command", importlib.import_module(f"commands.{name}"))
    parser = command.parser()
    options, further = parser.parse_known_args()
    if further and not getattr(command, "FORWARDS", False):
        parser.error(f"unrecognized arguments: {' '.join(further)}")
    options.further = further
    signal.signal(signal.SIGTERM, signal.default_int_handler)  # so that what was begun is cleaned up
    try:
        command.check(options)
        _make_cache()
        debian_packages.install((*command.packages(options), "python"))
        virtual_environment.enter()
        return command.main(options)
    except UserError as problem:
        say(f"\n{problem}")
        return 1
    except KeyboardInterrupt:
        say("\nInterrupted. Run the same command again to go on.")
        return 130
    finally:
        sys.stdout.flush()


def _make_cache() -> None:
    folder = paths.cache()
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise UserError(
            f"The cache {folder} cannot be made: {error.strerror}.",
            "Set XDG_CACHE_HOME to a folder that you can write to.",
        ) from error
