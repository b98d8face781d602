"""Where docker-api keeps things on a node, and how build pods find the socket."""

import shutil
from pathlib import Path, PurePosixPath
from typing import Any

import pytest
import yaml
from binderhub_service.manifests import owner_label
from chart_values.rendering import Chart, Object, Objects
from common.paths import CHART

# sizeof(sockaddr_un.sun_path) less the byte that ends it, unix(7)
LONGEST_SOCKET_PATH = 107


def docker_api(objects: Objects) -> Object:
    pod: Object = objects.one("DaemonSet", "docker-api")["spec"]["template"]["spec"]
    return pod


def option(objects: Objects, name: str) -> str:
    """The value of an option of dockerd."""
    (value,) = [
        argument.removeprefix(f"--{name}=")
        for argument in docker_api(objects)["containers"][0]["args"]
        if argument.startswith(f"--{name}=")
    ]
    assert isinstance(value, str)
    return value


def socket(objects: Objects) -> PurePosixPath:
    host = option(objects, "host")
    assert host.startswith("unix:///")
    return PurePosixPath(host.removeprefix("unix://"))


def host_paths(objects: Objects) -> set[PurePosixPath]:
    return {
        PurePosixPath(volume["hostPath"]["path"]) for volume in docker_api(objects)["volumes"] if "hostPath" in volume
    }


def mounts(objects: Objects) -> dict[PurePosixPath, str]:
    """Volume by the place where dockerd's container mounts it."""
    (container,) = docker_api(objects)["containers"]
    return {PurePosixPath(mount["mountPath"]): mount["name"] for mount in container["volumeMounts"]}


def test_the_socket_is_in_a_directory_of_the_node_under_the_same_path(defaults: Objects) -> None:
    directory = socket(defaults).parent
    volume = {volume["name"]: volume for volume in docker_api(defaults)["volumes"]}[mounts(defaults)[directory]]
    assert volume["hostPath"] == {"path": str(directory), "type": "DirectoryOrCreate"}
    assert socket(defaults).name == "docker-api.sock"


@pytest.mark.parametrize(
    "values", [{}, {"dockerApi": {"storage": {"emptyDir": {}}}}], ids=["on the node", "in an emptyDir"]
)
def test_the_sockets_directory_holds_nothing_else(chart: Chart, values: dict[str, Any]) -> None:
    objects = chart.render(values)
    directory = socket(objects).parent
    others = {
        PurePosixPath(option(objects, "data-root")),
        PurePosixPath(option(objects, "exec-root")),
        *(mounts(objects).keys() - {directory}),
        *(host_paths(objects) - {directory}),
    }
    assert not [other for other in others if other.is_relative_to(directory) or directory.is_relative_to(other)]


def test_the_data_root_is_a_volume_and_the_exec_root_goes_with_the_container(defaults: Objects) -> None:
    assert mounts(defaults)[PurePosixPath(option(defaults, "data-root"))] == "data"
    exec_root = PurePosixPath(option(defaults, "exec-root"))
    assert not [place for place in mounts(defaults) if exec_root.is_relative_to(place)]


def test_storage_takes_the_place_of_the_nodes_directory(chart: Chart) -> None:
    objects = chart.render({"dockerApi": {"storage": {"emptyDir": {"sizeLimit": "9Gi"}}}})
    assert {"name": "data", "emptyDir": {"sizeLimit": "9Gi"}} in docker_api(objects)["volumes"]
    assert host_paths(objects) == {socket(objects).parent}


def test_binderhub_is_told_the_daemons_own_path(defaults: Objects) -> None:
    (container,) = defaults.one("Deployment", "binderhub")["spec"]["template"]["spec"]["containers"]
    told = {entry["name"]: entry.get("value") for entry in container["env"]}
    assert told["DOCKER_API_SOCKET"] == str(socket(defaults))


def test_the_longest_names_fit_in_a_socket_path(chart: Chart) -> None:
    objects = chart.render(namespace="n" * 63, release="r" * 53)
    assert len(str(socket(objects)).encode()) <= LONGEST_SOCKET_PATH
    assert all(len(path.name) <= 63 for path in host_paths(objects))


