"""What removes from the nodes what a release left there."""

from typing import Any

import pytest
from chart_values.rendering import Chart, Object, Objects

PLACES: list[dict[str, Any]] = [
    {},
    {
        "builders": {"nodeSelector": {"builds": "yes"}, "affinity": {"nodeAffinity": {}}},
        "dockerApi": {
            "nodeSelector": {"disk": "large"},
            "tolerations": [{"operator": "Exists"}],
            "image": {"pullSecrets": [{"name": "s"}]},
        },
    },
]


def clean_up(objects: Objects) -> Object:
    found: Object = objects.one("DaemonSet", "docker-api-clean-up")["spec"]["template"]["spec"]
    return found


def with_clean_up(values: dict[str, Any]) -> dict[str, Any]:
    return {**values, "dockerApi": {**values.get("dockerApi", {}), "cleanUp": True}}


def test_the_daemonset_is_off_by_default(defaults: Objects) -> None:
    assert ("DaemonSet", "docker-api-clean-up") not in defaults.names()


@pytest.mark.parametrize("values", PLACES, ids=["defaults", "placed"])
def test_the_daemonset_runs_where_the_daemons_ran(chart: Chart, values: dict[str, Any]) -> None:
    objects = chart.render(with_clean_up(values))
    of_daemons = objects.one("DaemonSet", "docker-api")["spec"]["template"]["spec"]
    for key in ("nodeSelector", "affinity", "tolerations", "imagePullSecrets"):
        assert clean_up(objects).get(key) == of_daemons.get(key)


def test_the_clean_up_removes_only_directories_of_this_release(chart: Chart) -> None:
    objects = chart.render(with_clean_up({}))
    spec = objects.one("DaemonSet", "docker-api")["spec"]["template"]["spec"]
    data, socket = (
        volume["hostPath"]["path"] for volume in spec["volumes"] if volume["name"] in ("data", "socket")
    )  # fmt: skip
    release = data.removesuffix("/docker")
    (first,) = clean_up(objects)["initContainers"]
    (line,) = [line.strip() for line in first["command"][2].splitlines() if line.strip().startswith("rm ")]
    assert line == f"rm -rf /node{release} /node{socket}"
    mounts = {mount["name"]: mount["mountPath"] for mount in first["volumeMounts"]}
    places = {mounts[volume["name"]]: volume["hostPath"]["path"] for volume in clean_up(objects)["volumes"]}
    assert places == {"/node/var/lib": "/var/lib", "/node/run": "/run"}


def test_clean_up_pods_do_not_match_the_selector_of_daemons(chart: Chart) -> None:
    objects = chart.render(with_clean_up({}))
    labels = objects.one("DaemonSet", "docker-api-clean-up")["spec"]["template"]["metadata"]["labels"]
    selector = objects.one("DaemonSet", "docker-api")["spec"]["selector"]["matchLabels"]
    assert not selector.items() <= labels.items()
