"""What the programs of the containers share: the report, the form of the log, locks, and the daemon's signs of life.

The source of this module is part of each program's command: see `command` in __init__.py.
"""

import fcntl
import json
import os
import socket
import sys
import time
from argparse import SUPPRESS
from collections.abc import Callable
from http.client import HTTPConnection, HTTPException
from pathlib import Path

DAEMON_LOST = 69
"""Exit code if the daemon ended while a program used it; EX_UNAVAILABLE of sysexits.h."""
DAEMON_SILENT = 70
"""Exit code if the daemon stopped answering; EX_SOFTWARE of sysexits.h."""
MEMORY_LIMIT = "--build-memory-limit"
PING_SECONDS = 5.0
"""How often the daemon is asked for a sign of life, and how long its answer may take."""
TICK_SECONDS = 0.02


def known_arguments(arguments: list[str]) -> list[str]:
    """The arguments without BinderHub's memory_limit, if this repo2docker no longer has such a limit.

    repo2docker of 2026 knows the option only to refuse it, and hides it from its help.
    """
    from repo2docker import __main__ as repo2docker

    if MEMORY_LIMIT not in arguments:
        return arguments
    options = [one for one in repo2docker.get_argparser()._actions if MEMORY_LIMIT in one.option_strings]
    if any(one.help != SUPPRESS for one in options):
        return arguments
    position = arguments.index(MEMORY_LIMIT)
    return [*arguments[:position], *arguments[position + 2 :]]


def report(word: str, **particulars: object) -> None:
    """Print the report, the last line of the log. BinderHub trusts it because of its word."""
    sys.stdout.flush()
    print(json.dumps({"binderhub-service": word, **particulars}), file=sys.stderr, flush=True)


def say(message: str, phase: str) -> None:
    """Print a line of the log in repo2docker's form."""
    print(json.dumps({"phase": phase, "message": f"{message}\n"}), flush=True)


def hold_lock(file: Path) -> None:
    """Create the file, locked until this process ends. It appears under its name only when it is locked."""
    begins = file.with_name("begins")
    fcntl.flock(os.open(begins, os.O_CREAT | os.O_WRONLY), fcntl.LOCK_EX)
    begins.rename(file)


def ended(lock: Path) -> bool:
    """Whether the process that locks this file has begun and ended."""
    try:
        with lock.open(encoding="utf-8") as file:
            fcntl.flock(file, fcntl.LOCK_SH | fcntl.LOCK_NB)
            return True
    except (FileNotFoundError, BlockingIOError):
        return False


def hold_images(socket_path: str) -> None:
    """Lock the socket's directory, shared, until this process ends: the cleaner removes no image meanwhile."""
    fcntl.flock(os.open(Path(socket_path).parent, os.O_RDONLY), fcntl.LOCK_SH)


class DaemonConnection(HTTPConnection):
    """HTTP over the daemon's unix socket."""

    def __init__(self, path: str, timeout: float | None = None) -> None:
        """`path` is the socket's; each answer may take `timeout` seconds, if there is one."""
        super().__init__("docker", timeout=timeout)
        self._path = path

    def connect(self) -> None:
        """Connect to the socket. Raises OSError if no daemon listens."""
        self.sock = socket.socket(socket.AF_UNIX)
        self.sock.settimeout(self.timeout)
        self.sock.connect(self._path)


def answers(path: str) -> bool:
    """Whether a Docker daemon answers. That its socket exists proves nothing.

    Raises PermissionError if the socket may not be opened.
    """
    connection = DaemonConnection(path, PING_SECONDS)
    try:
        connection.request("GET", "/_ping")
        return connection.getresponse().status == 200
    except PermissionError:
        raise
    except (OSError, HTTPException):
        return False
    finally:
        connection.close()


def end_when_silent(word: str, path: str, limit: float, end_child: Callable[[], bool]) -> None:
    """Say when the daemon does not answer, and end this process if it does not for `limit` seconds; 0 is no limit.

    `end_child` ends the child that uses the daemon, and returns False if there is none any more: then this process is
    about to say how it ended.
    """
    answered, said = time.monotonic(), False
    while True:
        time.sleep(PING_SECONDS)
        try:
            alive = answers(path)
        except PermissionError:
            alive = False
        silent = time.monotonic() - answered
        if alive:
            if said:
                say("The daemon answers again.", "waiting")
            answered, said = time.monotonic(), False
        elif limit and silent >= limit:
            if end_child():
                report(word, silent=round(silent))
                os._exit(DAEMON_SILENT)
        else:
            say(f"Waiting for the daemon, which has not answered for {silent:.0f} s.", "waiting")
            said = True
