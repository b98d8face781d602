"""The setup of a run: two releases, a Git server, and the node that builds. All of it is removed at the end."""

import contextlib
import json
import secrets
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Any

import yaml
from common.errors import UserError
from common.paths import CHART
from common.progress import step
from demonstration.target import Target

from benchmarking.api_proxy import Api, reached, until
from benchmarking.git_server import PORT
from benchmarking.release import Release
from benchmarking.rows import SERVICE, UPSTREAM

GIT = "git"
BASE = "docker.io/library/debian:trixie-slim"
KINDS = {
    "sleeps": f"FROM {BASE}\nRUN sleep 2 && echo NUMBER\n",
    "speaks": f"FROM {BASE}\nRUN for second in $(seq 25); do sleep 1; echo NUMBER second $second; done\n",
    "fails": f"FROM {BASE}\nRUN echo NUMBER && exit 3\n",
    "quick": f"FROM {BASE}\nRUN echo NUMBER\n",
    "hub": (
        f"FROM {BASE}\n"
        "RUN apt-get update && apt-get install --yes --no-install-recommends python3-venv\n"
        "RUN python3 -m venv /opt/hub\n"
        "RUN /opt/hub/bin/pip install --no-cache-dir jupyterhub==5.5.0 jupyter-server==2.17.0\n"
        "ENV PATH=/opt/hub/bin:$PATH\n"
        "RUN echo NUMBER\n"
    ),
}
"""Dockerfiles; see git_server."""

Json = dict[str, Any]


@dataclass
class Bench:
    """The setup in which everything is measured."""

    target: Target
    api: Api
    name: str
    """What the names of all namespaces begin with."""
    node: str
    image: str
    """Of repo2docker, as the chart names it."""
    releases: dict[str, Release] = field(default_factory=dict)
    builds: int = 0
    """How many builds our release has done."""

    @property
    def ours(self) -> Release:
        """The release with the chart's executor."""
        return self.releases[SERVICE]

    def url(self, kind: str) -> str:
        """URL of a repository that was never built."""
        return f"http://{GIT}.{self.name}:{PORT}/{kind}/{secrets.token_hex(4)}.git"

    def add(self, suffix: str, changes: Json | None = None) -> dict[str, Release]:
        """Install a pair of releases more, with values that both have; returns it by executor."""
        made = {
            executor: Release(
                self.target, self.api, f"{self.name}-{suffix}{executor}", executor, self.node, changes or {}
            )
            for executor in (SERVICE, UPSTREAM)
        }
        at_once([release.install for release in made.values()])
        return made

    def settle(self) -> None:
        """Wait until no build pod is left: what is measured next must not share the machine with the end of another."""
        until(lambda: not any(release.pods() for release in self.releases.values()), "end of the build pods")


def at_once(calls: list[Any]) -> list[Any]:
    """Call all in threads of their own; what they return, in order. Raises what the first of them raises."""
    with ThreadPoolExecutor(len(calls)) as pool:
        return [future.result() for future in [pool.submit(call) for call in calls]]


@contextlib.contextmanager
def made(target: Target) -> Iterator[Bench]:
    """Install everything, and remove it at the end, also when interrupted."""
    image = yaml.safe_load((CHART / "values.yaml").read_text())["config"]["KubernetesBuildExecutor"]["build_image"]
    with reached(target) as api:
        bench = Bench(target, api, f"benchmark-{secrets.token_hex(3)}", _node(api), image)
        try:
            with step(f"installing two releases and a Git server; builds are on node {bench.node}"):
                _git_server(bench)
                bench.releases = bench.add("")
            with step("a few builds on both, so that images are pulled and caches are warm"):
                for _ in range(2):
                    urls = [bench.url("sleeps") for _ in range(4)]
                    at_once([partial(release.build, *urls) for release in bench.releases.values()])
                bench.builds = 8
            yield bench
        finally:
            with step("removing all of it"):
                _remove(bench)


def _node(api: Api) -> str:
    """The last node by name that takes pods; a cluster's first is often its control plane."""
    ready = [
        node["metadata"]["labels"]["kubernetes.io/hostname"]
        for node in api.get("/api/v1/nodes")["items"]
        if not node["spec"].get("unschedulable")
        and not any(taint["effect"] != "PreferNoSchedule" for taint in node["spec"].get("taints", []))
        and any(one["type"] == "Ready" and one["status"] == "True" for one in node["status"]["conditions"])
    ]
    if not ready:
        raise UserError("No node of the cluster takes pods.", "See `kubectl describe nodes`.")
    return str(max(ready))


def _git_server(bench: Bench) -> None:
    script = Path(__file__).with_name("git_server.py").read_text()
    probe: Json = {"tcpSocket": {"port": PORT}, "periodSeconds": 1}
    container: Json = {"name": GIT, "image": bench.image, "readinessProbe": probe}
    container["command"] = ["python3", "-c", script, json.dumps(KINDS)]
    labels = {"app": GIT}
    spec = {"containers": [container], "terminationGracePeriodSeconds": 0, "automountServiceAccountToken": False}
    where = f"/api/v1/namespaces/{bench.name}"
    bench.api.create("/api/v1/namespaces", {"metadata": {"name": bench.name}})
    until(lambda: bench.api.get(f"{where}/serviceaccounts")["items"], "service account")
    bench.api.create(f"{where}/pods", {"metadata": {"name": GIT, "labels": labels}, "spec": spec})
    bench.api.create(
        f"{where}/services", {"metadata": {"name": GIT}, "spec": {"selector": labels, "ports": [{"port": PORT}]}}
    )
    until(lambda: _ready(bench.api.get(f"{where}/pods/{GIT}")), "Git server that is ready")


def _ready(pod: Json) -> bool:
    return any(one["type"] == "Ready" and one["status"] == "True" for one in pod["status"].get("conditions", []))


def _remove(bench: Bench) -> None:
    """Delete all namespaces of this run and wait until they are gone."""

    def left() -> list[str]:
        names = [one["metadata"]["name"] for one in bench.api.get("/api/v1/namespaces")["items"]]
        return [name for name in names if name == bench.name or name.startswith(f"{bench.name}-")]

    for name in left():
        bench.api.delete(f"/api/v1/namespaces/{name}", grace=-1)
    until(lambda: not left(), "end of the namespaces")
