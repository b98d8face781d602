"""The program of the container `builder`: runs repo2docker on the fetched repository, without any secret.

Its source is an argument of `python3 -I -c`; see fetch.py. It has two processes: the child runs repo2docker, which
reads the repository, and the parent, which never does, reports how that ended. The file `built` tells the container
`push` that the image exists. `push` also gives docker the logins that it needs, so no file or variable has one.

Its arguments are a JSON object (see manifests.py), and the command of repo2docker with its options.
"""

import gc
import json
import os
import select
import signal
import socket
import sys
import threading
import time
import traceback
from pathlib import Path
from typing import Any

from binderhub_service.programs.check_image import CHECK_FAILED, check_image
from binderhub_service.programs.shared import (
    DAEMON_LOST,
    TICK_SECONDS,
    answers,
    end_when_silent,
    ended,
    hold_images,
    hold_lock,
    known_arguments,
    report,
)

NO_DAEMON = 75
"""Exit code if no daemon answered in time; EX_TEMPFAIL of sysexits.h."""
NO_PERMISSION = 77
"""Exit code if the daemon's socket may not be opened; EX_NOPERM of sysexits.h."""
PERMISSION_SECONDS = 2.0
"""How long opening the socket may be refused: the daemon sets its owner a moment after it has created it."""
LOST_SECONDS = 0.5
"""How long after repo2docker's failure the end of the daemon may become visible."""


def wait_for_repository(beside: Path, word: str) -> bool:
    """Wait until the repository is fetched and checked. False if `fetch` has ended without it."""
    while not is_fetched(beside, word):
        if ended(beside / "fetching") and not is_fetched(beside, word):
            return False
        time.sleep(TICK_SECONDS)
    return True


def is_fetched(beside: Path, word: str) -> bool:
    """Whether the program of `fetch` has written its word, which nobody else knows."""
    try:
        return (beside / "fetched").read_text(encoding="utf-8") == word
    except (OSError, ValueError):
        return False


def wait_for_daemon(path: str, seconds: float) -> bool:
    """Wait until the daemon answers. False if it does not within so many seconds.

    Raises PermissionError if the socket may not be opened for `PERMISSION_SECONDS`.
    """
    end, refused_since = time.monotonic() + seconds, 0.0
    while True:
        try:
            if answers(path):
                return True
            refused_since = 0.0
        except PermissionError:
            refused_since = refused_since or time.monotonic()
            if time.monotonic() - refused_since > PERMISSION_SECONDS:
                raise
        if time.monotonic() > end:
            return False
        time.sleep(0.1)


class Child:
    """The child process that uses the daemon, if there is one now."""

    def __init__(self) -> None:
        """There is none yet."""
        self.process = 0

    def uses(self, process: int) -> None:
        """From now on it is this process; 0 is none."""
        self.process = process

    def end(self) -> bool:
        """Kill it. False if there is none, or if it has ended."""
        try:
            if self.process:
                os.kill(self.process, signal.SIGKILL)
            return bool(self.process)
        except ProcessLookupError:
            return False


class Lifeline:
    """A connection that the daemon closes only when it ends: a stream of events that no build causes."""

    def __init__(self, path: str) -> None:
        """Connect. Raises OSError if the daemon is gone."""
        self._socket = socket.socket(socket.AF_UNIX)
        self._socket.connect(path)
        query = "filters=%7B%22type%22%3A%5B%22plugin%22%5D%7D"
        self._socket.sendall(f"GET /events?{query} HTTP/1.0\r\nHost: docker\r\n\r\n".encode())

    def cut(self, seconds: float) -> bool:
        """Whether the daemon has closed it, or closes it within so many seconds."""
        end = time.monotonic() + seconds
        while (left := end - time.monotonic()) > 0:
            if select.select([self._socket], [], [], left)[0]:
                try:
                    if not self._socket.recv(65536):
                        return True
                except OSError:
                    return True
        return False


