"""A real API server takes every object of every case, and each pod where the Pod Security Standard lets it."""

import json
import urllib.error
from collections.abc import Iterator
from typing import Any

import pytest
from chart.test_matrix import CASES, build_pod, of_kubernetes, rendered  # noqa: F401 - a fixture
from chart_values.rendering import Object
from support.api_server import ApiServer, serving
from support.binderhub import until

pytestmark = pytest.mark.together

LEVELS = ("restricted", "baseline", "privileged")
# "ns1" and "builds" are where the cases put their objects.
NAMESPACES = ("ns1", "builds", *LEVELS)


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[ApiServer]:
    with serving(tmp_path_factory.mktemp("kubernetes")) as serves:
        for name in NAMESPACES:
            labels = {"pod-security.kubernetes.io/enforce": name} if name in LEVELS else {}
            serves.request("POST", "/api/v1/namespaces", {"metadata": {"name": name, "labels": labels}})
        yield serves


@pytest.fixture(scope="module")
def plurals(server: ApiServer) -> dict[tuple[str, str], str]:
    """What paths call a kind, by its version and kind; with a slash before it, where it is in no namespace."""
    needed = {
        "admissionregistration.k8s.io",
        "apps",
        "batch",
        "networking.k8s.io",
        "policy",
        "rbac.authorization.k8s.io",
    }
    # It answers before it has told of all its groups.
    until(lambda: needed <= {one["name"] for one in server.request("GET", "/apis")["groups"]}, "all groups of the API")
    versions = {"/api/v1": "v1"}
    for group in server.request("GET", "/apis")["groups"]:
        versions |= {f"/apis/{one['groupVersion']}": one["groupVersion"] for one in group["versions"]}
    return {
        (version, one["kind"]): one["name"] if one["namespaced"] else f"/{one['name']}"
        for path, version in versions.items()
        for one in server.request("GET", path)["resources"]
        if "/" not in one["name"]
    }


def try_to_make(server: ApiServer, plural: str, one: Object, namespace: str) -> str:
    """What the server says against the object; empty where it would make it. Nothing is made."""
    version = one["apiVersion"]
    base = "/api/v1" if version == "v1" else f"/apis/{version}"
    query = "dryRun=All&fieldValidation=Strict"
    place = plural if plural.startswith("/") else f"/namespaces/{namespace}/{plural}"
    try:
        server.request("POST", f"{base}{place}?{query}", one)
    except urllib.error.HTTPError as refused:
        return str(json.load(refused)["message"])
    return ""


@pytest.mark.parametrize("case", CASES)
def test_every_object_is_taken(
    server: ApiServer,
    plurals: dict[tuple[str, str], str],
    rendered: Any,  # noqa: F811
    case: str,
) -> None:
    for one in of_kubernetes(rendered(case)):
        namespace = one["metadata"].get("namespace", "ns1")
        assert not try_to_make(server, plurals[one["apiVersion"], one["kind"]], one, namespace)


def test_a_wrong_object_is_not_taken(server: ApiServer, rendered: Any) -> None:  # noqa: F811
    deployment = next(one for one in rendered("defaults") if one["kind"] == "Deployment")
    other = {**deployment, "spec": {**deployment["spec"], "selector": {"matchLabels": {"a": "b"}}}}
    assert "`selector` does not match template `labels`" in try_to_make(server, "deployments", other, "ns1")
    unknown = {**deployment, "spec": {**deployment["spec"], "replica": 1}}
    assert 'unknown field "spec.replica"' in try_to_make(server, "deployments", unknown, "ns1")


def pod_of(objects: Any, kind: str) -> Object:
    """The pod that a workload makes."""
    (workload,) = [one for one in objects if one["kind"] == kind]
    template = workload["spec"]["template"]
    return {"apiVersion": "v1", "kind": "Pod", **template, "metadata": {**template["metadata"], "name": "pod"}}


def levels_of(server: ApiServer, pod: Object) -> set[str]:
    """The levels at which the pod may run; the server must have no other objection."""
    said = {level: try_to_make(server, "pods", pod, level) for level in LEVELS}
    assert all("violates PodSecurity" in words for words in said.values() if words), said
    return {level for level, words in said.items() if not words}


@pytest.mark.parametrize("case", CASES)
def test_binderhubs_pod_may_run_where_the_level_is_restricted(
    server: ApiServer,
    rendered: Any,  # noqa: F811
    case: str,
) -> None:
    assert levels_of(server, pod_of(rendered(case), "Deployment")) == set(LEVELS)


def test_daemons_and_build_pods_need_the_level_privileged(server: ApiServer, rendered: Any) -> None:  # noqa: F811
    assert levels_of(server, pod_of(rendered("defaults"), "DaemonSet")) == {"privileged"}
    assert levels_of(server, build_pod()) == {"privileged"}
