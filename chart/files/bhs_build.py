"""One build, for all requests that want it: its attempts and how it ends. Everything here runs on the main loop."""

import asyncio
import time
from collections.abc import Callable
from typing import Any, Protocol

from bhs_api import Refused, Unreachable
from bhs_attempt import Attempt
from bhs_audience import Audience
from bhs_cluster import Cluster
from bhs_confirm import confirm
from bhs_engine import Engine
from bhs_faults import Failure
from bhs_make import Maker
from bhs_pod import Wanted

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
        wanted: Wanted,
        engine: Engine,
        cluster: Cluster,
        slots: Slots,
        prefer: Callable[[], str],
        registry: Any,  # noqa: ANN401 - BinderHub's, or a class of the administrator's
    ) -> None:
        """`key` names the pod; `prefer` gives the node that the pod should run on, or an empty text.

        `registry` is asked what it holds after a push; None where images stay in the daemon.
        """
        self.key, self.wanted, self.engine, self.cluster = key, wanted, engine, cluster
        self._slots, self._prefer, self._registry = slots, prefer, registry
        self._woken = asyncio.Event()
        self.audience = Audience(self._woken)
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
        return "building" if self._attempt.reading.builds else "waiting"

    async def run(self) -> None:
        """Go from the request to the outcome. Never raises."""
        forget = self.cluster.listen(self._woken.set)
        try:
            self.outcome = await self._attempts()
        except Refused as refused:
            code = "BHS801" if refused.status in (401, 403) else "BHS304"
            self.outcome = Failure(code, {"detail": refused.message})
        except Unreachable as broken:
            seconds = int(time.monotonic() - self.started_at)
            self.outcome = Failure("BHS802", {"detail": str(broken), "seconds": seconds})
        except Exception as wrong:
            self.outcome = Failure("BHS803", {"detail": f"{type(wrong).__name__}: {wrong}"})
        finally:
            self.over = True
            forget()
            self._slots.give_back(self)
            self.audience.notify()

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
            self.audience.waiting(told)
            await self.cluster.delete_pod(self._attempt.pod)
            self._attempt = self._new_attempt(2, self.node)
            failure = await self._run_attempt()
        return failure

    async def _run_attempt(self) -> Failure | None:
        await self._slots.take(self, at_once=self._attempt.joinable())
        failure = await self._attempt.run()
        if failure is None and self.wanted.pushes and self._registry is not None:
            self.digest, failure = await confirm(
                self._registry, self.wanted.image_name, self._attempt.transcript.digest
            )
        return failure

    def _new_attempt(self, first: int, on_node: str) -> Attempt:
        maker = Maker(self.key, self.wanted, self.engine, self.cluster, self._prefer, self.audience, first, on_node)
        return Attempt(self.wanted, self.engine, self.cluster, self.audience, maker, self._woken, on_node)
