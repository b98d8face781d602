"""What runs before repo2docker in a build's container, as a process of this machine with a socket that answers."""

import fcntl
import os
import socket
import subprocess
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from bhs_engine_docker import NO_DAEMON, Docker
from bhs_look import identity, killed_for_memory


@pytest.fixture
def daemon(tmp_path: Path) -> Iterator[Path]:
    """A socket behind which somebody answers pings."""
    path = tmp_path / "docker-api.sock"
    with socket.socket(socket.AF_UNIX) as listening:
        listening.bind(str(path))
        listening.listen()

        def answer() -> None:
            while True:
                try:
                    caller, _ = listening.accept()
                except OSError:
                    return
                with caller:
                    assert caller.recv(100).startswith(b"GET /_ping ")
                    caller.sendall(b"HTTP/1.0 200 OK\r\n\r\nOK")

        thread = threading.Thread(target=answer)
        thread.start()
        yield path
        listening.shutdown(socket.SHUT_RDWR)
    thread.join()


def build(path: Path, patience: int = 10) -> subprocess.Popen[str]:
    """A build's command whose repo2docker says that it runs, and ends when it is told to."""
    command = Docker("/d/docker-api.sock", True).parts(["sh", "-c", "echo runs; read word"], patience).command
    return subprocess.Popen(
        [str(path) if word.endswith("/docker-api.sock") else word for word in command],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    )


def cleaner_may(directory: Path) -> bool:
    """Whether the cleaner gets the lock that it removes images under."""
    opened = os.open(directory, os.O_RDONLY)
    try:
        fcntl.flock(opened, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    finally:
        os.close(opened)
    return True


def test_builds_hold_the_lock_of_the_sockets_directory_while_repo2docker_runs(daemon: Path) -> None:
    with build(daemon) as first, build(daemon) as second:
        for running in (first, second):
            assert running.stdout
            assert running.stdout.readline() == "runs\n"
        assert not cleaner_may(daemon.parent)
        first.communicate("end\n")
        assert not cleaner_may(daemon.parent)
        second.communicate("end\n")
    assert cleaner_may(daemon.parent)


def test_a_build_that_is_killed_holds_nothing(daemon: Path) -> None:
    with build(daemon) as running:
        assert running.stdout
        running.stdout.readline()
        running.kill()
    assert cleaner_may(daemon.parent)


def test_without_a_daemon_it_ends_in_time_and_says_so(tmp_path: Path) -> None:
    with build(tmp_path / "docker-api.sock", patience=0) as waiting:
        assert waiting.communicate()[0] == ""
    assert waiting.returncode == NO_DAEMON


def daemon_pod(restarts: int, cleaner_restarts: int, killed: str = "") -> dict[str, Any]:
    """A docker-api pod with a cleaner, as the API shows it; `killed` names the container that memory ran out for."""

    def status(name: str, count: int) -> dict[str, Any]:
        last = {"terminated": {"reason": "OOMKilled"}} if name == killed else {}
        return {"name": name, "restartCount": count, "state": {"running": {}}, "lastState": last}

    statuses = [status("cleaner", cleaner_restarts), status("docker-api", restarts)]
    return {"metadata": {"uid": "u"}, "status": {"containerStatuses": statuses}}


def test_a_cleaner_that_ends_is_no_daemon_that_was_lost() -> None:
    assert identity(daemon_pod(0, 0)) == identity(daemon_pod(0, 3))
    assert identity(daemon_pod(0, 0)) != identity(daemon_pod(1, 0))
    assert killed_for_memory(daemon_pod(0, 1, "docker-api"))
    assert not killed_for_memory(daemon_pod(0, 1, "cleaner"))
