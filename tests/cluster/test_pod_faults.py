"""Faults of the build pod itself: what takes it away while it runs."""

import json

import pytest
from support.release import Release, values

pytestmark = pytest.mark.local


def test_8_a_pod_deleted_by_hand(release: Release) -> None:
    def delete() -> None:
        release.delete("pod", "--selector=component=binderhub-build", "--wait=false")

    answer = release.answer_while("slow-step", "second 1", delete)
    answer.failed("BHS703")
    assert answer.seconds < 10


def test_8_an_evicted_pod(release: Release) -> None:
    """Through the eviction API, as `kubectl drain` and autoscalers do it."""
    nodes = []

    def evict() -> None:
        pod = release.build_pod()
        nodes.append(pod["spec"]["nodeName"])
        metadata = {key: pod["metadata"][key] for key in ("name", "namespace")}
        eviction = {"apiVersion": "policy/v1", "kind": "Eviction", "metadata": metadata}
        path = f"/api/v1/namespaces/{release.namespace}/pods/{metadata['name']}/eviction"
        release.target.run(release.target.kubectl, "create", "--raw", path, "--filename=-", given=json.dumps(eviction))

    answer = release.answer_while("slow-step", "second 1", evict)
    what = answer.failed("BHS702")
    assert nodes[0] in what
    assert "viction" in what
    assert answer.seconds < 10


def test_8_a_pod_that_takes_too_much_memory(shared: Release) -> None:
    with values(shared, {"buildPods": {"resources": {"limits": {"memory": "32Mi"}}}}) as release:
        release.answer("slow-step").failed("BHS701")


def test_8_a_pod_that_runs_too_long(shared: Release) -> None:
    with values(shared, {"buildPods": {"deadlineSeconds": 8}}) as release:
        answer = release.answer("slow-step")
        assert "8 s" in answer.failed("BHS704")
        assert answer.seconds < 25
