"""Making a build's pod, or joining one that runs already: of another replica, or from before a restart."""

import asyncio
import time
from collections.abc import Callable
from secrets import token_hex

from binderhub_service import Json
from binderhub_service.cluster import Cluster
from binderhub_service.docker_engine import DockerEngine
from binderhub_service.failures import Failure
from binderhub_service.kubernetes_api import ApiError, ApiUnreachable
from binderhub_service.objects import BuildSpec, is_same_build, make_pod, make_secret
from binderhub_service.pod_fields import over
from binderhub_service.subscribers import Subscribers

TROUBLE_SECONDS = 300.0
"""How long the API server may be away."""
QUOTA_SECONDS = 5.0
ATTEMPTS = 9


class PodCreator:
    """Makes the pod of one attempt."""

    def __init__(
        self,
        key: str,
        spec: BuildSpec,
        engine: DockerEngine,
        cluster: Cluster,
        prefer: Callable[[], str],
        subscribers: Subscribers,
        first: int,
        on_node: str,
    ) -> None:
        """`key` names the pod, with a number after it from the second on; `first` is the lowest number to take.

        The pod must run `on_node` if that is given, and otherwise should on the node that `prefer` names.
        """
        self._spec, self._engine, self._cluster, self._prefer = spec, engine, cluster, prefer
        self._subscribers = subscribers
        self._on_node = on_node
        self._names = [key if number == 1 else f"{key}-{number}" for number in range(first, ATTEMPTS + 1)]
        self.pod: Json = {}
        """The pod, once there is one."""

    def joinable(self) -> Json | None:
        """A pod of this very build that runs already."""
        for name in self._names:
            pod = self._cluster.pods.get(name)
            if pod and is_same_build(pod, self._spec) and not over(pod) and not self._cluster.leaves(pod):
                return pod
        return None

    async def make(self) -> Failure | None:
        """Join the pod that runs already, or make one; a Failure where the cluster does not let us.

        Raises Unreachable when the API server is away for too long.
        """
        since = time.monotonic()
        while True:
            name = ""
            try:
                joined = self.joinable()
                if joined:
                    self.pod = joined
                    await self._make_secret()
                    return None
                name = await self._free_name()
                pod = make_pod(
                    self._spec,
                    self._engine,
                    name,
                    f"{name}-{token_hex(4)}",
                    token_hex(16),
                    node=self._on_node,
                    preferred=self._prefer(),
                )
                self.pod = await self._cluster.create_pod(pod)
                try:
                    await self._make_secret()
                except ApiError:
                    await self._cluster.delete_pod(self.pod)
                    raise
                return None
            except ApiError as refused:
                waited = time.monotonic() - since
                if refused.status == 409 and waited < TROUBLE_SECONDS:
                    await self._cluster.look_up(name)
                    await asyncio.sleep(0.1)
                elif "exceeded quota" in refused.message:
                    if waited >= self._spec.start_seconds:
                        return Failure("BHS305", {"seconds": int(waited), "detail": refused.message})
                    self._subscribers.waiting(f"Waiting for room in the namespace's quota: {refused.message}")
                    await asyncio.sleep(min(QUOTA_SECONDS, max(0.1, self._spec.start_seconds - waited)))
                elif refused.status < 500 and refused.status != 429:
                    rights = "cannot " in refused.message and refused.status == 403
                    return Failure("BHS801" if rights else "BHS304", {"detail": refused.message})
                else:
                    await self._retry_or_raise(str(refused), since)
            except ApiUnreachable as broken:
                await self._retry_or_raise(str(broken), since)

    async def _free_name(self) -> str:
        """The first name that no pod has, or whose pod is this build's and has ended: that one is deleted."""
        for name in self._names:
            held = self._cluster.pods.get(name)
            if held and over(held) and is_same_build(held, self._spec):
                await self._cluster.delete_pod(held)
                held = None
            if not held:
                break
        return name

    async def _retry_or_raise(self, trouble: str, since: float) -> None:
        if time.monotonic() - since > TROUBLE_SECONDS:
            raise ApiUnreachable(trouble)
        self._subscribers.waiting(f"Waiting for the Kubernetes API: {trouble}")
        await asyncio.sleep(1)

    async def _make_secret(self) -> None:
        """The pod's own Secret, by whoever is first.

        Who made the pod may not have come to it: this process, without answer, or one that ended.
        """
        made = make_secret(self._spec, self.pod)
        if made:
            try:
                await self._cluster.request("POST", self._cluster.path("secrets"), None, made)
            except ApiError as refused:
                if refused.status != 409:
                    raise
