"""One bash for one page: blocks run in it one after the other, as if typed into one terminal."""

import contextlib
import os
import select
import signal
import subprocess
import time
import uuid
from collections.abc import Mapping
from pathlib import Path

# The snippets come on stdin, each after the file for its output, both ended by NUL. A status goes back on a descriptor
# that the snippets do not inherit: if bash ends, for whatever reason, the descriptor closes and the runner knows.
_DRIVER = """
set -euo pipefail
while IFS= read -r -d '' __output && IFS= read -r -d '' __snippet; do
    eval "$__snippet" </dev/null >"$__output" 2>&1 {status}>&-
    echo >&{status}
done
"""
MARK = "PAGE_RUN"
"""Every process of a page has this variable, so that those that leave the session are found as well."""


class ShellEnded(Exception):  # noqa: N818 - reported as a failed block
    """Bash ended while a block ran: a command in it failed, or it said `exit`."""

    def __init__(self, code: int) -> None:
        """Keep bash's exit status."""
        super().__init__(f"exit status {code}")
        self.code = code


class ShellTimeout(Exception):  # noqa: N818 - it is told as a failed block
    """A block exceeded its timeout."""


class Shell:
    """A bash in its own session, whose commands have no stdin. It ends with everything that it started."""

    def __init__(self, folder: Path, environment: Mapping[str, str]) -> None:
        """Start bash in `folder` with exactly this environment, and the mark."""
        self._mark = uuid.uuid4().hex
        status, theirs = os.pipe()
        try:
            self._process = subprocess.Popen(
                ["bash", "--noprofile", "--norc", "-c", _DRIVER.format(status=theirs)],
                cwd=folder,
                env={**environment, MARK: self._mark},
                stdin=subprocess.PIPE,
                stdout=subprocess.DEVNULL,
                stderr=subprocess.DEVNULL,
                pass_fds=(theirs,),
                start_new_session=True,
            )
        finally:
            os.close(theirs)
        self._status = status

    def run(self, snippet: str, output: Path, timeout: float) -> None:
        """Run `snippet`, both its streams into the file `output`, for at most `timeout` seconds.

        Raises ShellEnded when a command in it failed, ShellTimeout when it was not done in time; after either, only
        `end` may be called.
        """
        assert self._process.stdin  # noqa: S101 - opened in __init__
        try:
            self._process.stdin.write(f"{output}\0{snippet}\0".encode())
            self._process.stdin.flush()
        except BrokenPipeError:
            raise ShellEnded(self._process.wait()) from None
        ready, _, _ = select.select([self._status], [], [], timeout)
        if not ready:
            raise ShellTimeout
        if not os.read(self._status, 1):
            raise ShellEnded(self._process.wait())

    def folder(self) -> Path:
        """The folder the shell is in."""
        return Path(f"/proc/{self._process.pid}/cwd").readlink()

    def left_running(self, patience: float) -> list[str]:
        """The command lines of processes that blocks started and that still run after `patience` seconds."""
        deadline = time.monotonic() + patience
        while (found := self._processes()) and time.monotonic() < deadline:
            time.sleep(0.1)
        return list(found.values())

    def end(self) -> None:
        """Kill bash and everything that was started in it."""
        deadline = time.monotonic() + 10
        self._process.kill()
        self._process.wait()
        while (left := self._processes()) and time.monotonic() < deadline:
            for pid in left:
                try:
                    os.kill(pid, signal.SIGKILL)
                except ProcessLookupError:
                    continue
            time.sleep(0.05)
        if self._process.stdin:
            with contextlib.suppress(BrokenPipeError):  # bytes that bash did not read before it was killed
                self._process.stdin.close()
        os.close(self._status)

    def _processes(self) -> dict[int, str]:
        """Live processes of this session or with this mark, bash itself aside: process id to command line."""
        found: dict[int, str] = {}
        mark = f"{MARK}={self._mark}".encode()
        for folder in Path("/proc").glob("[0-9]*"):
            pid = int(folder.name)
            try:
                # Fields after the command's name in parentheses, which may hold blanks: state, ppid, pgrp, session.
                state, _, _, session = (folder / "stat").read_text().rpartition(")")[2].split()[:4]
                marked = int(session) == self._process.pid or mark in (folder / "environ").read_bytes().split(b"\0")
                if not marked or state in "ZX" or pid == self._process.pid:
                    continue
                words = (folder / "cmdline").read_bytes().decode(errors="replace").split("\0")
            except (FileNotFoundError, ProcessLookupError, PermissionError):
                continue  # it ended while it was looked at, or is another user's
            found[pid] = " ".join(words).strip()
        return found
