"""The switch as the API server sees it, with Helm 3 and Helm 4: which objects stay what they are, and what is left."""

import os
import secrets
import subprocess
import urllib.error
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
import yaml
from common.paths import CHART
from local_cluster import go_tools
from support import upstream_chart
from support.api_server import TOKEN, ApiServer, serving
from support.binderhub import until
from support.helm3 import program as helm3_program

pytestmark = pytest.mark.together

NAME = "rel"
DEFAULTS = yaml.safe_load((CHART / "values.yaml").read_text())

Json = dict[str, Any]


@dataclass
class Namespace:
    """A namespace of an API server that nothing else looks after, and a Helm."""

    server: ApiServer
    name: str
    helm: str
    kubeconfig: Path

    def run(self, *words: str) -> None:
        """Run Helm."""
        done = subprocess.run(
            [self.helm, *words, "--namespace", self.name],
            env={**os.environ, "KUBECONFIG": str(self.kubeconfig)},
            capture_output=True,
            text=True,
            check=False,
        )
        assert done.returncode == 0, done.stderr

    def objects(self) -> dict[tuple[str, str], Json]:
        """All that the namespace holds, and of the cluster all but what belongs to it from the beginning."""
        found: dict[tuple[str, str], Json] = {}
        lists = {"/api/v1": "v1"}
        for group in self.server.request("GET", "/apis")["groups"]:
            lists[f"/apis/{group['preferredVersion']['groupVersion']}"] = group["name"]
        for path in lists:
            for kind in self.server.request("GET", path)["resources"]:
                if "list" not in kind["verbs"] or kind["kind"] in ("Event", "Lease", "ComponentStatus"):
                    continue
                place = f"{path}/namespaces/{self.name}" if kind["namespaced"] else path
                for one in self.server.request("GET", f"{place}/{kind['name']}")["items"]:
                    found[kind["kind"], one["metadata"]["name"]] = one
        return found

    def release(self) -> dict[tuple[str, str], Json]:
        """What belongs to a release."""
        return {
            key: one
            for key, one in self.objects().items()
            if (one["metadata"].get("labels") or {}).get("app.kubernetes.io/managed-by") == "Helm"
        }


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[ApiServer]:
    with serving(tmp_path_factory.mktemp("kubernetes")) as serves:
        # It makes some objects of its own, and tells of some of its groups, after it began to answer.
        until(lambda: _count(serves, "networking.k8s.io/v1/ipaddresses") >= 1, "the address of the API server")
        until(lambda: _count(serves, "scheduling.k8s.io/v1/priorityclasses") >= 2, "the two classes of the system")
        groups = {"apps", "batch", "networking.k8s.io", "policy", "rbac.authorization.k8s.io"}
        until(lambda: groups <= {one["name"] for one in serves.request("GET", "/apis")["groups"]}, "the API's groups")
        yield serves


def _count(server: ApiServer, kind: str) -> int:
    try:
        return len(server.request("GET", f"/apis/{kind}")["items"])
    except urllib.error.HTTPError:  # the group is not served yet
        return 0


@pytest.fixture(params=["helm 3", "helm 4"])
def namespace(server: ApiServer, tmp_path: Path, request: pytest.FixtureRequest) -> Namespace:
    name = f"test-{secrets.token_hex(4)}"
    server.namespace(name)
    config = {
        "apiVersion": "v1",
        "kind": "Config",
        "clusters": [{"name": "c", "cluster": {"server": server.url, "insecure-skip-tls-verify": True}}],
        "users": [{"name": "u", "user": {"token": TOKEN}}],
        "contexts": [{"name": "c", "context": {"cluster": "c", "user": "u"}}],
        "current-context": "c",
    }
    kubeconfig = tmp_path / "kubeconfig"
    kubeconfig.touch(mode=0o600)
    kubeconfig.write_text(yaml.safe_dump(config))
    helm = helm3_program() if request.param == "helm 3" else go_tools.folder() / "helm"
    return Namespace(server, name, str(helm), kubeconfig)


def pods_of(objects: dict[tuple[str, str], Json]) -> dict[tuple[str, str], Json]:
    """What the workloads want their pods to be."""
    return {key: one["spec"] for key, one in objects.items() if key[0] in ("Deployment", "DaemonSet")}


def test_objects_stay_what_they_are_there_and_back(namespace: Namespace, tmp_path: Path) -> None:
    values = {
        "image": DEFAULTS["image"],
        "config": {"BinderHub": {"image_prefix": "quay.io/example/", "use_registry": True}},
        "buildPodsRegistryCredentials": {"server": "https://quay.io", "username": "a", "password": "b"},
        "dockerApi": {
            "image": DEFAULTS["dockerApi"]["image"],
            "extraFiles": {"daemon-json": {"mountPath": "/etc/docker/daemon.json", "data": {"mtu": 1450}}},
        },
    }
    file = tmp_path / "values.yaml"
    file.write_text(
        yaml.safe_dump(
            {**values, "allowAnonymous": True, "dockerApi": {"extraFiles": values["dockerApi"]["extraFiles"]}}
        )
    )
    nothing = namespace.objects().keys()

    namespace.run("install", NAME, str(upstream_chart.write(tmp_path / "before", values, NAME, namespace.name)))
    first = namespace.release()
    namespace.run("upgrade", NAME, str(CHART), "--values", str(file))
    ours = namespace.release()
    namespace.run("rollback", NAME, "1")
    back = namespace.release()
    namespace.run("upgrade", NAME, str(CHART), "--values", str(file))
    again = namespace.release()

    def uids(objects: dict[tuple[str, str], Json]) -> dict[tuple[str, str], str]:
        return {key: one["metadata"]["uid"] for key, one in objects.items()}

    assert len(first) == 9
    assert uids(first).items() <= uids(ours).items()
    assert uids(back) == uids(first)
    assert uids(first).items() <= uids(again).items()
    assert pods_of(back) == pods_of(first)
    assert pods_of(again) == pods_of(ours)
    for kind, name in first:
        if kind == "Secret":
            assert first[kind, name]["data"].keys() <= ours[kind, name]["data"].keys()
            assert first[kind, name]["data"].items() <= back[kind, name]["data"].items()
    assert ours["Secret", "build-pods-docker-config"]["data"] == again["Secret", "build-pods-docker-config"]["data"]
    namespace.run("uninstall", NAME)
    assert namespace.objects().keys() == nothing


@pytest.mark.parametrize("file", upstream_chart.PRODUCTION, ids=lambda file: file.stem)
def test_values_of_production_install_unchanged_and_leave_nothing(namespace: Namespace, file: Path) -> None:
    nothing = namespace.objects().keys()
    namespace.run("install", NAME, str(CHART), "--values", str(file))
    installed = namespace.release()
    namespace.run("upgrade", NAME, str(CHART))
    namespace.run("rollback", NAME, "1")
    assert namespace.release().keys() == installed.keys()
    assert pods_of(namespace.release()) == pods_of(installed)
    namespace.run("uninstall", NAME)
    assert namespace.objects().keys() == nothing
