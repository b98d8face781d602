"""Names, labels and selectors are those of the chart 2i2c-org/binderhub-service, at commit fc8bb6a."""

import re
from pathlib import Path
from typing import Any

import pytest
import yaml
from chart_values.rendering import Chart, Object, Objects
from common.paths import CHART

EVERYTHING = {
    "allowAnonymous": True,
    "ingress": {"enabled": True},
    "dockerApi": {"extraFiles": {"f": {"mountPath": "/f", "stringData": "x"}}},
}

DEFAULT_NAMES = {
    ("ServiceAccount", "binderhub"),
    ("Secret", "binderhub"),
    ("Role", "binderhub"),
    ("RoleBinding", "binderhub"),
    ("Service", "binderhub"),
    ("Deployment", "binderhub"),
    ("Ingress", "binderhub"),
    ("DaemonSet", "docker-api"),
    ("Secret", "docker-api"),
    ("Secret", "build-pods-docker-config"),
    ("NetworkPolicy", "binderhub-builder-network-policy"),
    ("NetworkPolicy", "binderhub-dind-network-policy"),
    ("NetworkPolicy", "binderhub-egress"),
}


OURS = ("binderhub-python", "binderhub-python-packages")
"""The ConfigMaps of the Python package, which upstream does not have."""


def prefixed(prefix: str) -> set[tuple[str, str]]:
    """The names with a prefix; the Ingress alone is called by the prefix itself."""
    return {(kind, prefix if kind == "Ingress" else f"{prefix}-{name}") for kind, name in DEFAULT_NAMES}


def selectors(objects: Objects) -> dict[str, dict[str, str]]:
    """The selector of each kind that has one of ours."""
    return {
        "Deployment": only(objects, "Deployment")["spec"]["selector"]["matchLabels"],
        "DaemonSet": only(objects, "DaemonSet")["spec"]["selector"]["matchLabels"],
        "Service": only(objects, "Service")["spec"]["selector"],
    }


def only(objects: Objects, kind: str) -> Object:
    """The one object of this kind."""
    (found,) = [one for one in objects if one["kind"] == kind]
    return found


@pytest.mark.parametrize(
    ("override", "release", "names"),
    [
        ({}, "rel", DEFAULT_NAMES),
        ({"fullnameOverride": ""}, "rel", DEFAULT_NAMES),
        ({"fullnameOverride": "custom"}, "rel", prefixed("custom")),
        ({"fullnameOverride": None}, "rel", prefixed("rel-binderhub-service")),
        ({"fullnameOverride": None}, "my-binderhub-service", prefixed("my-binderhub-service")),
        ({"fullnameOverride": None, "nameOverride": "bs"}, "rel", prefixed("rel-bs")),
        ({"fullnameOverride": None, "nameOverride": "re"}, "rel", prefixed("rel")),
    ],
)
def test_objects_have_upstreams_names(
    chart: Chart, override: dict[str, Any], release: str, names: set[tuple[str, str]]
) -> None:
    found = chart.render({**EVERYTHING, **override}, release=release).names()
    assert {(kind, name) for kind, name in found if not name.endswith(OURS)} == names


def test_every_object_names_its_namespace(chart: Chart) -> None:
    """Kustomize follows a reference only within one namespace, and an object without one is in another."""
    found = {namespace: set[str]() for namespace in ("ns1", "builds")}
    for one in chart.render({**EVERYTHING, "buildPods": {"namespace": "builds"}}):
        found[one["metadata"]["namespace"]].add(f"{one['kind']} {one['metadata']['name']}")
    of_builds = {name for name in found["builds"] if not re.search("docker-api|build|dind", name)}
    assert of_builds == {"Role binderhub", "RoleBinding binderhub"}
    assert not [name for name in found["ns1"] if re.search("docker-api|build|dind", name)]


@pytest.mark.parametrize(
    ("override", "name"),
    [({}, "binderhub-service"), ({"fullnameOverride": None}, "binderhub-service"), ({"nameOverride": "bs"}, "bs")],
)
def test_selectors_are_exactly_upstreams_three_labels(chart: Chart, override: dict[str, Any], name: str) -> None:
    def three(component: str) -> dict[str, str]:
        return {
            "app.kubernetes.io/name": name,
            "app.kubernetes.io/instance": "rel",
            "app.kubernetes.io/component": component,
        }

    assert selectors(chart.render(override)) == {
        "Deployment": three("binderhub"),
        "Service": three("binderhub"),
        "DaemonSet": three("docker-api"),
    }


@pytest.mark.parametrize("kind", ["Deployment", "DaemonSet"])
@pytest.mark.parametrize("override", [{}, {"nameOverride": "bs", "podLabels": {"team": "a"}}])
def test_a_workload_selects_its_own_pods(chart: Chart, kind: str, override: dict[str, Any]) -> None:
    spec = only(chart.render(override), kind)["spec"]
    assert spec["selector"]["matchLabels"].items() <= spec["template"]["metadata"]["labels"].items()


