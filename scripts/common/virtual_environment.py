"""The virtual environment that commands run in, made from requirements.lock and kept in the cache."""

import fcntl
import hashlib
import os
import shutil
import subprocess
import sys
from pathlib import Path

from common.errors import UserError
from common.paths import LOCK_FILE, cache, is_complete, mark_complete
from common.progress import say, step


def make(lock_file: Path, purpose: str, interpreter: Path | None = None) -> Path:
    """The folder of a virtual environment with exactly the packages of `lock_file`, made if it is not there.

    It is keyed by the lock file and the interpreter (by default the one that this runs on), and marked when whole, so
    that an interrupted run leaves nothing that looks finished. Raises UserError when pip fails.
    """
    made_with = str(interpreter or base_interpreter())
    key = hashlib.sha256(lock_file.read_bytes() + f"{_version(made_with)}{made_with}".encode()).hexdigest()[:16]
    folder = cache() / f"venv-{purpose}-{key}"
    if is_complete(folder):
        return folder
    with (cache() / "venv.lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if is_complete(folder):
            return folder
        # A virtual environment cannot be moved (its scripts name their interpreter), hence a mark instead of a rename.
        shutil.rmtree(folder, ignore_errors=True)
        say(f"Making the Python environment for {purpose} from {lock_file.name}")
        with step("python3 -m venv, pip install"):
            _run([made_with, "-m", "venv", str(folder)])
            _run(
                [
                    str(folder / "bin" / "python"),
                    "-m",
                    "pip",
                    "install",
                    "--quiet",
                    "--require-hashes",
                    "--only-binary=:all:",
                    "--requirement",
                    str(lock_file),
                ]
            )
        mark_complete(folder, f"venv-{purpose}-*")
    return folder


def base_interpreter() -> str:
    """The interpreter that environments are made with: the same from inside one as from outside."""
    return str(Path(vars(sys)["_base_executable"]).resolve())


def enter() -> None:
    """Run this very command again inside the environment, unless it already runs there."""
    folder = make(LOCK_FILE, "scripts")
    if Path(sys.prefix).resolve() == folder.resolve():
        return
    python = folder / "bin" / "python"
    search = f"{folder / 'bin'}:{os.environ.get('PATH', '')}"
    sys.stderr.flush()
    os.execve(python, [str(python), *sys.argv], {**os.environ, "PATH": search, "VIRTUAL_ENV": str(folder)})  # noqa: S606


def _version(interpreter: str) -> str:
    if interpreter == base_interpreter():
        return sys.version
    asked = [interpreter, "-c", "import sys; print(sys.version, end='')"]
    return subprocess.run(asked, capture_output=True, text=True, check=True).stdout


def _run(command: list[str]) -> None:
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    if done.returncode:
        raise UserError(
            f"`{' '.join(command)}` failed:\n{(done.stdout + done.stderr).strip()[-2000:]}",
            "Check that this machine reaches its Python package registry, then run this again.",
        )
