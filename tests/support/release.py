"""A release of the chart on the cluster of the tests, with the values that one fault needs."""

import contextlib
import json
import re
import secrets
import subprocess
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import quote

import httpx
import httpx_sse
import yaml
from common.paths import CHART
from demonstration.target import Target
from support.binderhub import until

NAME = "faults"


WAY_TO_THIS_MACHINE = {"networkPolicy": {"egressAllowRules": {"privateIPs": True}}}
"""Values for tests whose own servers listen on the bridge: builds reach no private address unless they are let."""


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
    values: dict[str, Any] = field(default_factory=dict)
    """What it is installed with when a test says nothing else."""
    name: str = NAME
    service: str = "binderhub"
    url: str = ""
    token: str = ""
    """Sent with each request, where it is not empty: a token of a JupyterHub."""
    _now: dict[str, Any] | None = None

    def install(self, changes: dict[str, Any] | None = None) -> None:
        """Install it, or give it other values; nothing happens where it has them."""
        wanted = changes or {}
        if self._now == wanted:
            return
        self._now = None
        files = [f"--values={path}" for path in self.target.values]
        self.target.run(
            self.target.helm, "upgrade", "--install", self.name, str(CHART), f"--namespace={self.namespace}",
            "--create-namespace", *files, "--values=-", "--wait", "--timeout=3m",
            given=yaml.safe_dump(self.all_values(wanted)),
        )  # fmt: skip
        self._now = wanted

    def all_values(self, changes: dict[str, Any] | None = None) -> dict[str, Any]:
        """The values of an installation with these changes, those of `target.values` excepted."""
        login = {"username": self.target.username, "password": self.target.password}
        values: dict[str, Any] = {
            "allowAnonymous": True,
            "config": {
                "BinderHub": {"image_prefix": f"{self.target.registry}/{self.namespace}/", "use_registry": True},
                "DockerRegistry": {"url": f"https://{self.target.host}", **login},
                "RateLimiter": {"limit": 0},
            },
            "buildPodsRegistryCredentials": {"server": f"https://{self.target.host}", **login},
            "buildPods": {"startTimeoutSeconds": 10},
            # Some faults need other daemons, which an upgrade replaces only so.
            "dockerApi": {"updateStrategy": {"type": "RollingUpdate"}},
        }
        merge(values, self.values)
        merge(values, changes or {})
        return values

    @contextlib.contextmanager
    def reached(self) -> Iterator["Release"]:
        """Set `url` for as long as the block runs; the pod that answers is one of now."""
        command = [self.target.kubectl, "--context", self.target.context, f"--namespace={self.namespace}"]
        forward = subprocess.Popen(
            [*command, "port-forward", f"service/{self.service}", ":80"],
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

    def addresses(self) -> list[str]:
        """URLs of BinderHub's pods, to which this machine has a route that needs no API server."""
        pods = self.pods("app.kubernetes.io/component=binderhub,app.kubernetes.io/instance=" + self.name)
        return [f"http://{pod['status']['podIP']}:8585" for pod in pods if not pod["metadata"].get("deletionTimestamp")]

    def ask(self, repository: str, ref: str = "HEAD", url: str = "") -> Iterator[dict[str, Any]]:
        """The events of a request, as they come; `repository` is a name of the lab's Git server or an URL."""
        login = {"Authorization": f"token {self.token}"} if self.token else {}
        with (
            httpx.Client(timeout=httpx.Timeout(10.0, read=120.0), trust_env=False, headers=login) as client,
            httpx_sse.connect_sse(client, "GET", (url or self.url) + path(repository, ref)) as source,
        ):
            for message in source.iter_sse():
                yield json.loads(message.data)

    def answer(self, repository: str, ref: str = "HEAD", url: str = "") -> Answer:
        """The whole stream of a request."""
        answer, start = Answer(), time.monotonic()
        answer.events = list(self.ask(repository, ref, url))
        answer.seconds = time.monotonic() - start
        return answer

    def answer_while(self, repository: str, word: str, do: Callable[[], object], url: str = "") -> Answer:
        """The whole stream of a request; `do` is called once, when an event has the word. Seconds count from then."""
        answer, since = Answer(), 0.0
        for event in self.ask(repository, url=url):
            answer.events.append(event)
            if word in event["message"] and not since:
                do()
                since = time.monotonic()
        assert since, f"no event has the word {word!r}"
        answer.seconds = time.monotonic() - since
        return answer

    def log(self) -> str:
        """What BinderHub has logged."""
        return self.target.run(
            self.target.kubectl, "logs", f"--namespace={self.namespace}", f"deployment/{self.service}", "--tail=-1"
        )

    def build_pod(self) -> dict[str, Any]:
        """The one build pod that there is."""
        (pod,) = self.pods()
        return pod

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


def ready_pods(release: Release, selector: str) -> list[bool]:
    """Of each pod with these labels whether it is ready, and stays."""
    return [
        not pod["metadata"].get("deletionTimestamp")
        and ("Ready", "True") in [(one["type"], one["status"]) for one in pod["status"].get("conditions", [])]
        for pod in release.pods(selector)
    ]


def path(repository: str, ref: str) -> str:
    """The path of a request for a build. `repository` can begin with a provider of its own: /gh/owner/name."""
    if repository.startswith("/"):
        return f"/build{repository}/{quote(ref, safe='')}?build_only=true"
    url = repository if "://" in repository else f"http://git.lab.test/{repository}.git"
    return f"/build/git/{quote(url, safe='')}/{quote(ref, safe='')}?build_only=true"


def merge(values: dict[str, Any], changes: dict[str, Any]) -> None:
    """Put `changes` into `values`, mapping by mapping."""
    for key, value in changes.items():
        if isinstance(value, dict):
            values[key] = dict(values.get(key) or {})
            merge(values[key], value)
        else:
            values[key] = value


@contextlib.contextmanager
def released(target: Target, values: dict[str, Any] | None = None) -> Iterator[Release]:
    """A release in a namespace of its own, both gone afterwards."""
    with namespaced(target, values) as release:
        release.install()
        yield release


@contextlib.contextmanager
def namespaced(target: Target, values: dict[str, Any] | None = None) -> Iterator[Release]:
    """A release that is still to be installed, in a namespace that is there, both gone afterwards."""
    release = Release(target, f"faults-{secrets.token_hex(3)}", values or {})
    try:
        target.run(target.kubectl, "create", "namespace", release.namespace)
        yield release
    finally:
        target.run(target.kubectl, "delete", "namespace", release.namespace, "--ignore-not-found", "--wait=false")


@contextlib.contextmanager
def values(shared: Release, changes: dict[str, Any]) -> Iterator[Release]:
    """The release with other values, reached; afterwards nothing of its builds is left."""
    shared.install(changes)
    with shared.reached() as reached:
        yield reached
        reached.nothing_left()


def together(*calls: Callable[[], Any]) -> list[Any]:
    """What each of these gives, all called at the same time."""
    with ThreadPoolExecutor(len(calls)) as threads:
        return list(threads.map(lambda call: call(), calls))
