"""The processes of the lab's hosts: stopped for a while, as their peers see a host that is gone, or out of memory."""

import contextlib
import os
import signal
from collections.abc import Iterator
from pathlib import Path

from local_cluster.layout import CONTROL


def api_server() -> list[int]:
    """The process ids of the local cluster's API server."""
    return _with_arguments("kube-apiserver", f"--advertise-address={CONTROL.address}")


def kubelet(node: str) -> list[int]:
    """The process ids of a node's kubelet."""
    return _with_arguments("kubelet", f"--hostname-override={node}")


def daemons(socket: str) -> list[int]:
    """The process ids of the Docker daemons that listen on this socket, one on each node."""
    return _with_arguments("dockerd", f"--host=unix://{socket}")


def step(program: str, argument: str) -> list[int]:
    """The process ids of a step of a build, on any node, that runs this."""
    return _with_arguments(program, argument)


def end_first(processes: list[int]) -> None:
    """Have the kernel choose these where the memory of their control group is used up; children made later too."""
    assert processes
    for process in processes:
        Path(f"/proc/{process}/oom_score_adj").write_text("1000")


@contextlib.contextmanager
def stopped(processes: list[int]) -> Iterator[None]:
    """Stop these for as long as the block runs."""
    assert processes
    try:
        for process in processes:
            os.kill(process, signal.SIGSTOP)
        yield
    finally:
        for process in processes:
            os.kill(process, signal.SIGCONT)


def _with_arguments(program: str, argument: str) -> list[int]:
    found = []
    for process in Path("/proc").glob("[0-9]*"):
        with contextlib.suppress(FileNotFoundError, ProcessLookupError):
            words = (process / "cmdline").read_text(errors="replace").split("\0")
            if Path(words[0]).name == program and argument in words:
                found.append(int(process.name))
    return found
