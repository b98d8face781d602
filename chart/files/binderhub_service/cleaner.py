"""The cleaner that BinderHub runs every minute: it deletes build pods that no process watches any more."""

import os
from datetime import UTC, datetime, timedelta

from binderhub.build import KubernetesCleaner
from tornado.log import app_log
from traitlets import Integer

from binderhub_service import Json
from binderhub_service.kubernetes_api import ApiClient, ApiError, api_client, release_owner_label
from binderhub_service.manifests import COMPONENT, OWNER_LABEL, delete_options
from binderhub_service.pod_fields import has_ended

ENDED_SECONDS = 60
"""The process that watches a build deletes its ended pod. After so long there is no such process."""
TERMINATING_SECONDS = 600
UNOWNED_ENDED_SECONDS = 600
"""For pods of BinderHub's own executor, from before an upgrade: no process of this release watches them."""


class ServiceKubernetesCleaner(KubernetesCleaner):
    """Deletes build pods of its own release, and ended build pods that have no owner label."""

    max_pending = Integer(1800, config=True, help="Seconds after which a build pod that never started is deleted.")

    def cleanup(self) -> None:
        """Delete what is due. Another replica may be faster."""
        api, now = api_client(), datetime.now(tz=UTC)
        namespace = os.environ.get("BUILD_NAMESPACE", self.namespace)
        path = f"/api/v1/namespaces/{namespace}/pods"
        for pod in _list(api, path, f"{OWNER_LABEL}={release_owner_label()}"):
            reason = reason_to_delete(pod, now, self.max_age, self.max_pending)
            if reason:
                _delete(api, path, pod, reason)
        for pod in _list(api, path, f"!{OWNER_LABEL}"):
            if ended_seconds_ago(pod, now) > UNOWNED_ENDED_SECONDS:
                _delete(api, path, pod, "it ended long ago, and has no owner label")


def _list(api: ApiClient, path: str, selector: str) -> list[Json]:
    return api.request("GET", path, {"labelSelector": f"component={COMPONENT},{selector}"}).get("items") or []


def _delete(api: ApiClient, path: str, pod: Json, reason: str) -> None:
    app_log.info("Deleting build pod %s: %s", pod["metadata"]["name"], reason)
    try:
        api.request("DELETE", f"{path}/{pod['metadata']['name']}", None, delete_options(pod, at_once=True))
    except ApiError as error:
        if error.status not in (404, 409):
            raise


def reason_to_delete(pod: Json, now: datetime, max_age: int, max_pending: int) -> str:
    """Why nobody needs this pod any more; empty if somebody may. The maxima are in seconds, 0 means never."""
    metadata, status = pod["metadata"], pod.get("status") or {}
    if metadata.get("deletionTimestamp"):
        return "its node does not end it" if _age(metadata["deletionTimestamp"], now) > TERMINATING_SECONDS else ""
    if has_ended(pod):
        return "it ended a while ago" if ended_seconds_ago(pod, now) > ENDED_SECONDS else ""
    since = status.get("startTime")
    if since and max_age and _age(since, now) > max_age:
        return f"it has run for more than {max_age} s"
    if not since and max_pending and _age(metadata["creationTimestamp"], now) > max_pending:
        return f"it did not start within {max_pending} s"
    return ""


def ended_seconds_ago(pod: Json, now: datetime) -> float:
    """Seconds since the pod ended; 0 if it has not."""
    if not has_ended(pod):
        return 0
    return _age(_ended_at(pod) or pod["metadata"]["creationTimestamp"], now)


def _age(timestamp: str, now: datetime) -> float:
    return (now - datetime.fromisoformat(timestamp.replace("Z", "+00:00"))) / timedelta(seconds=1)


def _ended_at(pod: Json) -> str:
    ends = [
        str(((one.get("state") or {}).get("terminated") or {}).get("finishedAt") or "")
        for kind in ("initContainerStatuses", "containerStatuses")
        for one in (pod.get("status") or {}).get(kind) or []
    ]
    return max(ends, default="")
