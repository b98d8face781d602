"""The check of an image that was built: whether it can start a user's server (buildPods.checkImage).

The check is one more step on top of the image, whose result is dropped. So it is confined like any step, it ends with
this container, and it leaves no container behind.
"""

import json
import os
import signal
import subprocess
import tempfile
import threading
from collections.abc import Callable
from typing import Any

from binderhub_service.programs.shared import say

CHECK_FAILED = 65
"""Exit code if the image cannot start a server; EX_DATAERR of sysexits.h."""

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
    """Check the image, and print what the step prints. None if it can start a server; otherwise why not.

    The answer has one of: `exit_code` of the build, `seconds` that were not enough, `error` of docker. `uses` is told
    the process that uses the daemon, and 0 when it has ended.
    """
    inspect = ["docker", "image", "inspect", "--format", "{{json .Config}}", image]
    try:
        found = subprocess.run(inspect, capture_output=True, text=True, check=False)
    except OSError as error:
        return {"error": str(error)}
    if found.returncode:
        return {"error": found.stderr.strip()[-1000:]}
    config = json.loads(found.stdout) or {}
    if config.get("OnBuild"):
        say("The image is not checked: its ONBUILD instructions would run in the check.", "building")
        return None
    say(f"Checking that the image can start a server: {' '.join(check['command'])}", "building")
    return _build(dockerfile(image, config.get("Entrypoint") or [], check), check["timeoutSeconds"], uses)


def _build(text: str, seconds: float, uses: Callable[[int], None]) -> Json | None:
    # Without `--tag`, and with its result dropped, the build leaves only what the next check of this image reuses.
    command = ["docker", "buildx", "build", "--progress=plain", "--output=type=cacheonly", "-"]
    with tempfile.TemporaryFile("w+") as given:
        given.write(text)
        given.seek(0)
        build = subprocess.Popen(
            command,
            stdin=given,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            errors="replace",
            start_new_session=True,  # buildx is a child of docker
        )
    uses(build.pid)
    too_late = threading.Event()

    def end() -> None:
        too_late.set()
        os.killpg(build.pid, signal.SIGKILL)

    timer = threading.Timer(seconds, end)
    timer.start()
    for line in build.stdout or ():
        say(line.rstrip("\n"), "building")
    code = build.wait()
    timer.cancel()
    uses(0)
    if too_late.is_set():
        return {"seconds": seconds}
    return {"exit_code": code} if code else None
