"""Pods to which a policy of the cluster has added a container, as service meshes do."""

from typing import Any

import pytest
from binderhub_service.pod_fields import has_ended
from binderhub_service.pod_status import (
    Ended,
    Failed,
    PodSnapshot,
    Running,
    State,
    Timers,
    deleted_pod_state,
    pod_state,
)
from binderhub_service.programs import BUILD, CONTAINERS, FETCH, PUSH

SIDECAR = {"name": "istio-proxy", "image": "mesh.example/proxy:1"}


def state(phase: str = "Running", sidecar: dict[str, Any] | None = None, **codes: int) -> State:
    """State of a pod whose containers have ended with these codes, or still run; the added one is the first."""
    statuses: list[dict[str, Any]] = [{**SIDECAR, "state": sidecar or {"running": {}}}]
    for name in CONTAINERS:
        one = {"terminated": {"exitCode": codes[name]}} if name in codes else {"running": {}}
        statuses.append({"name": name, "image": "r2d:1", "state": one})
    pod = {
        "metadata": {"name": "p"},
        "spec": {"nodeName": "n", "containers": [SIDECAR, *({"name": name, "image": "r2d:1"} for name in CONTAINERS)]},
        "status": {
            "phase": phase,
            "conditions": [{"type": "PodScheduled", "status": "True"}],
            "containerStatuses": statuses,
        },
    }
    return pod_state(PodSnapshot(pod, [], None, False, 100.0, 900.0, builder_has_logged=True), Timers())


def test_a_build_that_fails_has_ended_although_the_pod_runs() -> None:
    assert state(fetch=0, builder=1) == Ended(BUILD, 1)
    assert state(fetch=0, builder=0, push=1) == Ended(PUSH, 1)
    assert state(fetch=128) == Ended(FETCH, 128)


def test_a_build_that_succeeds_has_ended_although_the_pod_runs() -> None:
    assert state(fetch=0, builder=0, push=0) == Ended(BUILD, 0)


def test_a_build_runs_until_the_push_has_ended() -> None:
    assert isinstance(state(fetch=0, builder=0), Running)


def test_the_failure_of_an_added_container_is_not_that_of_the_build() -> None:
    failed = {"terminated": {"exitCode": 1}}
    assert state("Failed", failed, fetch=0, builder=0, push=0) == Ended(BUILD, 0)
    assert isinstance(state("Running", {"waiting": {"reason": "ErrImagePull"}}, fetch=0), Running)


def test_the_last_version_of_a_deleted_pod_needs_no_spec() -> None:
    ended = [{"name": name, "state": {"terminated": {"exitCode": 0}}} for name in CONTAINERS]
    added = {"name": "istio-proxy", "state": {"terminated": {"exitCode": 1}}}
    last = {"metadata": {"name": "p"}, "status": {"phase": "Failed", "containerStatuses": [added, *ended]}}
    assert deleted_pod_state(last) == Ended(BUILD, 0)


@pytest.mark.parametrize(
    ("message", "code"),
    [
        ('Usage of EmptyDir volume "source" exceeds the limit "11Gi". ', "BHS109"),
        ("Pod ephemeral local storage usage exceeds the total limit of containers 1Gi. ", "BHS109"),
        ('Container fetch exceeded its local ephemeral storage limit "1Gi". ', "BHS109"),
        ("The node was low on resource: ephemeral-storage. Threshold quantity: 1, available: 0. ", "BHS702"),
        ('Usage of EmptyDir volume "cache" exceeds the limit "1Gi". ', "BHS702"),
        ('Container builder exceeded its local ephemeral storage limit "1Gi". ', "BHS702"),
        ('Container istio-proxy exceeded its local ephemeral storage limit "1Gi". ', "BHS702"),
    ],
)
def test_a_repository_that_exceeds_a_limit_of_the_disk_is_too_large(message: str, code: str) -> None:
    last = {"metadata": {"name": "p"}, "status": {"phase": "Failed", "reason": "Evicted", "message": message}}
    found = deleted_pod_state(last)
    assert isinstance(found, Failed)
    assert found.failure.code == code


def test_a_pod_whose_added_container_runs_on_has_ended() -> None:
    """As a process that begins later sees it: it adopts no such pod, and the cleaner deletes it."""
    finished = "2026-01-01T00:00:00Z"
    terminated = {"terminated": {"exitCode": 0, "finishedAt": finished, "startedAt": finished}}
    ended = [{"name": name, "state": terminated} for name in CONTAINERS]
    pod: dict[str, Any] = {
        "metadata": {"name": "p", "creationTimestamp": finished},
        "spec": {"containers": [{"name": name} for name in (*CONTAINERS, "istio-proxy")]},
        "status": {"phase": "Running", "containerStatuses": [*ended, {**SIDECAR, "state": {"running": {}}}]},
    }
    assert has_ended(pod)
    pod["status"]["containerStatuses"] = ended[:-1]
    assert not has_ended(pod)
