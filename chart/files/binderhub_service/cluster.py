"""Build pods of this release, their events, and the docker-api pods, as the last watch events showed them.

Three reflectors update them. Everything here is read on the main loop.
"""

import asyncio
import contextlib
import logging
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor

from binderhub_service import Json
from binderhub_service.kubernetes_api import (
    ApiClient,
    ApiError,
    ApiUnreachable,
    Reflector,
    ReflectorCallbacks,
    without_large_parts,
)
from binderhub_service.manifests import COMPONENT, OWNER_LABEL, delete_options
from binderhub_service.pod_fields import is_ready, node

log = logging.getLogger("tornado.application")

FIRST_LIST_SECONDS = 20.0
DAEMONS_LIST_SECONDS = 5.0
REQUESTS = 4
"""Requests at a time; each is short."""
DELETED_PODS = 100
"""Of so many deleted pods the last version is kept, for builds that have not seen it yet."""


class Cluster:
    """The cluster as this process sees it, and the requests that change it. Created and used on one loop."""

    def __init__(self, api: ApiClient, loop: asyncio.AbstractEventLoop, namespace: str, owner: str) -> None:
        """Start to watch the build pods in `namespace` whose owner label is `owner`."""
        self.api = api
        self.loop = loop
        self.namespace = namespace
        self.pods: dict[str, Json] = {}
        """Build pods by name."""
        self.daemons: dict[str, Json] = {}
        """docker-api pods by node."""
        self.trouble: Exception | None = None
        """Why the API server cannot be asked; None while it can be."""
        self.trouble_since = 0.0
        self._events: dict[str, dict[str, Json]] = {}
        self._being_deleted: set[str] = set()
        """Uids of pods that this process deletes. The watch shows that a moment later."""
        self._deleted: dict[str, Json] = {}
        """The last version of deleted pods, by uid, the oldest first."""
        self._requests = ThreadPoolExecutor(REQUESTS, thread_name_prefix="kubernetes")
        self._listeners: set[Callable[[], None]] = set()
        self._pods_listed = asyncio.Event()
        self._daemons_listed = asyncio.Event()
        self._daemons_listed.set()
        selector = f"component={COMPONENT},{OWNER_LABEL}={owner}"
        pods = ReflectorCallbacks(self._list_pods, self._change_pod, self._set_trouble)
        self._watch(self.path("pods"), {"labelSelector": selector}, pods)
        events = ReflectorCallbacks(self._list_events, self._change_event, _log_trouble)
        self._watch(self.path("events"), {"fieldSelector": "involvedObject.kind=Pod"}, events)

    def watch_daemons(self, namespace: str, selector: str) -> None:
        """Watch the docker-api pods as well."""
        self._daemons_listed.clear()
        callbacks = ReflectorCallbacks(self._list_daemons, self._change_daemon, _log_trouble)
        self._watch(f"/api/v1/namespaces/{namespace}/pods", {"labelSelector": selector}, callbacks)

    def path(self, kind: str, name: str = "") -> str:
        """Path of all objects of a kind in the API, or of one of them."""
        return f"/api/v1/namespaces/{self.namespace}/{kind}" + (f"/{name}" if name else "")

    def events_of(self, pod: Json) -> list[Json]:
        """Events of this pod, and of no other pod with its name."""
        metadata = pod["metadata"]
        found = self._events.get(metadata["name"], {}).values()
        return [event for event in found if event["involvedObject"].get("uid") in (None, "", metadata.get("uid"))]

    def last_version(self, pod: Json) -> Json:
        """The last version of a deleted pod, which may say more than `pod`, an earlier version."""
        return self._deleted.get(pod["metadata"]["uid"], pod)

    def nodes_with_daemon(self) -> list[str]:
        """Sorted names of the nodes whose docker-api pod is ready."""
        return sorted(name for name, pod in self.daemons.items() if is_ready(pod))

    def listen(self, listener: Callable[[], None]) -> Callable[[], None]:
        """Call `listener` after every change. The returned function ends that."""
        self._listeners.add(listener)
        return lambda: self._listeners.discard(listener)

    async def wait_until_synced(self) -> None:
        """Wait until the pods were listed once, and the daemons: without them no node would be preferred.

        Raises what `outage` returns if the pods cannot be listed.
        """
        if not self._pods_listed.is_set():
            try:
                await asyncio.wait_for(self._pods_listed.wait(), FIRST_LIST_SECONDS)
            except TimeoutError:
                raise self.outage() from None
        with contextlib.suppress(TimeoutError):
            await asyncio.wait_for(self._daemons_listed.wait(), DAEMONS_LIST_SECONDS)

    def outage(self) -> ApiError | ApiUnreachable:
        """What to raise when the API server could not be asked for too long: its refusal, if it refuses."""
        if isinstance(self.trouble, ApiError) and self.trouble.status in (401, 403):
            return self.trouble
        return ApiUnreachable(str(self.trouble or "the build pods could not be listed"))

    async def request(self, method: str, path: str, query: Json | None = None, body: Json | None = None) -> Json:
        """A request, sent from a thread. Raises as ApiClient.request does."""
        send = lambda: self.api.request(method, path, query, body)  # noqa: E731
        return await self.loop.run_in_executor(self._requests, send)

    async def create_pod(self, pod: Json) -> Json:
        """Create a pod and store it at once: the watch shows it a moment later."""
        created = without_large_parts(await self.request("POST", self.path("pods"), None, pod))
        self._store(created)
        return created

    async def fetch_pod(self, name: str) -> None:
        """Store the pod with this name, if there is one that the watch has not shown yet."""
        try:
            self._store(without_large_parts(await self.request("GET", self.path("pods", name))))
        except ApiError as error:
            if error.status != 404:
                raise

    async def delete_pod(self, pod: Json, *, at_once: bool = True) -> None:
        """Delete this pod, and no other with its name. A pod that is gone already is fine.

        `at_once` gives it no grace period.
        """
        self._being_deleted.add(pod["metadata"]["uid"])
        try:
            path = self.path("pods", pod["metadata"]["name"])
            await self.request("DELETE", path, None, delete_options(pod, at_once=at_once))
        except ApiError as error:
            if error.status not in (404, 409):
                raise
        if at_once:
            self._drop(pod)

    def is_being_deleted(self, pod: Json) -> bool:
        """Whether somebody deletes the pod: this process, or anybody else."""
        return bool(pod["metadata"].get("deletionTimestamp")) or pod["metadata"].get("uid") in self._being_deleted

    def _store(self, pod: Json) -> None:
        # The watch may be faster than the answer, and have shown the pod's deletion already.
        if pod["metadata"]["uid"] not in self._deleted:
            self.pods.setdefault(pod["metadata"]["name"], pod)

    def _drop(self, pod: Json) -> None:
        name = pod["metadata"]["name"]
        stored = self.pods.get(name)
        if stored and stored["metadata"].get("uid") == pod["metadata"].get("uid"):
            del self.pods[name]
        self._events.pop(name, None)
        self._being_deleted.discard(pod["metadata"].get("uid"))

    def _watch(self, path: str, query: Json, callbacks: ReflectorCallbacks) -> None:
        def on_loop(function: Callable[..., None]) -> Callable[..., None]:
            return lambda *arguments: self._call_on_loop(function, *arguments)

        on_loop_callbacks = ReflectorCallbacks(
            on_loop(callbacks.listed), on_loop(callbacks.changed), on_loop(callbacks.trouble)
        )
        Reflector(self.api, path, query, on_loop_callbacks).start()

    def _call_on_loop(self, function: Callable[..., None], *arguments: object) -> None:
        self.loop.call_soon_threadsafe(function, *arguments)

    def _set_trouble(self, trouble: Exception | None) -> None:
        if str(trouble) == str(self.trouble):
            return
        if trouble and not self.trouble:
            self.trouble_since = time.monotonic()
        self.trouble = trouble
        self._notify()

    def _notify(self) -> None:
        for listener in list(self._listeners):
            listener()

    def _list_pods(self, pods: list[Json]) -> None:
        self.pods = {pod["metadata"]["name"]: pod for pod in pods}
        self._being_deleted &= {pod["metadata"]["uid"] for pod in pods}
        self._pods_listed.set()
        self._notify()

    def _change_pod(self, kind: str, pod: Json) -> None:
        if kind == "DELETED":
            self._drop(pod)
            self._deleted[pod["metadata"]["uid"]] = _without_most_of_spec(pod)
            if len(self._deleted) > DELETED_PODS:
                del self._deleted[next(iter(self._deleted))]
        else:
            self.pods[pod["metadata"]["name"]] = pod
        self._notify()

    def _list_events(self, events: list[Json]) -> None:
        self._events = {}
        for event in events:
            self._store_event(event)
        self._notify()

    def _change_event(self, kind: str, event: Json) -> None:
        if kind == "DELETED":
            name = event["involvedObject"].get("name", "")
            self._events.get(name, {}).pop(event["metadata"]["name"], None)
            if not self._events.get(name):
                self._events.pop(name, None)
        else:
            self._store_event(event)
            self._notify()

    def _store_event(self, event: Json) -> None:
        # Not those of users' pods, which may be in the same namespace, nor those of deleted pods: the API server
        # deletes events only an hour later.
        involved = event["involvedObject"]
        name = involved.get("name", "")
        if name.startswith("build-") and involved.get("uid") not in self._deleted:
            self._events.setdefault(name, {})[event["metadata"]["name"]] = event

    def _list_daemons(self, pods: list[Json]) -> None:
        self._daemons_listed.set()
        self.daemons = {}
        for pod in pods:
            self._change_daemon("ADDED", pod)
        self._notify()

    def _change_daemon(self, kind: str, pod: Json) -> None:
        name = node(pod)
        if not name:
            return
        stored = self.daemons.get(name)
        other = stored is not None and stored["metadata"]["uid"] != pod["metadata"]["uid"]
        if kind == "DELETED":
            if stored and not other:
                del self.daemons[name]
        # A daemon that is being replaced must not hide its replacement.
        elif not (stored and other and is_ready(stored) and not is_ready(pod)):
            self.daemons[name] = pod
        self._notify()


def _without_most_of_spec(pod: Json) -> Json:
    """A deleted pod without the larger part of its spec: builds ask only how it ended, and where."""
    spec = pod.get("spec") or {}
    kept: Json = {key: spec[key] for key in ("nodeName", "activeDeadlineSeconds") if key in spec}
    kept["containers"] = [{"name": one["name"], "image": one["image"]} for one in spec.get("containers") or []]
    return {**pod, "spec": kept}


def _log_trouble(trouble: Exception | None) -> None:
    """Without events or daemons builds continue; they only say less."""
    if trouble:
        log.warning("binderhub-service: %s", trouble)


async def wait_for_change(event: asyncio.Event, seconds: float) -> None:
    """Wait until `event` is set, for at most so many seconds."""
    with contextlib.suppress(TimeoutError):
        await asyncio.wait_for(event.wait(), seconds)
