"""BinderHub with the chart's classes, as a process, against a real API server."""

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
from contract.conftest import binderhub, kubernetes_client, pytest_generate_tests  # noqa: F401 - fixtures
from contract.service import Installed, Service, Stream, new_ref, running
from executor.api_server import RUNS, WAITS, ApiServer, Namespace, ended, serving
from executor.proxy import Log, Proxy, between
from machine.paths import CHART

FILES = CHART / "files"
URL = "https://git.example/group/project"
SOCKET = "/run/binderhub-service/0123456789/docker-api.sock"

CONFIG = f"""
import sys
sys.path.append({str(FILES)!r})
c.BinderHub.builder_required = True
c.BinderHub.build_class = "bhs_executor.ServiceBuildExecutor"
c.BinderHub.build_cleaner_class = None
c.KubernetesBuildExecutor.docker_host = "unix://{SOCKET}"
c.KubernetesBuildExecutor.push_secret = "push"
c.KubernetesBuildExecutor.start_timeout = 60
"""
IMPATIENT = "c.KubernetesBuildExecutor.start_timeout = 3\n"


@dataclass
class Setting:
    """A namespace, a proxy to its API server, and a BinderHub that uses them."""

    namespace: Namespace
    proxy: Proxy
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
        fetch.print('{"message": "Cloning", "phase": "fetching"}')
        fetch.end()
        self.namespace.containers(name, fetch=ended(0), build=RUNS, phase="Running")
        return pod, self.proxy.log(name)

    def finish(self, pod: dict[str, Any], code: int = 0, **more: Any) -> None:
        """Let the builder end."""
        name = pod["metadata"]["name"]
        self.proxy.log(name).end()
        phase = "Failed" if code else "Succeeded"
        self.namespace.containers(name, fetch=ended(0), build=ended(code), phase=phase, **more)

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
    binderhub: Installed,  # noqa: F811
    namespace: Namespace,
    proxy: Proxy,
    tmp_path: Path,
    extra_config: str,
) -> Iterator[Setting]:
    cluster = {"name": "c", "cluster": {"server": proxy.url}}
    context = {"name": "c", "context": {"cluster": "c", "user": "u"}}
    user = {"name": "u", "user": {"token": "unused"}}  # client 9.0.1 wants one
    kubeconfig = tmp_path / "kubeconfig"
    config = {"clusters": [cluster], "contexts": [context], "users": [user], "current-context": "c"}
    kubeconfig.write_text(yaml.safe_dump({"apiVersion": "v1", "kind": "Config", **config}))
    env = {
        "KUBECONFIG": str(kubeconfig),
        "BUILD_NAMESPACE": namespace.name,
        "NAMESPACE": namespace.name,
        "HELM_RELEASE_NAME": "rel",
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
        yield Setting(namespace, proxy, service, start)
    if os.environ.get("SHOW_LOG"):
        print(service.log.read_text())
