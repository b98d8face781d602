"""The picture of the cluster, when its parts arrive in another order than they happened."""

import asyncio
import re
import threading
from collections import Counter
from typing import Any

import pytest
from binderhub_service.cluster import Cluster
from binderhub_service.failures import Failure
from binderhub_service.kubernetes_api import ApiError, ApiUnreachable
from binderhub_service.pod_status import Failed, deleted_pod_state

STATUS = {"phase": "Failed", "reason": "Evicted", "message": "The node was low on memory."}
POD: dict[str, Any] = {
    "metadata": {"name": "build-x", "uid": "1"},
    "spec": {
        "nodeName": "node7",
        "containers": [{"name": "builder", "image": "i", "command": ["c"]}],
        "volumes": [{"name": "v"}],
    },
    "status": STATUS,
}

KILLING = {
    "metadata": {"name": "build-x.1"},
    "involvedObject": {"kind": "Pod", "name": "build-x", "uid": "1"},
    "reason": "Killing",
}


class Overtaken:
    """An API whose answer to a new pod comes after the watch has shown all of the pod's life."""

    cluster: Cluster

    def request(self, method: str, *_: Any) -> dict[str, Any]:
        if method == "POST":
            for kind in ("ADDED", "DELETED"):
                self.cluster.loop.call_soon_threadsafe(self.cluster._change_pod, kind, POD)
            return POD
        threading.Event().wait()  # the watches, whose threads end with the process
        raise AssertionError


def test_a_pod_that_is_gone_before_its_making_is_answered_is_gone() -> None:
    async def make() -> None:
        api = Overtaken()
        api.cluster = Cluster(api, asyncio.get_running_loop(), "ns", "owner")  # type: ignore[arg-type]
        assert await api.cluster.create_pod(POD) == POD
        assert api.cluster.pods == {}
        last = api.cluster.last_version({"metadata": POD["metadata"]})
        assert deleted_pod_state(last) == Failed(Failure("BHS702", {"node": "node7", "detail": STATUS["message"]}))
        assert "volumes" not in last["spec"]

    asyncio.run(make())


class Refusing:
    """An API that answers each list with the same error."""

    def __init__(self, error: Exception) -> None:
        self.error = error
        self.asked: Counter[str] = Counter()

    def request(self, _method: str, path: str, *_: Any) -> dict[str, Any]:
        self.asked[path] += 1
        if self.asked[path] > (2 if isinstance(self.error, ApiUnreachable) else 1):  # the question whether it answers
            threading.Event().wait()  # the loop of the test may be closed when the reflector asks again
        raise self.error


@pytest.mark.parametrize(
    ("answer", "raised"),
    [
        (ApiError(403, "Forbidden", "pods is forbidden"), ApiError),
        (ApiError(401, "Unauthorized", "Unauthorized"), ApiError),
        (ApiError(500, "InternalError", "etcd has no leader"), ApiUnreachable),
        (ApiError(429, "TooManyRequests", "later"), ApiUnreachable),
        (ApiUnreachable("connection refused"), ApiUnreachable),
    ],
)
def test_a_list_that_is_refused_is_told_from_an_outage(
    monkeypatch: pytest.MonkeyPatch, answer: Exception, raised: type[Exception]
) -> None:
    monkeypatch.setattr("binderhub_service.cluster.FIRST_LIST_SECONDS", 0.2)

    async def wait() -> None:
        cluster = Cluster(Refusing(answer), asyncio.get_running_loop(), "ns", "owner")  # type: ignore[arg-type]
        with pytest.raises(raised, match=re.escape(str(answer))):
            await cluster.wait_until_synced()

    asyncio.run(wait())


def test_events_of_deleted_pods_are_not_kept() -> None:
    """The kubelet says that it kills a pod's containers after the pod is deleted."""

    async def see() -> None:
        cluster = Cluster(Overtaken(), asyncio.get_running_loop(), "ns", "owner")  # type: ignore[arg-type]
        cluster._change_pod("ADDED", POD)
        cluster._change_event("ADDED", KILLING)
        assert cluster.events_of(POD) == [KILLING]
        cluster._change_pod("DELETED", POD)
        assert cluster.events_of(POD) == []
        cluster._change_event("MODIFIED", KILLING)
        assert cluster.events_of(POD) == []

    asyncio.run(see())