def test_service_and_network_policy_select_pods_of_their_own_workload_alone(defaults: Objects) -> None:
    binderhub = only(defaults, "Deployment")["spec"]["template"]["metadata"]["labels"]
    docker_api = only(defaults, "DaemonSet")["spec"]["template"]["metadata"]["labels"]
    service = defaults.one("Service", "binderhub")["spec"]["selector"]
    policy = defaults.one("NetworkPolicy", "binderhub-dind-network-policy")["spec"]["podSelector"]["matchLabels"]

    assert service.items() <= binderhub.items()
    assert not service.items() <= docker_api.items()
    assert policy.items() <= docker_api.items()
    assert not policy.items() <= binderhub.items()


def test_every_object_has_the_common_labels(chart: Chart) -> None:
    version = yaml.safe_load((CHART / "Chart.yaml").read_text())["version"]
    for found in chart.render(EVERYTHING):
        assert {
            "helm.sh/chart": f"binderhub-service-{version}",
            "app.kubernetes.io/name": "binderhub-service",
            "app.kubernetes.io/instance": "rel",
            "app.kubernetes.io/version": version,
            "app.kubernetes.io/managed-by": "Helm",
        }.items() <= found["metadata"]["labels"].items(), found["kind"]


def test_binderhub_may_talk_to_the_hub(defaults: Objects) -> None:
    labels = only(defaults, "Deployment")["spec"]["template"]["metadata"]["labels"]
    assert labels["hub.jupyter.org/network-access-hub"] == "true"


@pytest.mark.parametrize("release", ["123", "1e3", "true"])
def test_a_release_name_that_yaml_takes_for_something_else_stays_text(chart: Chart, release: str) -> None:
    objects = chart.render(release=release, namespace="123")
    assert only(objects, "Deployment")["metadata"]["labels"]["app.kubernetes.io/instance"] == release
    assert only(objects, "RoleBinding")["subjects"][0]["namespace"] == "123"


HELPERS = (
    "binderhub.fullname",
    "binderhub.serviceaccount.fullname",
    "binderhub.ingress.fullname",
    "docker-api.fullname",
    "build-pods-docker-config.fullname",
)


@pytest.fixture
def parent(helm: Path, tmp_path: Path) -> Chart:
    """A chart that depends on ours, on a condition, and writes down what the naming helpers give it."""
    (tmp_path / "Chart.yaml").write_text(
        yaml.safe_dump(
            {
                "apiVersion": "v2",
                "name": "parent",
                "version": "1.0.0",
                "dependencies": [
                    {"name": "binderhub-service", "version": "*-0", "condition": "binderhub-service.enabled"}
                ],
            }
        )
    )
    (tmp_path / "charts").mkdir()
    (tmp_path / "charts" / "binderhub-service").symlink_to(CHART)
    (tmp_path / "templates").mkdir()
    lines = [f'  {name}: {{{{ include "binderhub-service.{name}" . | quote }}}}\n' for name in HELPERS]
    (tmp_path / "templates" / "names.yaml").write_text(
        '{{- if (index .Values "binderhub-service").enabled }}\n'
        "apiVersion: v1\nkind: ConfigMap\nmetadata:\n  name: names\ndata:\n" + "".join(lines) + "{{- end }}\n"
    )
    return Chart(helm, tmp_path)


@pytest.mark.parametrize(
    "values",
    [
        {},
        {"fullnameOverride": "custom"},
        {"fullnameOverride": None},
        {"fullnameOverride": None, "nameOverride": "bs"},
        {"serviceAccount": {"name": "builder"}},
    ],
)
def test_a_parent_chart_gets_the_names_that_its_subchart_uses(parent: Chart, values: dict[str, Any]) -> None:
    objects = parent.render(
        {
            "fullnameOverride": "the parent's own",
            "nameOverride": "the parent's own",
            "binderhub-service": {"enabled": True, "allowAnonymous": True, "ingress": {"enabled": True}, **values},
        }
    )
    told = objects.one("ConfigMap", "names")["data"]
    pod = only(objects, "Deployment")["spec"]["template"]["spec"]
    assert told == {
        "binderhub.fullname": only(objects, "Deployment")["metadata"]["name"],
        "binderhub.serviceaccount.fullname": pod["serviceAccountName"],
        "binderhub.ingress.fullname": only(objects, "Ingress")["metadata"]["name"],
        "docker-api.fullname": only(objects, "DaemonSet")["metadata"]["name"],
        "build-pods-docker-config.fullname": pod["containers"][0]["env"][0]["value"],
    }
    assert selectors(objects)["Deployment"]["app.kubernetes.io/name"] == values.get("nameOverride", "binderhub-service")


def test_a_parent_chart_leaves_it_out_by_condition(parent: Chart) -> None:
    assert parent.render({"binderhub-service": {"enabled": False}}).names() == set()
