"""One build, for all requests that want it: its attempts and how it ends. Everything here runs on the main loop."""

import asyncio
import time
from collections.abc import Callable
from typing import Any, Protocol

from binderhub_service.build_attempt import Attempt
from binderhub_service.cluster import Cluster
from binderhub_service.docker_engine import DockerEngine
from binderhub_service.failures import Failure
from binderhub_service.kubernetes_api import ApiError, ApiUnreachable
from binderhub_service.objects import BuildSpec
from binderhub_service.pod_creator import PodCreator
from binderhub_service.registry.confirmation import confirm_push
from binderhub_service.subscribers import Subscribers

LINGER_SECONDS = 5.0
"""An ended pod stays so long: for another replica that reads its log, and so that builds that end a little later need
not share the node with its removal."""


class Slots(Protocol):
    """Bounds how many builds have a pod."""

    async def take(self, build: "Build", *, at_once: bool) -> None:
        """Wait for a place, told through the build's audience; `at_once` where a pod runs already."""

    def give_back(self, build: "Build") -> None:
        """The build is over."""


class Build:
    """A build that goes on until its pod has ended, whether or not anybody watches."""

    def __init__(
        self,
        key: str,
        spec: BuildSpec,
        engine: DockerEngine,
        cluster: Cluster,
        slots: Slots,
        prefer: Callable[[], str],
        registry: Any,  # noqa: ANN401 - BinderHub's, or a class of the administrator's
    ) -> None:
        """`key` names the pod; `prefer` gives the node that the pod should run on, or an empty text.

        `registry` is asked what it holds after a push; None where images stay in the daemon.
        """
        self.key, self.spec, self.engine, self.cluster = key, spec, engine, cluster
        self._slots, self._prefer, self._registry = slots, prefer, registry
        self._woken = asyncio.Event()
        self.subscribers = Subscribers(self._woken)
        self.outcome: Failure | None = None
        self.over = False
        self.digest = ""
        """Digest of the image that the registry holds; empty until it has said so."""
        self.started_at = time.monotonic()
        self._attempt = self._new_attempt(1, "")

    @property
    def node(self) -> str:
        """Where the pod runs or ran; empty where it has no node yet."""
        return self._attempt.node

    @property
    def phase(self) -> str:
        """The phase of what is being waited for, in BinderHub's words."""
        return "building" if self._attempt.log_follower.builds else "waiting"

    async def run(self) -> None:
        """Go from the request to the outcome. Never raises."""
        forget = self.cluster.listen(self._woken.set)
        try:
            self.outcome = await self._attempts()
        except ApiError as refused:
            code = "BHS801" if refused.status in (401, 403) else "BHS304"
            self.outcome = Failure(code, {"detail": refused.message})
        except ApiUnreachable as broken:
            seconds = int(time.monotonic() - self.started_at)
            self.outcome = Failure("BHS802", {"detail": str(broken), "seconds": seconds})
        except Exception as wrong:
            self.outcome = Failure("BHS803", {"detail": f"{type(wrong).__name__}: {wrong}"})
        finally:
            self.over = True
            forget()
            self._slots.give_back(self)
            self.subscribers.notify()

    async def remove(self) -> None:
        """Take the pod away after a moment. A pod on a lost node stays until the node is back, under its name."""
        lost = self.outcome is not None and self.outcome.code == "BHS503"
        made = self._attempt.pod
        if not made:
            return
        if not lost:
            await asyncio.sleep(LINGER_SECONDS)
        pod = self.cluster.pods.get(made["metadata"]["name"])
        if pod and pod["metadata"]["uid"] == made["metadata"]["uid"] and not pod["metadata"].get("deletionTimestamp"):
            await self.cluster.delete_pod(pod, at_once=not lost)

    async def _attempts(self) -> Failure | None:
        await self.cluster.seen()
        failure = await self._run_attempt()
        if failure and failure.code == "BHS607":
            told = f"The push failed, trying once more on node {self.node}: {failure.particulars['detail']}"
            self.subscribers.waiting(told)
            await self.cluster.delete_pod(self._attempt.pod)
            self._attempt = self._new_attempt(2, self.node)
            failure = await self._run_attempt()
        return failure

    async def _run_attempt(self) -> Failure | None:
        await self._slots.take(self, at_once=self._attempt.joinable())
        failure = await self._attempt.run()
        if failure is None and self.spec.pushes and self._registry is not None:
            self.digest, failure = await confirm_push(
                self._registry, self.spec.image_name, self._attempt.log_analysis.digest
            )
        return failure

    def _new_attempt(self, first: int, on_node: str) -> Attempt:
        creator = PodCreator(
            self.key, self.spec, self.engine, self.cluster, self._prefer, self.subscribers, first, on_node
        )
        return Attempt(self.spec, self.engine, self.cluster, self.subscribers, creator, self._woken, on_node)
