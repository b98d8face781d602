"""Creating the pod of a build, or adopting one that another replica, or this one before a restart, has created."""

import asyncio
import re
import time
from secrets import token_hex

from binderhub_service import Json
from binderhub_service.cluster import Cluster
from binderhub_service.failures import Failure
from binderhub_service.kubernetes_api import ApiError, ApiUnreachable
from binderhub_service.manifests import BuildRequest, is_same_build, make_pod, make_secret
from binderhub_service.pod_fields import has_ended
from binderhub_service.subscribers import Subscribers

API_OUTAGE_SECONDS = 300.0
"""How long a build bears that the API server does not answer."""
QUOTA_PAUSE_SECONDS = 5.0
CONFLICT_PAUSE_SECONDS = 0.1
MAX_NAMES = 9
"""Names that a build's pods may have. One is in use as long as a pod of an earlier attempt has it."""


class PodCreator:
    """Creates the pod of one attempt."""

    def __init__(self, key: str, request: BuildRequest, cluster: Cluster, subscribers: Subscribers) -> None:
        """`key` is the pod's name; further attempts append a number."""
        self._key, self._request, self._cluster, self._subscribers = key, request, cluster, subscribers
        self._first_attempt = 1
        self.required_node = ""
        """The only node that the pod may run on; empty for any."""
        self.pod: Json = {}
        """The pod, once there is one."""

    def for_retry(self, node: str) -> "PodCreator":
        """A creator for another attempt, on this node."""
        creator = PodCreator(self._key, self._request, self._cluster, self._subscribers)
        creator._first_attempt, creator.required_node = self._first_attempt + 1, node
        return creator

    def running_pod(self) -> Json | None:
        """A pod of this build that runs already."""
        for name in self._names():
            pod = self._cluster.pods.get(name)
            if (
                pod
                and is_same_build(pod, self._request.spec)
                and not has_ended(pod)
                and not self._cluster.is_being_deleted(pod)
            ):
                return pod
        return None

    async def create_or_adopt(self) -> Failure | None:
        """Adopt the pod that runs already, or create one. Returns a Failure if the cluster refuses it.

        Raises ApiUnreachable if the API server does not answer for too long.
        """
        since = time.monotonic()
        while True:
            name = ""
            try:
                running = self.running_pod()
                if running:
                    self.pod = running
                    await self._create_secret()
                    return None
                name = await self._free_name()
                await self._create(name)
                return None
            except ApiError as error:
                waited = time.monotonic() - since
                if error.status == 409 and waited < API_OUTAGE_SECONDS:
                    await self._cluster.fetch_pod(name)
                    await asyncio.sleep(CONFLICT_PAUSE_SECONDS)
                elif "exceeded quota" in error.message:
                    if waited >= self._request.spec.start_seconds:
                        return Failure("BHS305", {"seconds": int(waited), "detail": error.message})
                    self._subscribers.publish_wait(f"Waiting for room in the namespace's quota: {error.message}")
                    remaining = self._request.spec.start_seconds - waited
                    await asyncio.sleep(min(QUOTA_PAUSE_SECONDS, max(0.1, remaining)))
                elif error.status < 500 and error.status != 429:
                    return failure_of(error)
                else:
                    await self._retry_or_raise(str(error), since)
            except ApiUnreachable as error:
                await self._retry_or_raise(str(error), since)

    def _names(self) -> list[str]:
        numbers = range(self._first_attempt, MAX_NAMES + 1)
        return [self._key if number == 1 else f"{self._key}-{number}" for number in numbers]

    async def _free_name(self) -> str:
        """The first name that no pod has. An ended pod of this build is deleted for it."""
        for name in self._names():
            pod = self._cluster.pods.get(name)
            if pod and has_ended(pod) and is_same_build(pod, self._request.spec):
                await self._cluster.delete_pod(pod)
                pod = None
            if not pod:
                break
        return name

    async def _create(self, name: str) -> None:
        """Create the pod and its Secret, or neither."""
        request = self._request
        pod = make_pod(
            request.spec,
            request.engine,
            name,
            secret_name=f"{name}-{token_hex(4)}",
            secret_word=token_hex(16),
            node=self.required_node,
            preferred=request.preferred_node(),
        )
        self.pod = await self._cluster.create_pod(pod)
        try:
            await self._create_secret()
        except ApiError:
            await self._cluster.delete_pod(self.pod)
            raise

    async def _create_secret(self) -> None:
        """Create the pod's own Secret, unless it exists.

        An adopted pod may lack it: its creator may have ended, or lost its connection, before it created the Secret.
        """
        secret = make_secret(self._request.spec, self.pod)
        if secret:
            try:
                await self._cluster.request("POST", self._cluster.path("secrets"), None, secret)
            except ApiError as error:
                if error.status != 409:
                    raise

    async def _retry_or_raise(self, error: str, since: float) -> None:
        if time.monotonic() - since > API_OUTAGE_SECONDS:
            raise ApiUnreachable(error)
        self._subscribers.publish_wait(f"Waiting for the Kubernetes API: {error}")
        await asyncio.sleep(1)


# The API server's own message: apiserver/pkg/endpoints/handlers/responsewriters/errors.go. Policies have other words.
_RBAC = re.compile(r'\S+(?: "[^"]*")? is forbidden: User "[^"]*" cannot \S+ (?:resource|path) "')


def failure_of(error: ApiError) -> Failure:
    """The failure of a build to which the API server says no."""
    forbidden = error.status == 401 or (error.status == 403 and bool(_RBAC.match(error.message)))
    return Failure("BHS801" if forbidden else "BHS304", {"detail": error.message})
