"""Running the system's commands."""

import subprocess
from pathlib import Path

from common.errors import UserError


def run(*command: str, given: str = "", cwd: Path | None = None) -> str:
    """Run `command` with `given` as its input and return what it printed.

    Raises UserError, with the command and all it said, when it fails.
    """
    done = subprocess.run(command, input=given, capture_output=True, text=True, check=False, cwd=cwd)
    if done.returncode:
        raise UserError(
            f"`{' '.join(command)}` failed ({done.returncode}):\n{(done.stdout + done.stderr).strip()[-2000:]}",
            "Fix the reason, then run this again. If you cannot, please report it.",
        )
    return done.stdout


def attempt(*command: str) -> bool:
    """Run `command`, which may have nothing to do, and say whether it succeeded."""
    return subprocess.run(command, stdin=subprocess.DEVNULL, capture_output=True, check=False).returncode == 0
