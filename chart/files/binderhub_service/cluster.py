"""What this process sees of the cluster: the build pods of its release, their events, and the daemons.

Filled by three watches, read on the main loop only.
"""

import asyncio
import contextlib
import logging
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor

from binderhub_service import Json
from binderhub_service.kubernetes_api import ApiClient, ApiError, ApiUnreachable, Reflector
from binderhub_service.objects import COMPONENT, OWNER_LABEL
from binderhub_service.pod_fields import node, ready

log = logging.getLogger("tornado.application")

FIRST_LIST_SECONDS = 20.0
DAEMONS_LIST_SECONDS = 5.0
CALLS = 4
"""Requests at a time; each is short."""
GONE_KEPT = 100
"""Of so many deleted pods the last state is kept, for builds that have yet to look."""


class Cluster:
    """The picture, and the few requests that change something. Made and used on one loop."""

    def __init__(self, api: ApiClient, loop: asyncio.AbstractEventLoop, namespace: str, owner: str) -> None:
        """Begin to watch build pods of `owner` in `namespace`."""
        self.api = api
        self.namespace = namespace
        self.pods: dict[str, Json] = {}
        self.daemons: dict[str, Json] = {}
        """By node."""
        self.trouble = ""
        """Why the API server cannot be asked, while that is so."""
        self.trouble_since = 0.0
        self._events: dict[str, dict[str, Json]] = {}
        self._leaving: set[str] = set()
        """Ids of the pods that this process deletes: the watch shows it a moment later."""
        self.loop = loop
        self._calls = ThreadPoolExecutor(CALLS, thread_name_prefix="kubernetes")
        self._listeners: set[Callable[[], None]] = set()
        self._first_list = asyncio.Event()
        self._daemons_listed = asyncio.Event()
        self._daemons_listed.set()
        self._gone: dict[str, Json] = {}
        """By uid, the oldest first."""
        selector = f"component={COMPONENT},{OWNER_LABEL}={owner}"
        self._watch(self.path("pods"), {"labelSelector": selector}, self._list_pods, self._change_pod, self._troubled)
        events = {"fieldSelector": "involvedObject.kind=Pod"}
        self._watch(self.path("events"), events, self._list_events, self._change_event, _say)

    def watch_daemons(self, namespace: str, selector: str) -> None:
        """Watch the daemons' pods too."""
        self._daemons_listed.clear()
        path = f"/api/v1/namespaces/{namespace}/pods"
        self._watch(path, {"labelSelector": selector}, self._list_daemons, self._change_daemon, _say)

    def path(self, kind: str, name: str = "") -> str:
        """Where objects of a kind are in the API, or one of them."""
        return f"/api/v1/namespaces/{self.namespace}/{kind}" + (f"/{name}" if name else "")

    def events_of(self, pod: Json) -> list[Json]:
        """The events that are about this very pod."""
        metadata = pod["metadata"]
        found = self._events.get(metadata["name"], {}).values()
        return [one for one in found if one["involvedObject"].get("uid") in (None, "", metadata.get("uid"))]

    def last_of(self, pod: Json) -> Json:
        """The last state of a pod that is gone, which may say more than `pod`, an earlier one."""
        return self._gone.get(pod["metadata"]["uid"], pod)

    def nodes_with_daemon(self) -> list[str]:
        """Names of the nodes whose daemon is ready, sorted."""
        return sorted(name for name, pod in self.daemons.items() if ready(pod))

    def listen(self, called: Callable[[], None]) -> Callable[[], None]:
        """Have `called` after every change; what is returned ends that."""
        self._listeners.add(called)
        return lambda: self._listeners.discard(called)

    async def seen(self) -> None:
        """Wait until the pods have been listed once, and the daemons: without them no node would be preferred.

        Raises Unreachable when the pods cannot be listed.
        """
        if not self._first_list.is_set():
            try:
                await asyncio.wait_for(self._first_list.wait(), FIRST_LIST_SECONDS)
            except TimeoutError:
                raise ApiUnreachable(self.trouble or "the build pods could not be listed") from None
        with contextlib.suppress(TimeoutError):
            await asyncio.wait_for(self._daemons_listed.wait(), DAEMONS_LIST_SECONDS)

    async def request(self, method: str, path: str, query: Json | None = None, body: Json | None = None) -> Json:
        """A request, made in a thread. Raises as Api.request does."""
        call = lambda: self.api.request(method, path, query, body)  # noqa: E731
        return await self.loop.run_in_executor(self._calls, call)

    async def create_pod(self, pod: Json) -> Json:
        """Make it, and show it at once: the watch is a moment behind."""
        made = await self.request("POST", self.path("pods"), None, pod)
        self._show(made)
        return made

    async def look_up(self, name: str) -> None:
        """Show a pod of that name that the watch has not shown yet, if there is one."""
        try:
            self._show(await self.request("GET", self.path("pods", name)))
        except ApiError as refused:
            if refused.status != 404:
                raise

    def _show(self, pod: Json) -> None:
        # The watch may have been faster than the answer, and have shown the pod's end already.
        if pod["metadata"]["uid"] not in self._gone:
            self.pods.setdefault(pod["metadata"]["name"], pod)

    def leaves(self, pod: Json) -> bool:
        """Whether the pod is being deleted, by this process or by anybody."""
        return bool(pod["metadata"].get("deletionTimestamp")) or pod["metadata"].get("uid") in self._leaving

    async def delete_pod(self, pod: Json, *, at_once: bool = True) -> None:
        """Delete this very pod and no other of its name; that it is gone already is fine."""
        options: Json = {"preconditions": {"uid": pod["metadata"]["uid"]}}
        self._leaving.add(pod["metadata"]["uid"])
        if at_once:
            options["gracePeriodSeconds"] = 0
        try:
            await self.request("DELETE", self.path("pods", pod["metadata"]["name"]), None, options)
        except ApiError as refused:
            if refused.status not in (404, 409):
                raise
        if at_once:
            self._forget(pod)

    def _watch(self, path: str, query: Json, *called: Callable[..., None]) -> None:
        def on_loop(function: Callable[..., None]) -> Callable[..., None]:
            def call(*arguments: object) -> None:
                self.loop.call_soon_threadsafe(function, *arguments)

            return call

        Reflector(self.api, path, query, *map(on_loop, called)).start()

    def _troubled(self, words: str) -> None:
        if words == self.trouble:
            return
        if words and not self.trouble:
            self.trouble_since = time.monotonic()
        self.trouble = words
        self._tell()

    def _tell(self) -> None:
        for called in list(self._listeners):
            called()

    def _list_pods(self, pods: list[Json]) -> None:
        self.pods = {pod["metadata"]["name"]: pod for pod in pods}
        self._leaving &= {pod["metadata"]["uid"] for pod in pods}
        self._first_list.set()
        self._tell()

    def _change_pod(self, kind: str, pod: Json) -> None:
        if kind == "DELETED":
            self._forget(pod)
            self._gone[pod["metadata"]["uid"]] = _rest(pod)
            if len(self._gone) > GONE_KEPT:
                del self._gone[next(iter(self._gone))]
        else:
            self.pods[pod["metadata"]["name"]] = pod
        self._tell()

    def _forget(self, pod: Json) -> None:
        name = pod["metadata"]["name"]
        held = self.pods.get(name)
        if held and held["metadata"].get("uid") == pod["metadata"].get("uid"):
            del self.pods[name]
        self._events.pop(name, None)
        self._leaving.discard(pod["metadata"].get("uid"))

    def _list_events(self, events: list[Json]) -> None:
        self._events = {}
        for event in events:
            self._keep(event)
        self._tell()

    def _change_event(self, kind: str, event: Json) -> None:
        if kind == "DELETED":
            name = event["involvedObject"].get("name", "")
            self._events.get(name, {}).pop(event["metadata"]["name"], None)
            if not self._events.get(name):
                self._events.pop(name, None)
        else:
            self._keep(event)
            self._tell()

    def _keep(self, event: Json) -> None:
        # Users' pods may live in the same namespace: of their events nothing is kept. Nor of what is said of a pod when
        # it is gone: the API server deletes events an hour later.
        about = event["involvedObject"]
        name = about.get("name", "")
        if name.startswith("build-") and about.get("uid") not in self._gone:
            self._events.setdefault(name, {})[event["metadata"]["name"]] = event

    def _list_daemons(self, pods: list[Json]) -> None:
        self._daemons_listed.set()
        self.daemons = {}
        for pod in pods:
            self._change_daemon("ADDED", pod)
        self._tell()

    def _change_daemon(self, kind: str, pod: Json) -> None:
        where = node(pod)
        if not where:
            return
        held = self.daemons.get(where)
        if kind == "DELETED":
            if held and held["metadata"]["uid"] == pod["metadata"]["uid"]:
                del self.daemons[where]
        # A daemon that is being replaced must not hide the one that replaces it.
        elif not (held and ready(held) and not ready(pod) and held["metadata"]["uid"] != pod["metadata"]["uid"]):
            self.daemons[where] = pod
        self._tell()


def _rest(pod: Json) -> Json:
    """A pod that is gone, without most of its spec, the larger part: what is asked of it is how it ended, and where."""
    spec = pod.get("spec") or {}
    kept: Json = {key: spec[key] for key in ("nodeName", "activeDeadlineSeconds") if key in spec}
    kept["containers"] = [{"image": one["image"]} for one in spec.get("containers") or []]
    return {**pod, "spec": kept}


def _say(words: str) -> None:
    """Without events or daemons builds go on; only what is told of them is less."""
    if words:
        log.warning("binderhub-service: %s", words)


async def wait_for_change(woken: asyncio.Event, seconds: float) -> None:
    """Until `woken` is set, and for so long at most."""
    with contextlib.suppress(TimeoutError):
        await asyncio.wait_for(woken.wait(), seconds)
