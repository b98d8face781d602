"""One of the two releases that are compared."""

import contextlib
import json
import subprocess
import tempfile
import threading
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import yaml
from common.errors import UserError
from common.paths import CHART
from demonstration.target import Target

from benchmarking.api_proxy import Api
from benchmarking.client_in_pod import PORT

INSIDE = Path(__file__).with_name("client_in_pod.py")
RELEASE = "binderhub-service"
PATIENCE_SECONDS = 300
"""How long a stream may take where nothing is to fail."""

Json = dict[str, Any]


@dataclass
class Release:
    """The chart in its own namespace, with one of the two executors."""

    target: Target
    api: Api
    namespace: str
    executor: str
    node: str
    """Where all builds are."""
    changes: Json = field(default_factory=dict)
    """Values beyond those that both have."""

    def install(self) -> None:
        """Install it and wait until its pods are ready. Raises UserError after five minutes."""
        login = {"server": self.target.host, "username": self.target.username, "password": self.target.password}
        values: Json = {
            "allowAnonymous": True,
            "registry": login,
            "config": {
                "BinderHub": {
                    "image_prefix": f"{self.target.registry}/{self.namespace}-",
                    "use_registry": True,
                    "port": PORT,
                    "base_url": "/",
                },
                "RateLimiter": {"limit": 0},
            },
            "networkPolicy": {"enabled": False},  # build pods fetch from a pod of this cluster
            "builders": {"nodeSelector": {"kubernetes.io/hostname": self.node}},
            "buildPods": {"executor": self.executor},
        }
        with tempfile.NamedTemporaryFile("w", suffix=".yaml") as file:  # mode 0600: it holds the registry's password
            yaml.safe_dump(merged(values, self.changes), file)
            file.flush()
            files = [f"--values={path}" for path in (*self.target.values, Path(file.name))]
            self.target.run(
                self.target.helm, "install", RELEASE, str(CHART), f"--namespace={self.namespace}", "--create-namespace",
                *files, "--wait", "--timeout=5m",
            )  # fmt: skip

    def build(self, *urls: str) -> tuple[list[float], Json]:
        """Ask for all at once: seconds of each until its stream ended with `ready`, and what the process took.

        Raises UserError where one does not end so.
        """
        *ends, taken = self._job({"job": "builds", "urls": urls, "loud": False, "patience": PATIENCE_SECONDS})
        for end in ends:
            if end["phase"] != "ready":
                raise UserError(
                    f"A build of {self.executor} ended with {end['phase'] or 'nothing'}: {end['message']}",
                    "Fix the reason; no build of this part may fail.",
                )
        return [end["seconds"] for end in ends], taken

    def tell(self, url: str, patience: float, told: Callable[[Json], None]) -> Json:
        """Ask for one, hand on its events as they come, and return how the stream ended, or that it was cut."""
        job = {"job": "builds", "urls": [url], "loud": True, "patience": patience}
        end: Json = {}
        for line in self._lines(job):
            if "event" in line:
                told(line["event"])
            elif "phase" in line:
                end = line
        return end

    def cached(self, url: str, times: int) -> list[float]:
        """Milliseconds of so many requests for an image that is in the registry."""
        (answer,) = self._job({"job": "cached", "url": url, "times": times})
        return list(answer["milliseconds"])

    def hang_up(self, url: str, times: int) -> None:
        """So many clients ask for a build and go."""
        self._job({"job": "hang_up", "url": url, "times": times})

    def memory(self) -> float:
        """MiB that BinderHub's process has resident."""
        (answer,) = self._job({"job": "weigh"})
        return float(answer["memory"])

    def pods(self, selector: str = "component=binderhub-build") -> list[Json]:
        """Its pods with these labels."""
        found: list[Json] = self.api.get(f"{self.path}/pods", labelSelector=selector)["items"]
        return found

    @property
    def path(self) -> str:
        """Where its objects are in the API."""
        return f"/api/v1/namespaces/{self.namespace}"

    def _job(self, job: Json) -> list[Json]:
        return list(self._lines(job))

    def _lines(self, job: Json) -> Iterator[Json]:
        kubectl = [self.target.kubectl, "--context", self.target.context, f"--namespace={self.namespace}"]
        pod = ["deployment/binderhub", "--container=binderhub"]
        client = subprocess.Popen(
            [*kubectl, "exec", "--stdin", *pod, "--", "python3", "-", json.dumps(job)],
            env=self.target.environment(),
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )
        assert client.stdin  # noqa: S101 - all three asked for above
        assert client.stdout  # noqa: S101
        assert client.stderr  # noqa: S101
        errors: list[str] = []
        reader = threading.Thread(target=errors.extend, args=(client.stderr,))
        try:
            client.stdin.write(INSIDE.read_text())
            client.stdin.close()
            reader.start()
            for line in client.stdout:
                yield json.loads(line)
            reader.join()
            if client.wait():
                raise UserError(
                    f"The client in the pod of {self.executor} failed: {''.join(errors).strip()[-1000:]}",
                    f"See `kubectl --namespace {self.namespace} get pods`.",
                )
        finally:
            client.terminate()
            with contextlib.suppress(ValueError):  # closed already
                client.communicate()


def merged(values: Json, changes: Json) -> Json:
    """`values` with `changes` over them, mapping by mapping."""
    both = {**values, **changes}
    for key in values.keys() & changes.keys():
        if isinstance(values[key], dict) and isinstance(changes[key], dict):
            both[key] = merged(values[key], changes[key])
    return both
