"""BinderHub with the chart's classes, as a process, against a real API server."""

import json
import os
import secrets
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import quote

import pytest
import yaml
from binderhub_service.manifests import report_words
from common.paths import CHART
from support.api_proxy import Log, Proxy, between
from support.api_server import RUNS, WAITS, ApiServer, Namespace, ended, serving
from support.binderhub import Installed, Service, Stream, new_ref, running

FILES = CHART / "files"
INSIDE = Path(__file__).parent / "inside"
DIGEST = f"sha256:{'0a' * 32}"
"""Digest of the image that a build pushes, unless a test says otherwise."""
URL = "https://git.example/group/project"
SOCKET = "/run/binderhub-service/0123456789/docker-api.sock"

CONFIG = f"""
import sys
sys.path += [{str(FILES)!r}, {str(INSIDE)!r}]
c.BinderHub.registry_class = "holding.HoldingRegistry"
c.BinderHub.builder_required = True
c.BinderHub.build_class = "binderhub_service.executor.ServiceBuildExecutor"
c.BinderHub.build_cleaner_class = None
c.KubernetesBuildExecutor.docker_host = "unix://{SOCKET}"
c.KubernetesBuildExecutor.push_secret = "push"
c.KubernetesBuildExecutor.start_timeout_seconds = 60
"""
# A registry that does not hold the image is asked again for 10 s.
CONFIRM_AT_ONCE = "from binderhub_service.registry import confirmation\nconfirmation.CONFIRM_SECONDS = 0.5\n"
IMPATIENT = "c.KubernetesBuildExecutor.start_timeout_seconds = 3\n"


def report(pod: dict[str, Any], container: str, **particulars: Any) -> str:
    """The last line of a container's program."""
    return json.dumps({"binderhub-service": report_words(pod)[container], **particulars})


@dataclass
class Setting:
    """A namespace, a proxy to its API server, a registry, and a BinderHub that uses them."""

    namespace: Namespace
    proxy: Proxy
    registry: Path
    """A folder with a file for each tag that the registry holds; see inside/holding.py."""
    service: Service
    restart: Callable[..., AbstractContextManager[Service]]

    def build(
        self,
        ref: str = "",
        url: str = URL,
        service: Service | None = None,
        headers: dict[str, str] | None = None,
    ) -> AbstractContextManager[Stream]:
        """A request for a ref of the repository, a new one by default."""
        return (service or self.service).build(f"{quote(url, safe='')}/{ref or new_ref()}", headers=headers)

    def start(self, node: str = "node-1") -> tuple[dict[str, Any], Log]:
        """Let the one build pod fetch and begin to build; the pod, and the log of its builder."""
        pod = self.namespace.pod()
        name = pod["metadata"]["name"]
        self.namespace.schedule(name, node)
        fetch = self.proxy.log(name, "fetch")
        fetch.print('{"message": "Cloning", "phase": "fetching"}', report(pod, "fetch"))
        fetch.end()
        self.namespace.containers(name, fetch=ended(0), build=RUNS, phase="Running")
        return pod, self.proxy.log(name)

    def finish(self, pod: dict[str, Any], code: int = 0, **more: Any) -> None:
        """Let the builder end, and after 0 the push, with their reports."""
        if code:
            self.proxy.log(pod["metadata"]["name"]).print(report(pod, "builder", exit_code=code))
            self.end(pod, code, **more)
        else:
            self.push(pod, **more)

    def push(self, pod: dict[str, Any], **more: Any) -> None:
        """Let the builder end with 0, and the registry take the image."""
        self.hold(pod)
        name = pod["metadata"]["name"]
        self.proxy.log(name).print(report(pod, "builder"))
        self.proxy.log(name, "push").print(report(pod, "push", digest=DIGEST))
        self.end(pod, 0, **more)

    def fail_push(self, pod: dict[str, Any], error: str) -> None:
        """Let the builder end with 0, and the push with an error of the registry."""
        name = pod["metadata"]["name"]
        self.proxy.log(name).print(report(pod, "builder"))
        self.proxy.log(name, "push").print(report(pod, "push", error=error))
        self.end(pod, 0, push=ended(1), phase="Failed")

    def hold(self, pod: dict[str, Any], digest: str = DIGEST) -> None:
        """Have the registry hold the pod's image with this digest."""
        (self.registry / pod["metadata"]["annotations"]["binder-image"].rpartition(":")[2]).write_text(digest)

    def end(self, pod: dict[str, Any], code: int = 0, **more: Any) -> None:
        """Let the containers end, without reports."""
        name = pod["metadata"]["name"]
        for container in ("builder", "push"):
            self.proxy.log(name, container).end()
        states = {"fetch": ended(0), "build": ended(code), "phase": "Failed" if code else "Succeeded"}
        self.namespace.containers(name, **{**states, **more})

    def fetching(self) -> tuple[dict[str, Any], Log]:
        """Let the one build pod fetch."""
        pod = self.namespace.pod()
        name = pod["metadata"]["name"]
        self.namespace.schedule(name)
        self.namespace.containers(name, fetch=RUNS, build=WAITS)
        return pod, self.proxy.log(name, "fetch")


@pytest.fixture(scope="session")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[ApiServer]:
    with serving(tmp_path_factory.mktemp("kubernetes")) as serves:
        yield serves


@pytest.fixture
def namespace(server: ApiServer) -> Namespace:
    made = server.namespace(f"test-{secrets.token_hex(4)}")
    made.daemon()
    return made


@pytest.fixture
def proxy(server: ApiServer) -> Iterator[Proxy]:
    with between(server.url) as controls:
        yield controls


@pytest.fixture
def extra_config(request: pytest.FixtureRequest) -> str:
    """More configuration, with `@pytest.mark.parametrize("extra_config", [...], indirect=True)`."""
    return str(getattr(request, "param", ""))


@pytest.fixture
def setting(
    binderhub: Installed,
    namespace: Namespace,
    proxy: Proxy,
    tmp_path: Path,
    extra_config: str,
) -> Iterator[Setting]:
    cluster = {"name": "c", "cluster": {"server": proxy.url}}
    context = {"name": "c", "context": {"cluster": "c", "user": "u"}}
    user = {"name": "u", "user": {"token": "unused"}}  # client 9.0.1 wants one
    kubeconfig, registry = tmp_path / "kubeconfig", tmp_path / "registry"
    registry.mkdir()
    config = {"clusters": [cluster], "contexts": [context], "users": [user], "current-context": "c"}
    kubeconfig.write_text(yaml.safe_dump({"apiVersion": "v1", "kind": "Config", **config}))
    env = {
        "KUBECONFIG": str(kubeconfig),
        "BUILD_NAMESPACE": namespace.name,
        "NAMESPACE": namespace.name,
        "HELM_RELEASE_NAME": "rel",
        "REGISTRY_FOLDER": str(registry),
        "DOCKER_API_SOCKET": SOCKET,
        "DOCKER_API_SELECTOR": "app.kubernetes.io/component=docker-api",
    }

    @contextmanager
    def start(more: str = "", **changed: str) -> Iterator[Service]:
        folder = tmp_path / secrets.token_hex(4)
        folder.mkdir()
        with running(binderhub, folder, CONFIG + extra_config + more, {**env, **changed}) as started:
            yield started

    with start() as service:
        yield Setting(namespace, proxy, registry, service, start)
    if os.environ.get("SHOW_LOG"):
        print(service.log.read_text())
