"""The cleaner that BinderHub runs every minute: takes away what no process looks after any more."""

import os
from datetime import UTC, datetime, timedelta
from typing import Any

from bhs_api import Api, Refused
from bhs_pod import COMPONENT, OWNER_LABEL
from bhs_process import configuration, release
from binderhub.build import KubernetesCleaner
from tornado.log import app_log
from traitlets import Integer

ENDED_SECONDS = 60
"""A pod that ended is taken away by the process that watched its build; after so long there is none."""
TERMINATING_SECONDS = 600

Json = dict[str, Any]


class ServiceKubernetesCleaner(KubernetesCleaner):
    """Looks only at build pods of its own release."""

    max_pending = Integer(1800, config=True, help="Seconds after which a build pod that never started is deleted.")

    def cleanup(self) -> None:
        """One round; what another replica deletes first is fine."""
        api = Api(configuration())
        namespace = os.environ.get("BUILD_NAMESPACE", self.namespace)
        path = f"/api/v1/namespaces/{namespace}/pods"
        selector = f"component={COMPONENT},{OWNER_LABEL}={release()}"
        for pod in api.request("GET", path, {"labelSelector": selector}).get("items") or []:
            reason = reason_to_delete(pod, datetime.now(tz=UTC), self.max_age, self.max_pending)
            if reason:
                app_log.info("Deleting build pod %s: %s", pod["metadata"]["name"], reason)
                options = {"gracePeriodSeconds": 0, "preconditions": {"uid": pod["metadata"]["uid"]}}
                try:
                    api.request("DELETE", f"{path}/{pod['metadata']['name']}", None, options)
                except Refused as refused:
                    if refused.status not in (404, 409):
                        raise


def reason_to_delete(pod: Json, now: datetime, max_age: int, max_pending: int) -> str:
    """Why nobody needs this pod any more; empty where somebody may. The maxima are seconds, 0 is never."""
    metadata, status = pod["metadata"], pod.get("status") or {}
    phase = status.get("phase", "Pending")
    if metadata.get("deletionTimestamp"):
        return "its node does not end it" if _age(metadata["deletionTimestamp"], now) > TERMINATING_SECONDS else ""
    if phase in ("Succeeded", "Failed"):
        return f"{phase} a while ago" if _age(_ended(pod) or metadata["creationTimestamp"], now) > ENDED_SECONDS else ""
    since = status.get("startTime")
    if since and max_age and _age(since, now) > max_age:
        return f"it runs for more than {max_age} s"
    if not since and max_pending and _age(metadata["creationTimestamp"], now) > max_pending:
        return f"it did not start within {max_pending} s"
    return ""


def _age(when: str, now: datetime) -> float:
    return (now - datetime.fromisoformat(when.replace("Z", "+00:00"))) / timedelta(seconds=1)


def _ended(pod: Json) -> str:
    ends = [
        str(((one.get("state") or {}).get("terminated") or {}).get("finishedAt") or "")
        for kind in ("initContainerStatuses", "containerStatuses")
        for one in (pod.get("status") or {}).get(kind) or []
    ]
    return max(ends, default="")