def write_docker_config(folder: Path, helper: str, proxy: str, no_proxy: str) -> None:
    """Configure docker to ask a helper program for logins, and to give the steps of Dockerfiles a proxy.

    Its files are below `folder`. `helper` is the program's source, and either it or `proxy` may be empty.
    """
    config: dict[str, Any] = {}
    if helper:
        programs = folder / "bin"
        programs.mkdir(mode=0o700)
        program = programs / "docker-credential-binderhub-service"
        program.write_text(f"#!{sys.executable} -IS\n{helper}", encoding="utf-8")
        program.chmod(0o700)
        os.environ["PATH"] = f"{programs}:{os.environ.get('PATH', os.defpath)}"
        config["credsStore"] = "binderhub-service"
    if proxy:
        # https://docs.docker.com/engine/cli/proxy/: docker gives them to each step, and keeps them out of the image.
        config["proxies"] = {"default": {"httpProxy": proxy, "httpsProxy": proxy, "noProxy": no_proxy}}
    docker = folder / "docker"
    docker.mkdir(mode=0o700)
    (docker / "config.json").write_text(json.dumps(config), encoding="utf-8")
    os.environ["DOCKER_CONFIG"] = str(docker)


def run_repo2docker(arguments: list[str], settings: dict[str, Any], child: Child) -> int:
    """Run repo2docker in a child process, forked after it was loaded, and return its exit code."""
    gc.disable()
    from repo2docker import __main__ as repo2docker
    from repo2docker.app import Repo2Docker

    gc.enable()
    # Build although the daemon has an image of that name, as with --push: its base image may be newer.
    Repo2Docker.find_image = lambda _: False
    process = os.fork()
    if process:
        child.uses(process)
        watched = (settings["word"], settings["socket"], settings["silence"], child.end)
        threading.Thread(target=end_when_silent, args=watched, daemon=True).start()
        status = os.waitpid(process, 0)[1]
        child.uses(0)
        return os.waitstatus_to_exitcode(status)
    code = 1
    try:
        sys.argv = known_arguments(arguments)
        repo2docker.main()
        code = 0
    except SystemExit as exits:
        code = exits.code if isinstance(exits.code, int) else int(exits.code is not None)
        if isinstance(exits.code, str):
            print(exits.code, file=sys.stderr)
    except BaseException:
        # In one message, as repo2docker does: an error may quote the repository, and none of its lines may pass for
        # one of the daemon.
        print(json.dumps({"phase": "failed", "message": traceback.format_exc()}), file=sys.stderr)
    finally:
        sys.stdout.flush()
        sys.stderr.flush()
        os._exit(code)
    return code


def main(settings: dict[str, Any], arguments: list[str]) -> int:
    """Build. The exit code is repo2docker's, or one of those above."""
    source, handover = Path(settings["source"]), Path(settings["handover"])
    hold_lock(handover / "building")
    gc.disable()
    import repo2docker.__main__  # noqa: F401 - loaded while the repository comes

    gc.enable()
    if not wait_for_repository(source.parent, settings["fetched"]):
        return 1
    try:
        if not wait_for_daemon(settings["socket"], settings["timeout"]):
            return NO_DAEMON
    except PermissionError as denied:
        report(settings["word"], denied=str(denied))
        return NO_PERMISSION
    hold_images(settings["socket"])
    try:
        lifeline = Lifeline(settings["socket"])
    except OSError:
        return DAEMON_LOST
    if settings["helper"] or settings["proxy"]:
        write_docker_config(Path(settings["folder"]), settings["helper"], settings["proxy"], settings["no_proxy"])
    child = Child()
    code = run_repo2docker(arguments, settings, child)
    if code:
        if lifeline.cut(LOST_SECONDS):
            return DAEMON_LOST
        report(settings["word"], exit_code=code)
        return code if code > 0 else 128 - code
    if settings["check"]:
        why = check_image(settings["image"], settings["check"], child.uses)
        if why:
            if lifeline.cut(LOST_SECONDS):
                return DAEMON_LOST
            report(settings["word"], check=why)
            return CHECK_FAILED
    (handover / "built").touch()
    report(settings["word"])
    os._exit(0)


if __name__ == "__main__":
    sys.exit(main(json.loads(sys.argv[1]), sys.argv[2:]))
