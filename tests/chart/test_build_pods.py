"""The values of build pods: what becomes of them, and which contradict each other."""

from pathlib import Path
from typing import Any

import pytest
from chart_values.rendering import Chart, Objects
from common.errors import UserError
from traitlets.config import Config
from traitlets.config.loader import PyFileConfigLoader


def load(objects: Objects, folder: Path) -> Any:
    """c.KubernetesBuildExecutor and c.BinderHub of a rendered release."""
    for name, text in objects.one("Secret", "binderhub")["stringData"].items():
        (folder / name).write_text(text)
    config = PyFileConfigLoader("binderhub_config.py", path=str(folder)).load_config()
    assert isinstance(config, Config)
    return config


@pytest.fixture(autouse=True)
def environment(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PUSH_SECRET_NAME", "push")
    monkeypatch.setenv("DOCKER_API_SOCKET", "/run/x/docker-api.sock")


VALUES: dict[str, tuple[str, Any]] = {
    "resources": ("resources", {"limits": {"memory": "1Gi"}}),
    "tolerations": ("tolerations", [{"operator": "Exists"}]),
    "priorityClassName": ("priority_class_name", "low"),
    "labels": ("labels", {"team": "a"}),
    "annotations": ("annotations", {"a": "b", "cluster-autoscaler.kubernetes.io/safe-to-evict": "false"}),
    "extraEnv": ("extra_env", [{"name": "A", "valueFrom": {"secretKeyRef": {"name": "s", "key": "k"}}}]),
    "extraVolumes": ("extra_volumes", [{"name": "v", "emptyDir": {}}]),
    "extraVolumeMounts": ("extra_volume_mounts", [{"name": "v", "mountPath": "/v"}]),
    "initContainers": ("init_containers", [{"name": "first", "image": "i"}]),
    "startTimeoutSeconds": ("start_timeout_seconds", 10),
    "deadlineSeconds": ("deadline_seconds", 60),
    "repositorySizeLimit": ("repository_size_limit", "1G"),
    "maxWaitingPerRequester": ("max_waiting_per_requester", 3),
    "imagePullPolicy": ("image_pull_policy", "Always"),
    "imagePullSecrets": ("image_pull_secrets", ["pull"]),
    "serviceAccountName": ("service_account_name", "builder"),
}


@pytest.mark.parametrize("name", VALUES)
def test_a_value_becomes_a_trait_that_config_overrides(chart: Chart, tmp_path: Path, name: str) -> None:
    trait, value = VALUES[name]
    assert load(chart.render({"buildPods": {name: value}}), tmp_path).KubernetesBuildExecutor[trait] == value


def test_config_wins_over_a_default(chart: Chart, tmp_path: Path) -> None:
    config = {"KubernetesBuildExecutor": {"start_timeout_seconds": 5, "tolerations": []}}
    found = load(chart.render({"config": config}), tmp_path).KubernetesBuildExecutor
    assert (found.start_timeout_seconds, found.tolerations) == (5, [])


def test_a_build_may_take_an_hour_unless_told_otherwise(chart: Chart, tmp_path: Path) -> None:
    assert load(chart.render(), tmp_path).KubernetesBuildExecutor.deadline_seconds == 3600
    unbounded = load(chart.render({"buildPods": {"deadlineSeconds": 0}}), tmp_path).KubernetesBuildExecutor
    assert not unbounded.get("deadline_seconds")
    config = {"KubernetesBuildExecutor": {"deadline_seconds": 60}}
    assert load(chart.render({"config": config}), tmp_path).KubernetesBuildExecutor.deadline_seconds == 60


_DEFAULTS = {"tolerations", "annotations", "startTimeoutSeconds", "maxWaitingPerRequester", "repositorySizeLimit"}
"""Values that are never empty, and that config overrides."""


@pytest.mark.parametrize("name", sorted(set(VALUES) - _DEFAULTS))
def test_both_set_is_refused(chart: Chart, name: str) -> None:
    trait, value = VALUES[name]
    with pytest.raises(
        UserError, match=rf"buildPods\.{name} and config\.KubernetesBuildExecutor\.{trait} are both set"
    ):
        chart.render({"buildPods": {name: value}, "config": {"KubernetesBuildExecutor": {trait: value}}})


def test_upstreams_executor(chart: Chart, tmp_path: Path) -> None:
    config = load(chart.render({"buildPods": {"executor": "upstream"}}), tmp_path)
    assert not {"build_class", "build_cleaner_class", "registry_class"} & set(config.BinderHub)
    assert set(config.KubernetesBuildExecutor) == {"build_image", "node_selector", "push_secret", "docker_host"}


def test_builders_are_for_pods_and_daemons(chart: Chart, tmp_path: Path) -> None:
    affinity: dict[str, object] = {"nodeAffinity": {}}
    objects = chart.render({"builders": {"architecture": "", "nodeSelector": {"a": "b"}, "affinity": affinity}})
    spec = objects.one("DaemonSet", "docker-api")["spec"]["template"]["spec"]
    config = load(objects, tmp_path).KubernetesBuildExecutor
    assert spec["nodeSelector"] == config.node_selector == {"a": "b"}
    assert spec["affinity"] == config.affinity == affinity


def test_a_namespace_of_their_own(chart: Chart) -> None:
    files = {"f": {"mountPath": "/f", "stringData": "x"}}
    objects = chart.render({"buildPods": {"namespace": "builds"}, "dockerApi": {"extraFiles": files}})
    there = {
        (one["kind"], one["metadata"]["name"]) for one in objects if one["metadata"].get("namespace", "ns1") == "builds"
    }
    assert there == {
        ("Role", "binderhub"),
        ("RoleBinding", "binderhub"),
        ("DaemonSet", "docker-api"),
        ("Secret", "docker-api"),
        ("Secret", "build-pods-docker-config"),
        ("NetworkPolicy", "binderhub-builder-network-policy"),
        ("NetworkPolicy", "binderhub-dind-network-policy"),
    }
    (subject,) = objects.one("RoleBinding", "binderhub")["subjects"]
    assert subject == {"kind": "ServiceAccount", "name": "binderhub", "namespace": "ns1"}
    (container,) = objects.one("Deployment", "binderhub")["spec"]["template"]["spec"]["containers"]
    assert {"name": "BUILD_NAMESPACE", "value": "builds"} in container["env"]


def test_the_role_reads_events_and_only_makes_secrets(defaults: Objects) -> None:
    rules = {rule["resources"][0]: set(rule["verbs"]) for rule in defaults.one("Role", "binderhub")["rules"]}
    assert rules["secrets"] == {"create"}
    assert rules["events"] == {"list", "watch"}
