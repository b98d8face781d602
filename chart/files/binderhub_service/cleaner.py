"""The cleaner that BinderHub runs every minute: takes away what no process looks after any more."""

import os
from datetime import UTC, datetime, timedelta

from binderhub.build import KubernetesCleaner
from tornado.log import app_log
from traitlets import Integer

from binderhub_service import Json
from binderhub_service.kubernetes_api import ApiClient, ApiError, api, release
from binderhub_service.objects import COMPONENT, OWNER_LABEL

ENDED_SECONDS = 60
"""A pod that ended is taken away by the process that watched its build; after so long there is none."""
TERMINATING_SECONDS = 600
UNOWNED_ENDED_SECONDS = 600
"""For a pod of BinderHub's own class, which the one before an upgrade left: no process of now knows of its end."""


class ServiceKubernetesCleaner(KubernetesCleaner):
    """Looks at build pods of its own release, and at those that ended and say of no release that it is theirs."""

    max_pending = Integer(1800, config=True, help="Seconds after which a build pod that never started is deleted.")

    def cleanup(self) -> None:
        """One round; what another replica deletes first is fine."""
        server, now = api(), datetime.now(tz=UTC)
        namespace = os.environ.get("BUILD_NAMESPACE", self.namespace)
        path = f"/api/v1/namespaces/{namespace}/pods"
        for pod in _list(server, path, f"{OWNER_LABEL}={release()}"):
            reason = reason_to_delete(pod, now, self.max_age, self.max_pending)
            if reason:
                _delete(server, path, pod, reason)
        for pod in _list(server, path, f"!{OWNER_LABEL}"):
            if ended_seconds_ago(pod, now) > UNOWNED_ENDED_SECONDS:
                _delete(server, path, pod, "it ended long ago, and no release says that it is its own")


def _list(server: ApiClient, path: str, selector: str) -> list[Json]:
    return server.request("GET", path, {"labelSelector": f"component={COMPONENT},{selector}"}).get("items") or []


def _delete(server: ApiClient, path: str, pod: Json, reason: str) -> None:
    app_log.info("Deleting build pod %s: %s", pod["metadata"]["name"], reason)
    options = {"gracePeriodSeconds": 0, "preconditions": {"uid": pod["metadata"]["uid"]}}
    try:
        server.request("DELETE", f"{path}/{pod['metadata']['name']}", None, options)
    except ApiError as refused:
        if refused.status not in (404, 409):
            raise


def reason_to_delete(pod: Json, now: datetime, max_age: int, max_pending: int) -> str:
    """Why nobody needs this pod any more; empty where somebody may. The maxima are seconds, 0 is never."""
    metadata, status = pod["metadata"], pod.get("status") or {}
    phase = status.get("phase", "Pending")
    if metadata.get("deletionTimestamp"):
        return "its node does not end it" if _age(metadata["deletionTimestamp"], now) > TERMINATING_SECONDS else ""
    if phase in ("Succeeded", "Failed"):
        return f"{phase} a while ago" if ended_seconds_ago(pod, now) > ENDED_SECONDS else ""
    since = status.get("startTime")
    if since and max_age and _age(since, now) > max_age:
        return f"it runs for more than {max_age} s"
    if not since and max_pending and _age(metadata["creationTimestamp"], now) > max_pending:
        return f"it did not start within {max_pending} s"
    return ""


def ended_seconds_ago(pod: Json, now: datetime) -> float:
    """How long ago it ended; 0 while it has not."""
    if (pod.get("status") or {}).get("phase") not in ("Succeeded", "Failed"):
        return 0
    return _age(_ended(pod) or pod["metadata"]["creationTimestamp"], now)


def _age(when: str, now: datetime) -> float:
    return (now - datetime.fromisoformat(when.replace("Z", "+00:00"))) / timedelta(seconds=1)


def _ended(pod: Json) -> str:
    ends = [
        str(((one.get("state") or {}).get("terminated") or {}).get("finishedAt") or "")
        for kind in ("initContainerStatuses", "containerStatuses")
        for one in (pod.get("status") or {}).get(kind) or []
    ]
    return max(ends, default="")
