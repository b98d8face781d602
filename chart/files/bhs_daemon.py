"""The daemon that a build uses: whether it is still the one that the build began with."""

import asyncio
import time
from typing import Any

from bhs_cluster import Cluster, changes
from bhs_faults import Failure
from bhs_look import identity, killed_for_memory

SHOWS_SECONDS = 4.0
"""A client notices that the daemon is gone before the kubelet does, by so much at most."""
TICK_SECONDS = 0.5


class UsedDaemon:
    """Of one attempt."""

    def __init__(self, cluster: Cluster, woken: asyncio.Event) -> None:
        """`woken` is set after every change in the cluster."""
        self._cluster, self._woken = cluster, woken
        self._at_start: tuple[str, ...] = ()

    def note(self, node: str) -> None:
        """The build begins, with the daemon of this node as it is now."""
        self._at_start = identity(self._cluster.daemons.get(node))

    async def failure(self, node: str, cut: str, hint: str, particulars: dict[str, Any]) -> Failure | None:
        """Why the daemon is what ended a container that failed; nothing where it is not.

        `cut` is what a program saw that had the daemon's end of its connection closed. `hint` is an error that may come
        from that: only a reason to wait until the daemon's pod shows it.
        """
        if cut or hint:
            await self._shows(node)
        daemon = self._cluster.daemons.get(node)
        lost = identity(daemon) != self._at_start
        leaves = bool(daemon and daemon["metadata"].get("deletionTimestamp"))
        if daemon and (lost or cut) and killed_for_memory(daemon):
            return Failure("BHS502", particulars)
        if lost or cut or (hint and leaves):
            return Failure("BHS501", {**particulars, "detail": hint or cut or "it started anew while the build ran"})
        return None

    async def _shows(self, node: str) -> None:
        end = time.monotonic() + SHOWS_SECONDS
        while time.monotonic() < end and identity(self._cluster.daemons.get(node)) == self._at_start:
            self._woken.clear()
            await changes(self._woken, TICK_SECONDS)
