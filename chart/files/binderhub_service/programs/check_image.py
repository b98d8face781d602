"""The check of an image that was built: whether it can start a user's server (buildPods.checkImage).

The check is one more step on top of the image, whose result is dropped. So it is confined like any step, it ends with
this container, and it leaves no container behind.
"""

import itertools
import json
import os
import signal
import subprocess
import tempfile
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

from binderhub_service.programs.shared import say

CHECK_FAILED = 65
"""Exit code if the image cannot start a server; EX_DATAERR of sysexits.h."""
LINES, LENGTH = 20, 300
"""How many of the last lines the report has, and how many characters of each."""
QUOTE = "------"
"""Begins what buildx prints after a failed step: its output and the Dockerfile once more."""

Json = dict[str, Any]


def dockerfile(image: str, entry_point: list[str], check: Json) -> str:
    """A build whose one step starts the image as JupyterHub does: as a user without rights, and with an empty volume.

    `check` has `command`, `user` (a number) and `homeDirectory`.
    """
    # Not a tmpfs, which belongs to root. WORKDIR makes a folder of the user, and what the step writes there is dropped.
    volume = f"FROM scratch AS volume\nUSER {check['user']}\nWORKDIR /volume\n"
    mount = f"--mount=type=bind,from=volume,source=/volume,target={check['homeDirectory']},rw"
    command = json.dumps([*entry_point, *check["command"]])
    return f"{volume}FROM {image}\nUSER {check['user']}\nRUN {mount} {command}\n"


def check_image(image: str, check: Json, uses: Callable[[int], None]) -> Json | None:
    """Check the image, and print what the check prints. None if it can start a server; otherwise why not.

    The answer has docker's last `lines`, without those that repeat others, and `seconds` if these were not enough.
    `uses` is told the process that uses the daemon, and 0 when it has ended.
    """
    try:
        with _docker("image", "inspect", "--format", "{{json .Config}}", image, uses=uses) as inspect:
            printed = inspect.communicate()[0]
        if inspect.returncode:
            return {"lines": _last(printed.splitlines())}
        config = json.loads(printed) or {}
        if config.get("OnBuild"):
            say("The image is not checked: its ONBUILD instructions would run in the check.", "building")
            return None
        say(f"Checking that the image can start a server: {' '.join(check['command'])}", "building")
        return _build(dockerfile(image, config.get("Entrypoint") or [], check), check["timeoutSeconds"], uses)
    except OSError as error:
        return {"lines": [str(error)]}


def _build(text: str, seconds: float, uses: Callable[[int], None]) -> Json | None:
    # Without `--tag`, and with its result dropped, the build leaves only what the next check of this image reuses.
    options = ("--progress=plain", "--output=type=cacheonly", "-")
    lines: list[str] = []
    begun = time.monotonic()
    with _docker("buildx", "build", *options, uses=uses, given=text) as build:
        timer = threading.Timer(seconds, os.killpg, (build.pid, signal.SIGKILL))
        timer.start()
        for line in build.stdout or ():
            lines.append(line.rstrip("\n"))
            say(lines[-1], "building")
        timer.cancel()
    if not build.returncode:
        return None
    late = build.returncode == -signal.SIGKILL and time.monotonic() - begun >= seconds
    return {"lines": _last(lines), **({"seconds": seconds} if late else {})}


@contextmanager
def _docker(*arguments: str, uses: Callable[[int], None], given: str = "") -> Iterator[subprocess.Popen[str]]:
    """docker with this input. At the end of the block it has ended. Raises OSError if there is none."""
    with tempfile.TemporaryFile("w+") as file:
        file.write(given)
        file.seek(0)
        process = subprocess.Popen(
            ["docker", *arguments],
            stdin=file,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            errors="replace",
            start_new_session=True,  # buildx is a child of docker
        )
    uses(process.pid)
    with process:
        yield process
    uses(0)


def _last(lines: list[str]) -> list[str]:
    before = list(itertools.takewhile(lambda line: not line.startswith(QUOTE), lines))
    return [line[:LENGTH] for line in before[-LINES:]]
