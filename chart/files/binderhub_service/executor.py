"""The executor that BinderHub is configured with: one for each request, which forwards the events of a shared build.

A request takes no thread: `submit` returns at once, and a task on the main loop forwards the events.
"""

import asyncio
import json
import os
import time
from typing import Any
from urllib.parse import urlsplit

from binderhub.build import KubernetesBuildExecutor, ProgressEvent
from binderhub.utils import ByteSpecification, rendezvous_rank
from kubernetes import client
from traitlets import Bool, Dict, Integer, List, Unicode, default

from binderhub_service import Json, snake_case
from binderhub_service.build import Build
from binderhub_service.builds import Builds
from binderhub_service.cluster import Cluster
from binderhub_service.docker_engine import DockerEngine
from binderhub_service.failures import Failure
from binderhub_service.kubernetes_api import api_client, release_owner_label
from binderhub_service.manifests import BuildRequest, BuildSpec
from binderhub_service.registry.login import DOCKERCONFIGJSON
from binderhub_service.request import (
    Requester,
    add_digest,
    call_when_closed,
    current_handler,
    forget_digest,
    requester_of,
)
from binderhub_service.service_log import log_audit_event

KEEP_ALIVE_SECONDS = 10.0
"""Seconds of silence before a keep-alive event. By it, BinderHub notices clients whose connection did not end properly:
those that sent more than their request, and those whose network went away."""
QUEUE_SIZE = 100
"""Events that may wait for a client that does not read."""
QUEUE_PAUSE_SECONDS = 0.05
END_PAUSE_SECONDS = 0.1
POD_FIELDS = ("tolerations", "nodeSelector", "priorityClassName", "serviceAccountName")
"""Fields of the pod's spec that are traits of the same name, in snake_case."""

Kind, Status = ProgressEvent.Kind, ProgressEvent.BuildStatus
_builds: dict[tuple[int, str], Builds] = {}
"""Of this process, by its loop and the namespace of build pods."""


class StreamEnded(Exception):  # noqa: N818 - not an error: the only way to end a stream of BinderHub's
    """The stream has sent its failure."""


