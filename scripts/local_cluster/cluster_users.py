"""Which commands use the local cluster, so that none removes it under another.

Each keeps a file locked until it ends. The kernel frees the lock of a process that crashed, so its file says nothing.
"""

import contextlib
import fcntl
import json
import os
import sys
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TextIO

from common.errors import UserError
from common.paths import CLONE

from local_cluster import layout


@dataclass(frozen=True)
class Command:
    """A running command."""

    name: str
    """What was typed, such as `scripts/benchmark --only single`."""
    pid: int
    clone: str
    """The folder of its clone."""

    def __str__(self) -> str:
        """In words."""
        return f"`{self.name}` (process {self.pid}, clone {self.clone})"


_own: dict[Path, TextIO] = {}
"""The file of this process, by its path, while it is locked."""


@contextlib.contextmanager
def alone() -> Iterator[None]:
    """Hold the machine's only right to raise or remove the cluster, and to begin or end a use of it.

    Raises UserError when another command has it.
    """
    file = layout.LOCKS / "change"
    lock = _lock(file)
    if not lock:
        raise UserError(
            f"{_read(file) or 'Another command'} is raising or removing the cluster right now.",
            "Wait until it is done, then run this again.",
        )
    with lock:
        yield


def use() -> None:
    """Make this command a user of the cluster, until it ends or calls `leave`. Hold `alone` meanwhile."""
    file = _file()
    if file not in _own and (lock := _lock(file)):
        _own[file] = lock


def leave() -> None:
    """End what `use` began, if it did. Hold `alone` meanwhile."""
    if lock := _own.pop(_file(), None):
        _file().unlink()
        lock.close()


def refuse_others(what: str, *, force: bool) -> None:
    """Raise UserError where other commands use the cluster, unless `force`. Hold `alone` meanwhile.

    `what` completes "this command would …".
    """
    found = others()
    if found and not force:
        raise UserError(
            f"The local cluster is in use by {' and '.join(map(str, found))}, and this command would {what}.",
            "Wait until the other one ends, then run this again, or use --force to do it all the same.",
        )


def others() -> list[Command]:
    """The commands that use the cluster, without this one and those that started it: it does a part of their work.

    Files that nobody holds are removed. Hold `alone` meanwhile.
    """
    found, family = [], _ancestry()
    for file in sorted(layout.LOCKS.glob("use-*")):
        with file.open() as opened:
            try:
                fcntl.flock(opened, fcntl.LOCK_SH | fcntl.LOCK_NB)
                file.unlink()
            except BlockingIOError:
                command = _read(file)
                if command and command.pid not in family:
                    found.append(command)
    return found


def _file() -> Path:
    return layout.LOCKS / f"use-{os.getpid()}"


def _lock(file: Path) -> TextIO | None:
    """Lock `file` until it is closed, with this command in it; None where another process has it locked."""
    layout.LOCKS.mkdir(mode=0o700, parents=True, exist_ok=True)
    opened = file.open("a")
    try:
        fcntl.flock(opened, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        opened.close()
        return None
    opened.truncate(0)
    opened.write(json.dumps(asdict(Command(_typed(), os.getpid(), str(CLONE)))))
    opened.flush()
    return opened


def _read(file: Path) -> Command | None:
    """The command in `file`; None in the moment before it is written."""
    try:
        return Command(**json.loads(file.read_text()))
    except ValueError:
        return None


def _typed() -> str:
    """What was typed to start this process, or nearly so."""
    program = Path(sys.argv[0])
    if program.name == "__main__.py":  # python -m pytest
        program = Path(program.parent.name)
    elif program.resolve().is_relative_to(CLONE):
        program = program.resolve().relative_to(CLONE)
    return " ".join([str(program), *sys.argv[1:]])


def _ancestry() -> set[int]:
    """This process and those that started it, by their ids."""
    found, pid = {os.getpid()}, os.getppid()
    while pid > 1:
        found.add(pid)
        try:
            status = Path(f"/proc/{pid}/stat").read_text()
        except FileNotFoundError:  # it ended just now
            break
        pid = int(status.rpartition(")")[2].split()[1])
    return found
