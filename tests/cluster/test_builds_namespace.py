"""BinderHub in a namespace that is restricted, and what it builds with in another, which is privileged."""

import secrets
from collections.abc import Iterator
from dataclasses import replace
from typing import Any

import pytest
from demonstration.target import Target
from support.release import Release

pytestmark = pytest.mark.local


def labelled(target: Target, namespace: str, level: str) -> None:
    target.run(target.kubectl, "create", "namespace", namespace)
    target.run(target.kubectl, "label", "namespace", namespace, f"pod-security.kubernetes.io/enforce={level}")


@pytest.fixture
def release(cluster: Target) -> Iterator[Release]:
    """The release of a namespace, whose builds are in the namespace that has `-builds` behind its name."""
    made = Release(cluster, f"restricted-{secrets.token_hex(3)}")
    builds = f"{made.namespace}-builds"
    try:
        labelled(cluster, made.namespace, "restricted")
        labelled(cluster, builds, "privileged")
        made.install({"buildPods": {"namespace": builds, "startTimeoutSeconds": 60}})
        with made.reached() as reached:
            yield reached
    finally:
        for namespace in (made.namespace, builds):
            cluster.run(cluster.kubectl, "delete", "namespace", namespace, "--ignore-not-found", "--wait=false")


def test_an_image_is_built_without_a_privileged_pod_beside_binderhub(release: Release) -> None:
    builds = replace(release, namespace=f"{release.namespace}-builds")
    phases: list[str | None] = []
    seen: list[dict[str, Any]] = []
    for event in release.ask("first-image"):
        phases.append(event.get("phase"))
        if not seen:
            seen = builds.pods()
    assert phases[-1] == "ready"
    assert seen
    everything = "app.kubernetes.io/instance"
    components = {pod["metadata"]["labels"]["app.kubernetes.io/component"] for pod in release.pods(everything)}
    assert components == {"binderhub"}
    assert {pod["metadata"]["labels"]["app.kubernetes.io/component"] for pod in builds.pods(everything)} == {
        "docker-api"
    }
    builds.nothing_left()
