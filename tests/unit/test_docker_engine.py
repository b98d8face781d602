"""Which daemon a build uses, as its pod shows it."""

from typing import Any

from binderhub_service.pod_fields import daemon_instance, was_oom_killed


def daemon_pod(restarts: int, cleaner_restarts: int, killed: str = "") -> dict[str, Any]:
    """A docker-api pod with a cleaner, as the API shows it; `killed` names the container that memory ran out for."""

    def status(name: str, count: int) -> dict[str, Any]:
        last = {"terminated": {"reason": "OOMKilled"}} if name == killed else {}
        return {"name": name, "restartCount": count, "state": {"running": {}}, "lastState": last}

    statuses = [status("cleaner", cleaner_restarts), status("docker-api", restarts)]
    return {"metadata": {"uid": "u"}, "status": {"containerStatuses": statuses}}


def test_a_cleaner_that_ends_is_no_daemon_that_was_lost() -> None:
    assert daemon_instance(daemon_pod(0, 0)) == daemon_instance(daemon_pod(0, 3))
    assert daemon_instance(daemon_pod(0, 0)) != daemon_instance(daemon_pod(1, 0))
    assert was_oom_killed(daemon_pod(0, 1, "docker-api"))
    assert not was_oom_killed(daemon_pod(0, 1, "cleaner"))
