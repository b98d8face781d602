"""A cluster that reaches other hosts only through an HTTP proxy: one value lets BinderHub, pods and daemons use it."""

import re
from collections.abc import Iterator
from typing import Any

import pytest
from demonstration.target import Target
from local_cluster import layout
from support.binderhub import until
from support.proxies import Proxy, proxy
from support.release import Release, released, values

pytestmark = pytest.mark.local

# Base images come from a mirror at a private address, which is reached without the proxy.
MIRROR_HOST, _, MIRROR_PORT = layout.MIRROR.partition(":")
MIRROR = {"to": [{"ipBlock": {"cidr": f"{MIRROR_HOST}/32"}}], "ports": [{"port": int(MIRROR_PORT)}]}
CLOSED: dict[str, Any] = {
    "networkPolicy": {
        "egressAllowRules": {"nonPrivateIPs": False},
        "buildPods": {"egress": []},
        "dockerApi": {"egress": [MIRROR]},
        "binderhub": {"egress": []},
    }
}


@pytest.fixture(scope="module")
def running(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Proxy]:
    with proxy(tmp_path_factory.mktemp("proxy") / "files") as running:
        yield running


@pytest.fixture(scope="module")
def shared(cluster: Target) -> Iterator[Release]:
    with released(cluster, CLOSED) as release:
        yield release


def test_without_the_proxy_nothing_is_reached(shared: Release) -> None:
    with values(shared, {}) as release:
        release.answer("asks-the-proxy", "main").failed("BHS905")


def test_one_value_has_everybody_use_the_proxy(shared: Release, running: Proxy) -> None:
    git, registry = f"{layout.GIT_NAME}:80", f"{layout.REGISTRY_NAME}:443"
    with values(shared, {"outboundProxy": {"url": running.url}}) as release:
        answer = release.answer("asks-the-proxy", "main")
        assert answer.end["phase"] == "ready", answer.end
        assert re.search(r"the proxy answers HTTP/1\.\d 200", answer.text("building"))
        # BinderHub finds the image in the registry, and builds nothing.
        assert [event["phase"] for event in release.answer("asks-the-proxy", "main").events] == ["ready"]
        (binderhub,) = addresses(release, "binderhub")
        daemons = addresses(release, "docker-api")
    shared.install()  # ends BinderHub's connections: the proxy logs a request when it has ended
    wanted = {(binderhub, "GET", git), (binderhub, "CONNECT", registry)}
    until(lambda: wanted <= running.requests(), "the requests of BinderHub")
    seen = running.requests()
    assert {(method, host) for client, method, host in seen if client in daemons} == {
        ("GET", git),
        ("CONNECT", registry),
    }
    assert {(method, host) for client, method, host in seen if client not in {binderhub, *daemons}} == {("GET", git)}


def addresses(release: Release, component: str) -> set[str]:
    """Addresses of the pods of this component of the release."""
    pods = release.pods(f"app.kubernetes.io/component={component},app.kubernetes.io/instance={release.name}")
    return {pod["status"]["podIP"] for pod in pods if not pod["metadata"].get("deletionTimestamp")}
