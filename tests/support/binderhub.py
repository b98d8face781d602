"""BinderHub as a process on this machine's loopback, and a client that sees every line of its streams."""

import json
import os
import secrets
import signal
import socket
import subprocess
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from urllib.parse import quote

import httpx

INSIDE = Path(__file__).parent / "inside"
KUBERNETES_CLIENTS = Path(__file__).parent / "kubernetes_clients"
"""Versions of the kubernetes client other than the image's, each with its hash."""
PATIENCE_SECONDS = 30.0
KEEPALIVE = ":keepalive"
PREFIX = "registry.example/group/b-"

CONFIG = f"""
import sys
sys.path.insert(0, {str(INSIDE)!r})
from binderhub.builder import BuildHandler
BuildHandler.KEEPALIVE_INTERVAL = 0.3
c.BinderHub.enable_api_only_mode = True
c.BinderHub.builder_required = False
c.BinderHub.image_prefix = {PREFIX!r}
c.BinderHub.registry_class = "recording.RecordingRegistry"
c.BinderHub.build_class = "recording.ScriptedExecutor"
c.BinderHub.build_cleaner_class = None
c.RateLimiter.limit = 0
"""


@dataclass(frozen=True)
class Installed:
    """An interpreter that can import one BinderHub."""

    python: Path
    packages: Path
    """The folder with the package `binderhub`."""
    version: str
    is_standin: bool


def until(condition: Callable[[], Any], what: str) -> Any:
    """What `condition` returns as soon as that is true; fails with `what` when it stays false."""
    end = time.monotonic() + PATIENCE_SECONDS
    while time.monotonic() < end:
        found = condition()
        if found:
            return found
        time.sleep(0.02)
    raise AssertionError(f"waited {PATIENCE_SECONDS:.0f} s for: {what}")


def free_port(address: str = "127.0.0.1") -> int:
    """A port of this machine's `address` that nobody listens on."""
    with socket.create_server((address, 0)) as server:
        port: int = server.getsockname()[1]
        return port


def new_ref() -> str:
    """A commit that BinderHub takes as it is; tests tell their builds apart by it."""
    return secrets.token_hex(20)


@dataclass(frozen=True)
class Repository:
    """Where a repository is, and what its branch `main` and its tag `v1/first` point to."""

    url: str
    commit: str

    def spec(self, ref: str) -> str:
        """What a request names it by."""
        return f"{quote(self.url, safe='')}/{ref}"


def answers(url: str) -> bool:
    """Whether anything answers there, whatever it says."""
    try:
        httpx.get(url)
    except httpx.TransportError:
        return False
    return True


@dataclass
class Stream:
    """The answer to one request, line by line."""

    response: httpx.Response
    _lines: Iterator[str] = field(init=False)

    def __post_init__(self) -> None:
        self._lines = (line for line in self.response.iter_lines() if line)

    def next(self) -> Any:
        """The next event (its JSON read), KEEPALIVE, or None at the end of the stream."""
        line = next(self._lines, None)
        if line is None or line == KEEPALIVE:
            return line
        assert line.startswith("data: "), line
        return json.loads(line.removeprefix("data: "))

    def event(self) -> Any:
        """The next event, whatever keepalives come before; None at the end. Fails when there are only keepalives."""
        end = time.monotonic() + PATIENCE_SECONDS
        while (event := self.next()) == KEEPALIVE:
            assert time.monotonic() < end, f"only keepalives for {PATIENCE_SECONDS:.0f} s"
        return event

    def stays_open(self) -> None:
        """Fail unless the next two things are keepalives."""
        assert [self.next(), self.next()] == [KEEPALIVE, KEEPALIVE]

    def rest(self) -> list[Any]:
        """All events to the end of the stream."""
        return list(iter(self.event, None))


@dataclass
class Service:
    """A running BinderHub."""

    url: str
    folder: Path
    """Where scripts are read from and notes are written to, see inside/recording.py."""
    log: Path

    def get(self, path: str, **options: Any) -> httpx.Response:
        """Answer of any route."""
        return httpx.get(f"{self.url}{path}", timeout=PATIENCE_SECONDS, **options)

    @contextmanager
    def build(
        self,
        spec: str,
        *,
        provider: str = "git",
        query: str = "?build_only=true",
        headers: dict[str, str] | None = None,
    ) -> Iterator[Stream]:
        """The stream of a request for `spec`."""
        url = f"{self.url}/build/{provider}/{spec}{query}"
        headers = {"Accept": "text/event-stream", **(headers or {})}
        with httpx.stream("GET", url, headers=headers, timeout=PATIENCE_SECONDS) as response:
            assert response.status_code == 200
            assert response.headers["content-type"] == "text/event-stream"
            yield Stream(response)

    def events(self, spec: str, **options: Any) -> list[Any]:
        """All events of a request whose stream ends by itself."""
        with self.build(spec, **options) as stream:
            return stream.rest()

    def script(self, submit: list[tuple[str, str]], logs: list[tuple[str, str]] | None = None) -> str:
        """A ref whose build takes these steps."""
        ref = new_ref()
        (self.folder / f"{ref}.json").write_text(json.dumps({"submit": submit, "logs": logs or []}))
        return ref

    def let(self, ref: str, name: str) -> None:
        """Let the build of `ref` pass its step `wait name`."""
        (self.folder / f"{ref}.{name}").touch()

    def notes(self, ref: str = "start-up", what: str = "") -> list[dict[str, Any]]:
        """What was noted for `ref`, of one kind or of all."""
        file = self.folder / f"{ref}.jsonl"
        lines = file.read_text().splitlines() if file.exists() else []
        return [read for read in map(json.loads, lines) if what in ("", read["what"])]

    def noted(self, ref: str, what: str) -> dict[str, Any]:
        """The first note of that kind, waited for."""
        notes: list[dict[str, Any]] = until(lambda: self.notes(ref, what), f"{what} of {ref}")
        return notes[0]


@contextmanager
def running(
    installed: Installed, folder: Path, config: str = "", env: dict[str, str] | None = None
) -> Iterator[Service]:
    """BinderHub with CONFIG and then `config`, in `folder`, until the end of the block."""
    port = free_port()
    file, log = folder / "config.py", folder / "log"
    file.write_text(f"{CONFIG}c.BinderHub.port = {port}\n{config}")
    inherited = {name: value for name, value in os.environ.items() if not name.startswith(("JUPYTERHUB_", "KUBE"))}
    environment = {
        **inherited,
        "CONTRACT_FOLDER": str(folder),
        "DOCKER_CONFIG": str(folder),
        "PYTHONPATH": str(installed.packages),
        "PYTHONUNBUFFERED": "1",
        **(env or {}),
    }
    with log.open("wb") as output:
        process = subprocess.Popen(
            [installed.python, "-m", "binderhub", "--config", file],
            cwd=folder,
            env=environment,
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=subprocess.STDOUT,
        )
    service = Service(f"http://127.0.0.1:{port}", folder, log)

    def listens() -> bool:
        assert process.poll() is None, f"BinderHub ended:\n{log.read_text()}"
        with socket.socket() as client:
            return client.connect_ex(("127.0.0.1", port)) == 0

    try:
        until(listens, "BinderHub to listen")
        yield service
    finally:
        process.send_signal(signal.SIGTERM)
        process.wait(PATIENCE_SECONDS)
