"""One build, for all requests that want it. Everything here runs on the main loop."""

import asyncio
import logging
import time
from typing import TYPE_CHECKING

from binderhub_service.build_attempt import BuildAttempt
from binderhub_service.cluster import Cluster
from binderhub_service.failures import Failure
from binderhub_service.kubernetes_api import ApiError, ApiUnreachable
from binderhub_service.manifests import BuildRequest
from binderhub_service.pod_creator import PodCreator, failure_of
from binderhub_service.registry.confirmation import confirm_presence, confirm_push
from binderhub_service.subscribers import Subscribers

if TYPE_CHECKING:
    from binderhub_service.builds import Builds

LINGER_SECONDS = 5.0
"""An ended pod stays for so long: another replica may still read its log, and deleting it would slow down other builds
that end at the same time."""

log = logging.getLogger("tornado.application")


class Build:
    """A build that goes on until its pod has ended, with or without subscribers."""

    def __init__(self, key: str, request: BuildRequest, cluster: Cluster, builds: "Builds") -> None:
        """`key` is the name of the build's pod. `builds` decides when the build may begin."""
        self.key, self.request, self.cluster = key, request, cluster
        self._builds = builds
        self.subscribers = Subscribers()
        self.failure: Failure | None = None
        """Why the build failed; None while it runs, and if it succeeded."""
        self.done = False
        self.digest = ""
        """Digest of the image in the registry; empty until the registry has confirmed it."""
        self.started_at = time.monotonic()
        creator = PodCreator(key, request, cluster, self.subscribers)
        self._creator = creator
        self._attempt = self._new_attempt(creator)

    @property
    def node(self) -> str:
        """The node that the pod runs on or ran on; empty before it has one."""
        return self._attempt.node

    @property
    def phase(self) -> str:
        """BinderHub's name for what the build does."""
        return "building" if self._attempt.log_follower.has_reached_builder else "waiting"

    async def run(self) -> None:
        """Run the build to its end. Never raises."""
        stop_listening = self.cluster.listen(self.subscribers.wake.set)
        try:
            self.failure = await self._run_attempts()
        except ApiError as error:
            self.failure = failure_of(error)
        except ApiUnreachable as error:
            seconds = int(time.monotonic() - self.started_at)
            self.failure = Failure("BHS802", {"detail": str(error), "seconds": seconds})
        except Exception as error:
            log.exception("The build %s failed because of an error in this service", self.key)
            self.failure = Failure("BHS803", {"detail": f"{type(error).__name__}: {error}"})
        finally:
            self.done = True
            stop_listening()
            self._builds.release(self)
            self.subscribers.notify()

    async def delete_pod(self) -> None:
        """Delete the pod after a moment. On a lost node it stays, with its name, until the node is back."""
        node_lost = self.failure is not None and self.failure.kind.node_lost
        created = self._attempt.pod
        if not created:
            return
        if not node_lost:
            await asyncio.sleep(LINGER_SECONDS)
        pod = self.cluster.pods.get(created["metadata"]["name"])
        if (
            pod
            and pod["metadata"]["uid"] == created["metadata"]["uid"]
            and not pod["metadata"].get("deletionTimestamp")
        ):
            await self.cluster.delete_pod(pod, at_once=not node_lost)

    async def _run_attempts(self) -> Failure | None:
        await self.cluster.wait_until_synced()
        failure = await self._run_attempt()
        if failure and failure.kind.tried_again:
            self.subscribers.publish_wait(
                f"The push failed, trying once more on node {self.node}: {failure.particulars['detail']}"
            )
            await self.cluster.delete_pod(self._attempt.pod)
            self._attempt = self._new_attempt(self._creator.for_retry(self.node))
            failure = await self._run_attempt()
        return failure

    async def _run_attempt(self) -> Failure | None:
        await self._builds.wait_for_turn(self, has_pod=self._attempt.has_running_pod())
        failure = await self._attempt.run()
        spec, registry = self.request.spec, self.request.registry
        if failure is None and registry is not None:
            if spec.pushes:
                self.digest, failure = await confirm_push(registry, spec.image_name, self._attempt.log_analysis.digest)
            else:
                self.digest, failure = await confirm_presence(registry, spec.image_name)
        return failure

    def _new_attempt(self, creator: PodCreator) -> BuildAttempt:
        return BuildAttempt(self.request, self.cluster, self.subscribers, creator)