class ServiceBuildExecutor(KubernetesBuildExecutor):
    """One request for a build. It ends with `ready`, or with one `failed` event that has a code."""

    sticky_builds = Bool(True, config=True, help="Prefer one node for all builds of a repository, for its cache.")
    push_secret_key = Unicode("config.json", config=True, help="The key of push_secret that holds a docker config.")
    start_timeout_seconds = Integer(900, config=True, help="Seconds that a pod may wait for a node, or its daemon.")
    silence_timeout_seconds = Integer(120, config=True, help="Seconds that the daemon may be silent; 0 is no limit.")
    deadline_seconds = Integer(0, config=True, help="Seconds that a build pod may run; 0 is no limit.")
    repository_size_limit = ByteSpecification(
        10 << 30,
        config=True,
        help="Bytes that a repository may take on the disk, as a number or like 10G; 0 is no limit.",
    )
    tolerations: Any = List(config=True, help="Tolerations of build pods.")
    affinity = Dict(config=True, help="Affinity of build pods. Preferences for nodes are added to it.")
    priority_class_name = Unicode("", config=True, help="Priority class of build pods.")
    labels = Dict(config=True, help="Additional labels of build pods.")
    annotations = Dict(config=True, help="Annotations of build pods.")
    extra_env: Any = List(config=True, help="Environment variables of all containers, as Kubernetes writes them.")
    extra_volumes: Any = List(config=True, help="Additional volumes of build pods.")
    extra_volume_mounts: Any = List(config=True, help="Additional mounts of all containers.")
    init_containers: Any = List(config=True, help="Containers that run before the repository is fetched.")
    image_pull_policy = Unicode("", config=True, help="When build_image is pulled; empty is Kubernetes' default.")
    service_account_name = Unicode("", config=True, help="Service account of build pods. Its token is not mounted.")
    http_proxy = Unicode("", config=True, help="Address of the HTTP proxy that build pods and steps use.")
    no_proxy: Any = List(config=True, help="Hosts and address ranges that they reach without it.")
    check_image = Dict(config=True, help="How images are checked before they are pushed; empty for no check.")
    max_waiting_per_requester = Integer(0, config=True, help="Builds of one requester that may wait; 0 is no limit.")

    if not hasattr(KubernetesBuildExecutor, "resources"):  # BinderHub before March 2026
        resources = Dict(config=True, help="Resources of each container, as Kubernetes writes them.")

        @default("resources")
        def _resources_of_memory(self) -> dict[str, dict[str, int]]:
            memory = {"limits": self.memory_limit, "requests": self.memory_request}
            return {kind: {"memory": size} for kind, size in memory.items() if size}

    def __init__(self, **traits: Any) -> None:  # noqa: ANN401 - BinderHub's signature
        """Called by BinderHub on the main loop: once at its start, and once for each request."""
        super().__init__(**traits)
        self._handler = current_handler() if self.q is not None else None
        self._requester = Requester()
        if self._handler:
            self._requester = requester_of(self._handler)
            call_when_closed(self._handler, self._client_disconnected)
        self._has_failed = False
        self._task: asyncio.Task[None] | None = None
        self._since = time.monotonic()

    def submit(self) -> None:
        """Start, on the main loop."""
        self.main_loop.add_callback(self._start)

    def stream_logs(self) -> None:
        """Called by BinderHub after the failure was sent. An exception is what ends the stream."""
        raise StreamEnded

    def progress(self, kind: Any, payload: Any) -> None:  # noqa: ANN401 - BinderHub's signature
        """Queue an event. After a failure, hide what BinderHub says about the exception of `stream_logs`."""
        if self._has_failed:
            kind, payload = Kind.BUILD_STATUS_CHANGE, Status.PENDING
        super().progress(kind, payload)

    def stop(self) -> None:
        """End the request."""
        super().stop()
        if self._task:
            self._task.cancel()
            self._task = None
        if self._handler:  # it refers to this object as well
            forget_digest(self._handler)
            self._handler = None

    def _client_disconnected(self) -> None:
        self.stop()
        self._put_message({"phase": "waiting", "message": ""})  # the handler ends when it cannot write this

    def _start(self) -> None:
        if not self.stop_event.is_set():
            self._task = asyncio.get_running_loop().create_task(self._serve())

    async def _serve(self) -> None:
        outcome, build = "left", None
        try:
            try:
                found = self._shared_builds().get(
                    self._build_request(), self._requester.key, self.max_waiting_per_requester
                )
                if isinstance(found, Build):
                    build = found
                    await self._forward_events(build)
                    failed = build.failure.event() if build.failure else None
                else:
                    failed = found
            except Exception as error:
                self.log.exception("A request failed because of an error in this service")
                failed = Failure("BHS803", {"detail": f"{type(error).__name__}: {error}"}).event()
            outcome = str(failed["code"]) if failed else "ready"
            await self._wait_for_queue_space()
            if failed:
                self._put_message(failed)
                self._has_failed = True
                self._put(Kind.BUILD_STATUS_CHANGE, Status.RUNNING)  # makes BinderHub call stream_logs
            else:
                if build and build.digest:
                    add_digest(self._handler, build.digest)
                self._put(Kind.BUILD_STATUS_CHANGE, Status.BUILT)
        finally:
            self._audit(outcome, build)
        await self._end_stream()

    async def _end_stream(self) -> None:
        """Send events that are not shown until BinderHub ends the stream: before 2026 it does so only at an event."""
        while self._has_failed and not self.stop_event.is_set():
            await asyncio.sleep(END_PAUSE_SECONDS)
            if not self.q.qsize():
                self._put(Kind.BUILD_STATUS_CHANGE, Status.PENDING)

    async def _forward_events(self, build: Build) -> None:
        """Forward all events of the build, as fast as the client reads them."""
        buffer, changed = build.subscribers.buffer, build.subscribers.subscribe()
        try:
            position = buffer.first
            while True:
                changed.clear()
                while position < buffer.end:
                    await self._wait_for_queue_space()
                    if position < buffer.first:
                        skipped = f"({buffer.first - position} lines were skipped: the client reads too slowly.)\n"
                        self._put_message({"phase": build.phase, "message": skipped})
                        position = buffer.first
                    self._put(Kind.LOG_MESSAGE, buffer.get(position))
                    position += 1
                if build.done:
                    return
                try:
                    await asyncio.wait_for(changed.wait(), KEEP_ALIVE_SECONDS)
                except TimeoutError:
                    if not self.q.qsize():
                        self._put_message({"phase": build.phase, "message": ""})
        finally:
            build.subscribers.unsubscribe(changed)
            self._shared_builds().leave(build, self._requester.key)

    async def _wait_for_queue_space(self) -> None:
        while self.q.qsize() >= QUEUE_SIZE:
            await asyncio.sleep(QUEUE_PAUSE_SECONDS)

    def _put_message(self, event: Json) -> None:
        self._put(Kind.LOG_MESSAGE, json.dumps(event))

    def _put(self, kind: Any, payload: Any) -> None:  # noqa: ANN401 - BinderHub's types
        self.q.put_nowait(ProgressEvent(kind, payload))

    def _audit(self, outcome: str, build: Build | None) -> None:
        log_audit_event(
            "request",
            who=self._requester.name,
            repo=self.repo_url,
            ref=self.ref,
            image=self.image_name,
            name=build.key if build else self.name,
            node=build.node if build else "",
            outcome=outcome if outcome in ("ready", "left") else "failed",
            code="" if outcome in ("ready", "left") else outcome,
            seconds=round(time.monotonic() - self._since, 1),
            digest=build.digest if build else "",
        )

    def _shared_builds(self) -> Builds:
        loop = asyncio.get_running_loop()
        key = (id(loop), self.namespace)
        if key not in _builds:
            cluster = Cluster(api_client(), loop, self.namespace, release_owner_label())
            selector = os.environ.get("DOCKER_API_SELECTOR", "")
            if selector:
                cluster.watch_daemons(os.environ.get("BUILD_NAMESPACE") or self.namespace, selector)
            _builds[key] = Builds(cluster, getattr(self.parent, "concurrent_build_limit", 32))
        return _builds[key]

    def _build_request(self) -> BuildRequest:
        # Builds need a daemon: without another one, that of the docker-api pods.
        socket = urlsplit(self.docker_host or "").path or os.environ.get("DOCKER_API_SOCKET", "")
        settings = self._handler.settings if self._handler else {}
        return BuildRequest(
            spec=self._build_spec(),
            engine=DockerEngine(socket, uses_docker_api_pods=socket == os.environ.get("DOCKER_API_SOCKET")),
            preferred_node=self._preferred_node,
            registry=settings.get("registry") if settings.get("use_registry") else None,
        )

    def _preferred_node(self) -> str:
        nodes = self._shared_builds().cluster.nodes_with_daemon() if self.sticky_builds else []
        return str(rendezvous_rank(nodes, self.repo_url)[0]) if nodes else ""

    def _build_spec(self) -> BuildSpec:
        pod_fields = {field: getattr(self, snake_case(field)) for field in POD_FIELDS} | {
            "imagePullSecrets": [{"name": name} for name in self.image_pull_secrets],
            "activeDeadlineSeconds": self.deadline_seconds,
        }
        command = self.get_cmd()[:-1]
        return BuildSpec(
            name=self.name,
            owner=release_owner_label(),
            namespace=self.namespace,
            repo=self.repo_url,
            ref=self.ref,
            image_name=self.image_name,
            repo2docker=[word for word in command if word not in ("--push", "--no-push")],
            pushes=pushes(command),
            size_limit=self.repository_size_limit,
            build_image=self.build_image,
            start_seconds=self.start_timeout_seconds,
            silence_seconds=self.silence_timeout_seconds,
            git_credentials=self.git_credentials,
            registry_credentials=self.registry_credentials,
            authorities=os.environ.get("BUILD_PODS_AUTHORITIES", ""),
            http_proxy=self.http_proxy,
            no_proxy=",".join(self.no_proxy),
            check_image=self.check_image,
            push_secret=self.push_secret or "",
            push_secret_key=self.push_secret_key,
            extra_env=environment(
                [*({"name": name, "value": value} for name, value in self.extra_envs.items()), *self.extra_env]
            ),
            resources=self.resources,
            extra_volumes=self.extra_volumes,
            extra_volume_mounts=self.extra_volume_mounts,
            init_containers=[
                {**one, "env": environment(one["env"])} if one.get("env") else one for one in self.init_containers
            ],
            labels=self.labels,
            annotations=self.annotations,
            image_pull_policy=self.image_pull_policy,
            pod_fields={name: value for name, value in pod_fields.items() if value},
            affinity=self.affinity,
        )


def environment(entries: list[Json]) -> list[Json]:
    """Environment variables as Kubernetes takes them: a number or a boolean becomes text."""
    return [
        {**entry, "value": json.dumps(entry["value"])} if not isinstance(entry.get("value"), str | None) else entry
        for entry in entries
    ]


def pushes(command: list[str]) -> bool:
    """Whether this command makes repo2docker push: the last option counts."""
    options = [word for word in command if word in ("--push", "--no-push")]
    return bool(options) and options[-1] == "--push"


class DockerConfigJsonExecutor(KubernetesBuildExecutor):
    """BinderHub's executor, for a push_secret of the type kubernetes.io/dockerconfigjson.

    BinderHub mounts the key config.json of the Secret. This class mounts the key that this type has, under that name.
    """

    def get_builder_volumes(self) -> Any:  # noqa: ANN401 - BinderHub's signature
        """BinderHub's volumes and mounts, with the Secret's key mounted as config.json."""
        volumes, mounts = super().get_builder_volumes()
        for volume in volumes:
            if volume.secret and volume.secret.secret_name == self.push_secret:
                volume.secret.items = [client.V1KeyToPath(key=DOCKERCONFIGJSON, path="config.json")]
        return volumes, mounts
