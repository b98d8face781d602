"""A container that an admission policy adds to every build pod, and that never ends by itself."""

import json
from collections.abc import Iterator
from typing import Any

import pytest
import yaml
from common.paths import CHART
from support.binderhub import until
from support.release import Release

pytestmark = pytest.mark.local

IMAGE = yaml.safe_load((CHART / "values.yaml").read_text())["config"]["KubernetesBuildExecutor"]["build_image"]
CONTAINER = f'Object.spec.containers{{name: "proxy", image: {json.dumps(IMAGE)}, command: ["sleep", "3600"]}}'


def policies(name: str, namespace: str) -> list[dict[str, Any]]:
    """What adds the container to the build pods of a namespace, as a service mesh does."""
    rule = {"apiGroups": [""], "apiVersions": ["v1"], "operations": ["CREATE"], "resources": ["pods"]}
    here = {"matchLabels": {"kubernetes.io/metadata.name": namespace}}
    patch = f'[JSONPatch{{op: "add", path: "/spec/containers/-", value: {CONTAINER}}}]'
    spec = {
        "matchConstraints": {"namespaceSelector": here, "resourceRules": [rule]},
        "matchConditions": [
            {"name": "a-build", "expression": 'object.metadata.?labels["component"].orValue("") == "binderhub-build"'}
        ],
        "failurePolicy": "Fail",
        "reinvocationPolicy": "Never",
        "mutations": [{"patchType": "JSONPatch", "jsonPatch": {"expression": patch}}],
    }
    head = {"apiVersion": "admissionregistration.k8s.io/v1", "metadata": {"name": name}}
    return [
        {**head, "kind": "MutatingAdmissionPolicy", "spec": spec},
        {**head, "kind": "MutatingAdmissionPolicyBinding", "spec": {"policyName": name}},
    ]


@pytest.fixture
def injected(release: Release) -> Iterator[Release]:
    """The release, when the API server has begun to add the container."""
    target, name = release.target, f"inject-{release.namespace}"
    objects = yaml.safe_dump_all(policies(name, release.namespace))
    pod = {
        "apiVersion": "v1",
        "kind": "Pod",
        "metadata": {"name": "a-build", "namespace": release.namespace, "labels": {"component": "binderhub-build"}},
        "spec": {"containers": [{"name": "only", "image": IMAGE}]},
    }

    def added() -> bool:
        words = [target.kubectl, "create", "--dry-run=server", "--output=json", "--filename=-"]
        answer = json.loads(target.run(*words, given=json.dumps(pod)))
        return len(answer["spec"]["containers"]) == 2

    try:
        target.run(target.kubectl, "create", "--filename=-", given=objects)
        until(added, "the policy to add the container")
        yield release
    finally:
        target.run(target.kubectl, "delete", "--filename=-", given=objects)


def test_a_build_beside_an_added_container_ends_and_its_pod_is_removed(injected: Release) -> None:
    def look() -> None:
        containers = [one["name"] for one in injected.build_pod()["spec"]["containers"]]
        assert containers[-1] == "proxy"
        assert len(containers) == 4

    good = injected.answer_while("first-image", "apt-get", look)
    assert good.end["phase"] == "ready", good.end
    injected.nothing_left()
    injected.answer("fails-in-a-step").failed("BHS101")
    injected.nothing_left()
