"""The site on this machine, as a writer looks at it."""

import re
import signal
import socket
import subprocess
import urllib.request
from collections.abc import Iterator
from pathlib import Path

import pytest
from common.paths import CLONE


def serve(output: Path, port: int) -> subprocess.Popen[str]:
    words = ["serve", "--output", str(output), "--port", str(port)]
    return subprocess.Popen([str(CLONE / "scripts" / "docs"), *words], stderr=subprocess.PIPE, text=True)


@pytest.fixture
def taken() -> Iterator[int]:
    """A port that another program listens on."""
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        listener.listen()
        yield listener.getsockname()[1]


def test_the_site_is_served_until_interrupted(tmp_path: Path) -> None:
    with serve(tmp_path / "html", 0) as process:
        assert process.stderr
        told = next(line for line in process.stderr if "http://" in line)
        address = re.search(r"http://127\.0\.0\.1:\d+/", told)
        assert address
        with urllib.request.urlopen(address.group()) as answer:  # noqa: S310 - our own address
            assert b"<h1>binderhub-service" in answer.read()
        process.send_signal(signal.SIGINT)
        assert process.wait(timeout=10) == 0


def test_a_port_that_is_taken_gets_a_sentence(tmp_path: Path, taken: int) -> None:
    with serve(tmp_path / "html", taken) as process:
        _, told = process.communicate(timeout=60)
    assert process.returncode == 1
    assert f"Port {taken} cannot be served" in told
    assert "--port" in told
