"""The Go toolchain: the machine's own where it is new enough, else the one that PyPI has."""

import os
import re
import shutil
import subprocess
from pathlib import Path

from common import virtual_environment
from common.errors import UserError
from common.paths import SCRIPTS

GO = SCRIPTS / "local_cluster" / "go"
LOCK_FILE = GO / "requirements.lock"

Version = tuple[int, ...]


def go(*arguments: str, cwd: Path, cgo: bool = False, timeout: float | None = None) -> str:
    """Run Go in the module `cwd`, for `timeout` seconds at most, and return what it printed.

    Raises UserError when Go fails, or when the machine has none that will do and PyPI's cannot be installed.
    """
    program = find_go()
    # GOROOT belongs to the machine's own Go; another one must not take its standard library from there.
    inherited = {name: value for name, value in os.environ.items() if program == _own() or name != "GOROOT"}
    done = subprocess.run(
        [program, *arguments],
        cwd=cwd,
        env={**inherited, "CGO_ENABLED": "1" if cgo else "0", "GOFLAGS": "-mod=readonly -buildvcs=false"},
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        check=False,
        timeout=timeout,
    )
    if done.returncode:
        raise UserError(
            f"`go {arguments[0]}` failed in {cwd}:\n{done.stderr.strip()[-2000:]}",
            "Check that this machine reaches its Go module proxy and has free disk, then run this again.",
        )
    return done.stdout


def find_go() -> str:
    """The path of a Go that is new enough for every go.mod; PyPI's is installed into the cache if it is needed."""
    own = _own()
    if own and _version(own) >= needed():
        return own
    installed = virtual_environment.make(LOCK_FILE, "go")
    return str(next(installed.glob("lib/python3*/site-packages/go/bin/go")))


def needed() -> Version:
    """The newest Go that a go.mod asks for, such as (1, 26, 6)."""
    return max(_parse(file.read_text(), r"^go ") for file in GO.glob("*/go.mod"))


def _own() -> str | None:
    return shutil.which("go")


def _version(program: str) -> Version:
    """The version of that Go; () where it does not tell one.

    A Go may download a newer one when a go.mod asks for it. It is asked outside of a module, for the one that it is.
    """
    asked = [program, "env", "GOVERSION"]
    return _parse(subprocess.run(asked, cwd="/", capture_output=True, text=True, check=False).stdout, "^go")


def _parse(text: str, before: str) -> Version:
    found = re.search(rf"{before}(\d+)\.(\d+)(?:\.(\d+))?", text, re.MULTILINE)
    return tuple(int(number or 0) for number in found.groups()) if found else ()
