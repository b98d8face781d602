"""What runs on a host of the cluster: processes, each started when its condition holds and again when it ends."""

import os
import socket
import ssl
import subprocess
import time
import urllib.error
import urllib.request
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from local_cluster.layout import API

RESTART_SECONDS = 1.0
POLL_SECONDS = 0.1


@dataclass(frozen=True)
class Process:
    """One program of a host."""

    name: str
    command: list[str]
    after: Callable[[], bool] = lambda: True
    """Whether it may be started now."""


def api_answers() -> bool:
    """Whether the API server says that it is ready."""
    # Asked before any certificate matters: the answer is "ok" or nothing.
    context = ssl._create_unverified_context()  # noqa: S323
    try:
        with urllib.request.urlopen(f"{API}/readyz", context=context, timeout=3):  # noqa: S310
            return True
    except OSError:
        return False


def socket_answers(path: str) -> bool:
    """Whether something accepts connections on the unix socket `path`."""
    with socket.socket(socket.AF_UNIX) as client:
        try:
            client.connect(path)
        except OSError:
            return False
    return True


def supervise(processes: list[Process], logs: Path, prefix: str) -> None:
    """Start `processes` in order and keep them running; as process 1 also reap what others leave. Never returns."""
    running: dict[int, Process] = {}

    def start(process: Process) -> None:
        with (logs / f"{prefix}-{process.name}.log").open("ab") as log:
            child = subprocess.Popen(process.command, stdin=subprocess.DEVNULL, stdout=log, stderr=subprocess.STDOUT)
        child.returncode = 0  # it is waited for below, not by subprocess
        running[child.pid] = process

    def reap(flags: int) -> None:
        try:
            pid, status = os.waitpid(-1, flags)
        except ChildProcessError:
            return
        if ended := running.pop(pid, None):
            print(f"{ended.name} ended with {os.waitstatus_to_exitcode(status)}; starting it again", flush=True)
            time.sleep(RESTART_SECONDS)
            start(ended)

    for process in processes:
        while not process.after():
            reap(os.WNOHANG)
            time.sleep(POLL_SECONDS)
        start(process)
    while True:
        reap(0)
