"""A release of the chart on the cluster of the tests, with the values that one fault needs."""

import contextlib
import json
import re
import secrets
import subprocess
import time
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import quote

import httpx
import httpx_sse
import yaml
from contract.service import until
from firstimage.target import Target
from machine.paths import CHART

NAME = "faults"


@dataclass
class Answer:
    """All events of one stream, and how many seconds it took."""

    events: list[dict[str, Any]] = field(default_factory=list)
    seconds: float = 0.0

    @property
    def end(self) -> dict[str, Any]:
        """The one event that ends it, `ready` or `failed`."""
        ends = [event for event in self.events if event["phase"] in ("ready", "failed")]
        assert len(ends) == 1, ends
        assert ends[0] is self.events[-1]
        return ends[0]

    def failed(self, code: str) -> str:
        """What happened, of a stream that ended with this code and has a next step."""
        assert self.end["phase"] == "failed", self.end
        assert self.end["code"] == code, self.end
        assert self.end["message"] == f"{code}: {self.end['what']}\n{self.end['next_step']}\n"
        return str(self.end["what"])

    def text(self, phase: str) -> str:
        """All messages of a phase."""
        return "".join(event["message"] for event in self.events if event["phase"] == phase)


@dataclass
class Release:
    """The release, and its BinderHub as this machine reaches it."""

    target: Target
    namespace: str
    url: str = ""

    def install(self, changes: dict[str, Any] | None = None) -> None:
        """Install it, or give it other values."""
        login = {"username": self.target.username, "password": self.target.password}
        values: dict[str, Any] = {
            "config": {
                "BinderHub": {"image_prefix": f"{self.target.registry}/{self.namespace}/", "use_registry": True},
                "DockerRegistry": {"url": f"https://{self.target.host}", **login},
                "RateLimiter": {"limit": 0},
            },
            "buildPodsRegistryCredentials": {"server": f"https://{self.target.host}", **login},
            "buildPods": {"startTimeoutSeconds": 10},
        }
        merge(values, changes or {})
        files = [f"--values={path}" for path in self.target.values]
        self.target.run(
            self.target.helm, "upgrade", "--install", NAME, str(CHART), f"--namespace={self.namespace}",
            "--create-namespace", *files, "--values=-", "--wait", "--timeout=3m", given=yaml.safe_dump(values),
        )  # fmt: skip

    @contextlib.contextmanager
    def reached(self) -> Iterator["Release"]:
        """Set `url` for as long as the block runs; the pod that answers is one of now."""
        command = [self.target.kubectl, "--context", self.target.context, f"--namespace={self.namespace}"]
        forward = subprocess.Popen(
            [*command, "port-forward", "service/binderhub", ":80"],
            env=self.target.environment(),
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
        )
        assert forward.stdout
        try:
            line = forward.stdout.readline()
            port = re.search(r"127\.0\.0\.1:(\d+)", line)
            assert port, line
            self.url = f"http://127.0.0.1:{port[1]}"
            yield self
        finally:
            forward.terminate()
            forward.communicate()

    def ask(self, repository: str, ref: str = "HEAD") -> Iterator[dict[str, Any]]:
        """The events of a request, as they come."""
        repo = quote(f"http://git.lab.test/{repository}.git", safe="")
        address = f"{self.url}/build/git/{repo}/{quote(ref, safe='')}?build_only=true"
        with (
            httpx.Client(timeout=httpx.Timeout(10.0, read=60.0), trust_env=False) as client,
            httpx_sse.connect_sse(client, "GET", address) as source,
        ):
            for message in source.iter_sse():
                yield json.loads(message.data)

    def answer(self, repository: str, ref: str = "HEAD") -> Answer:
        """The whole stream of a request."""
        answer, start = Answer(), time.monotonic()
        answer.events = list(self.ask(repository, ref))
        answer.seconds = time.monotonic() - start
        return answer

    def pods(self, selector: str = "component=binderhub-build") -> list[dict[str, Any]]:
        """Pods with these labels."""
        found: list[dict[str, Any]] = self.target.get(
            "pods", f"--namespace={self.namespace}", f"--selector={selector}"
        )["items"]
        return found

    def nothing_left(self) -> None:
        """Wait until no build pod and no Secret of one is there."""
        until(lambda: not self.pods(), "build pods to be gone")
        of_builds = ["secrets", f"--namespace={self.namespace}", "--selector=component=binderhub-build"]
        until(lambda: not self.target.get(*of_builds)["items"], "Secrets of builds to be gone")

    def delete(self, *what: str) -> None:
        """Delete something of the namespace."""
        self.target.run(self.target.kubectl, "delete", f"--namespace={self.namespace}", *what)


def merge(values: dict[str, Any], changes: dict[str, Any]) -> None:
    """Put `changes` into `values`, mapping by mapping."""
    for key, value in changes.items():
        if isinstance(value, dict) and isinstance(values.get(key), dict):
            merge(values[key], value)
        else:
            values[key] = value


@contextlib.contextmanager
def released(target: Target) -> Iterator[Release]:
    """A release in a namespace of its own, both gone afterwards."""
    release = Release(target, f"faults-{secrets.token_hex(3)}")
    try:
        release.install()
        yield release
    finally:
        target.run(target.kubectl, "delete", "namespace", release.namespace, "--ignore-not-found", "--wait=false")