@pytest.mark.parametrize(
    "pair",
    [
        (("a-b", "c"), ("a", "b-c")),
        (("staging", "hub-binder"), ("staging-hub", "binder")),
        (("ns1", "rel"), ("ns1", "rel2")),
        (("ns1", "rel"), ("ns2", "rel")),
    ],
)
def test_two_releases_share_no_path(chart: Chart, pair: tuple[tuple[str, str], tuple[str, str]]) -> None:
    first, second = (host_paths(chart.render(namespace=namespace, release=release)) for namespace, release in pair)
    assert len(first) == len(second) == 2
    assert not first & second
    assert not [path for path in first if any(other.is_relative_to(path) for other in second)]


def test_paths_outlive_a_change_of_values(chart: Chart, defaults: Objects) -> None:
    assert host_paths(chart.render({"nameOverride": "y", "dockerApi": {"extraArgs": ["--debug"]}})) == host_paths(
        defaults
    )


def test_two_copies_in_a_parent_chart_share_nothing_on_a_node(chart: Chart, tmp_path: Path) -> None:
    """With `alias`, Helm renames the charts of one release."""
    seen = []
    for alias in ("binderhub-service", "first", "second"):
        copy = tmp_path / alias
        shutil.copytree(CHART, copy)
        file = copy / "Chart.yaml"
        file.write_text(file.read_text().replace("name: binderhub-service", f"name: {alias}"))
        objects = Chart(chart.helm, copy, chart.first).render({"fullnameOverride": alias})
        daemonset = objects.one("DaemonSet", f"{alias}-docker-api")["spec"]["template"]["spec"]
        deployment = objects.one("Deployment", f"{alias}-binderhub")["spec"]["template"]["spec"]
        env = {one["name"]: one.get("value") for one in deployment["containers"][0]["env"]}
        owner = owner_label("ns1", "/".join(filter(None, [env["HELM_RELEASE_NAME"], env.get("CHART_ALIAS")])))
        paths = [volume["hostPath"]["path"] for volume in daemonset["volumes"] if "hostPath" in volume]
        assert all(owner in path for path in paths)
        seen.append({*paths, owner, env["DOCKER_API_SOCKET"]})
    assert len(set.union(*seen)) == sum(len(one) for one in seen)


def test_two_subcharts_that_each_contain_this_chart_share_nothing_on_a_node(chart: Chart, tmp_path: Path) -> None:
    parent = {"apiVersion": "v2", "name": "parent", "version": "1.0.0"}
    (tmp_path / "Chart.yaml").write_text(yaml.safe_dump(parent))
    values: dict[str, Any] = {}
    for name in ("one", "two"):
        inner = tmp_path / "charts" / name
        shutil.copytree(CHART, inner / "charts" / "binderhub-service")
        (inner / "Chart.yaml").write_text(yaml.safe_dump({**parent, "name": name}))
        values[name] = {"binderhub-service": {"fullnameOverride": name, "nameOverride": name, "allowAnonymous": True}}
    objects = Chart(chart.helm, tmp_path).render(values)
    daemonsets = [one["spec"]["template"]["spec"] for one in objects if one["kind"] == "DaemonSet"]
    paths = [volume["hostPath"]["path"] for one in daemonsets for volume in one["volumes"] if "hostPath" in volume]
    assert len(daemonsets) == 2
    assert len(set(paths)) == len(paths) == 4
    told = [
        {one["name"]: one.get("value") for one in deployment["spec"]["template"]["spec"]["containers"][0]["env"]}
        for deployment in objects
        if deployment["kind"] == "Deployment"
    ]
    owners = {owner_label("ns1", "/".join([env["HELM_RELEASE_NAME"] or "", env["CHART_ALIAS"] or ""])) for env in told}
    assert all(any(owner in path for owner in owners) for path in paths)
    assert len(owners) == 2
