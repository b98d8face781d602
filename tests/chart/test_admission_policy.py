"""The policy that lets BinderHub's account make build pods alone: when it is rendered, and for which values."""

import json
import subprocess
from pathlib import Path
from typing import Any

import pytest
from chart_values.rendering import ANONYMOUS, Chart, Object, Objects
from common.errors import UserError
from common.paths import CHART

ON: dict[str, Any] = {"admissionPolicy": {"enabled": True}}
KIND = "ValidatingAdmissionPolicy"


def policy(objects: Objects, kind: str = "pods", name: str = "ns1.rel.binderhub") -> Object:
    found: Object = objects.one(KIND, f"{name}.{kind}")["spec"]
    return found


def expressions(objects: Objects) -> str:
    """All that is said of pods."""
    found = policy(objects)
    return "\n".join(one["expression"] for one in (*found["variables"], *found["validations"]))


def test_the_policy_is_off_by_default(defaults: Objects) -> None:
    assert not [found for found in defaults if found["kind"].startswith(KIND)]


def test_each_policy_is_bound_and_denies(chart: Chart) -> None:
    objects = chart.render(ON)
    for kind in ("pods", "secrets"):
        assert policy(objects, kind)["failurePolicy"] == "Fail"
        binding = objects.one(f"{KIND}Binding", f"ns1.rel.binderhub.{kind}")["spec"]
        assert binding == {"policyName": f"ns1.rel.binderhub.{kind}", "validationActions": ["Deny"]}


def test_two_releases_have_policies_of_their_own(chart: Chart) -> None:
    one = chart.render(ON, namespace="a-b", release="c").names()
    other = chart.render(ON, namespace="a", release="b-c").names()
    assert not {(kind, name) for kind, name in one & other if kind.startswith(KIND)}


@pytest.mark.parametrize(
    ("values", "account"),
    [
        ({}, "binderhub"),
        ({"serviceAccount": {"name": "builder"}}, "builder"),
        ({"serviceAccount": {"create": False, "name": "mine"}}, "mine"),
        ({"serviceAccount": {"create": False}}, "default"),
        ({"fullnameOverride": None}, "rel-binderhub-service-binderhub"),
    ],
)
def test_the_policy_applies_to_binderhubs_account(chart: Chart, values: dict[str, Any], account: str) -> None:
    objects = chart.render({**ON, **values})
    for kind in ("pods", "secrets"):
        (condition,) = policy(objects, kind)["matchConditions"]
        assert condition["expression"] == f'request.userInfo.username == "system:serviceaccount:ns1:{account}"'


FIRST: dict[str, Any] = {
    "name": "a",
    "image": "i:1",
    "envFrom": [{"secretRef": {"name": "s3"}}],
    "securityContext": {"allowPrivilegeEscalation": False},
}
# Values, the same as traits, and what the policy then names.
NAMED: dict[str, tuple[dict[str, Any], dict[str, Any], list[str]]] = {
    "namespace": ({"namespace": "builds"}, {"namespace": "builds"}, ['== "builds"']),
    "secrets in variables": (
        {"extraEnv": [{"name": "A", "valueFrom": {"secretKeyRef": {"name": "s1", "key": "k"}}}]},
        {"extra_env": [{"name": "A", "valueFrom": {"secretKeyRef": {"name": "s1", "key": "k"}}}]},
        ['e.valueFrom.secretKeyRef.name == "s1"', 'e.valueFrom.secretKeyRef.key == "k"'],
    ),
    "volumes": (
        {"extraVolumes": [{"name": "v", "secret": {"secretName": "s2"}}]},
        {"extra_volumes": [{"name": "v", "secret": {"secretName": "s2"}}]},
        ['v.secret.secretName == "s2"'],
    ),
    "init containers": (
        {"initContainers": [FIRST]},
        {"init_containers": [FIRST]},
        ['"i:1"', '"s3"'],
    ),
    "mounts": (
        {"extraVolumeMounts": [{"name": "v", "mountPath": "/v", "readOnly": True}]},
        {"extra_volume_mounts": [{"name": "v", "mountPath": "/v", "readOnly": True}]},
        ['m.mountPath == "/v" && has(m.name) && m.name == "v" && has(m.readOnly) && m.readOnly == true'],
    ),
    "priority class": (
        {"priorityClassName": "high"},
        {"priority_class_name": "high"},
        ['object.spec.?priorityClassName.orValue("") == "high"'],
    ),
    "pull secrets": ({"imagePullSecrets": ["s4"]}, {"image_pull_secrets": ["s4"]}, ['in ["s4"]']),
    "service account": ({"serviceAccountName": "b"}, {"service_account_name": "b"}, ['["default","b",""]']),
}


@pytest.mark.parametrize("case", NAMED)
def test_the_policy_names_what_values_and_traits_give_build_pods(chart: Chart, case: str) -> None:
    values, traits, words = NAMED[case]
    by_values = expressions(chart.render({**ON, "buildPods": values}))
    by_traits = expressions(chart.render({**ON, "config": {"KubernetesBuildExecutor": traits}}))
    none = expressions(chart.render(ON))
    for word in words:
        assert word in by_values
        assert word in by_traits
        assert word not in none


def test_the_policy_names_the_push_secret_and_the_image(chart: Chart) -> None:
    registry = {"server": "quay.io", "existingSecret": "mine"}
    said = expressions(
        chart.render({**ON, "registry": registry, "config": {"KubernetesBuildExecutor": {"build_image": "r:1"}}})
    )
    assert '["mine"]' in said
    assert 'c.image in ["r:1"]' in said


@pytest.mark.parametrize(("version", "refused"), [("1.29.9", True), ("1.30.0", False), ("1.30.1-gke.1", False)])
def test_an_older_kubernetes_is_refused(helm: Path, version: str, refused: bool) -> None:
    words = [str(helm), "template", "rel", str(CHART), f"--kube-version={version}", f"--values={ANONYMOUS}"]
    done = subprocess.run([*words, "--values=-"], input=json.dumps(ON), capture_output=True, text=True, check=False)
    assert bool(done.returncode) is refused
    assert ("ValidatingAdmissionPolicy came with Kubernetes 1.30, and this is v1.29.9" in done.stderr) is refused


def test_upstreams_build_pods_are_refused(chart: Chart) -> None:
    with pytest.raises(UserError, match="have no owner label"):
        chart.render({**ON, "buildPods": {"executor": "upstream"}})


@pytest.mark.parametrize("context", [None, {}, {"allowPrivilegeEscalation": True}, {"runAsUser": 1}])
@pytest.mark.parametrize("trait", [False, True], ids=["value", "trait"])
def test_init_containers_that_it_would_refuse_are_refused(chart: Chart, context: Any, trait: bool) -> None:
    containers = [FIRST, {**FIRST, "name": "b", "securityContext": context}]
    values: dict[str, Any] = {"buildPods": {"initContainers": containers}}
    if trait:
        values = {"config": {"KubernetesBuildExecutor": {"init_containers": containers}}}
    with pytest.raises(UserError, match=r"init container b may gain privileges\. Set securityContext\."):
        chart.render({**ON, **values})
    assert chart.render(values).names() == chart.render().names()


def test_without_a_priority_class_none_may_be_set(chart: Chart) -> None:
    assert 'object.spec.?priorityClassName.orValue("") == ""' in expressions(chart.render(ON))
