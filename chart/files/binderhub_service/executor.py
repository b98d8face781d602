"""The classes that BinderHub is configured with: what it calls, and what answers it.

A request costs no thread: `submit` returns at once, and a task on the main loop hands the build's events on.


Build pods that push with a Secret of the type kubernetes.io/dockerconfigjson."""

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

from binderhub_service.build import Build
from binderhub_service.builds import Builds
from binderhub_service.cluster import Cluster
from binderhub_service.docker_engine import DockerEngine
from binderhub_service.failures import Failure
from binderhub_service.kubernetes_api import api, release
from binderhub_service.objects import BuildSpec
from binderhub_service.registry.login import DOCKERCONFIGJSON
from binderhub_service.request import Requester, add_digest, current_handler, find_requester
from binderhub_service.service_log import told

HEARTBEAT_SECONDS = 10.0
"""After so long without an event an empty one is sent: BinderHub then sees that a client has left, where the connection
did not tell (a client that sent more than its request, or a network that went away)."""
BACKLOG = 100
"""Events that may wait for a client that does not read."""
FULL_SECONDS = 0.05
WAKE_SECONDS = 0.1

Kind, Status = ProgressEvent.Kind, ProgressEvent.BuildStatus
_builds: dict[tuple[int, str], Builds] = {}


class StreamEnded(Exception):  # noqa: N818 - not an error: the one way to end a stream of BinderHub's
    """The stream has told its failure and ends."""


class ServiceBuildExecutor(KubernetesBuildExecutor):
    """One request for a build. Ends with `ready`, or with one `failed` event that has a code."""

    sticky_builds = Bool(True, config=True, help="Prefer one node for all builds of a repository, for its cache.")
    push_secret_key = Unicode("config.json", config=True, help="The key of push_secret that holds a docker config.")
    start_timeout = Integer(900, config=True, help="Seconds that a pod may wait for a node, or for its daemon.")
    deadline = Integer(0, config=True, help="Seconds that a build pod may run; 0 is without bound.")
    repository_size_limit = ByteSpecification(
        10 << 30,
        config=True,
        help="Bytes that a repository may take on the disk, or like 10G; 0 is no bound.",
    )
    tolerations: Any = List(config=True, help="Tolerations of build pods.")
    affinity = Dict(config=True, help="Affinity of build pods; preferences for builds are added.")
    priority_class_name = Unicode("", config=True, help="Priority class of build pods.")
    labels = Dict(config=True, help="Further labels of build pods.")
    annotations = Dict(config=True, help="Annotations of build pods.")
    extra_env: Any = List(config=True, help="Environment of both containers, as Kubernetes writes it.")
    extra_volumes: Any = List(config=True, help="Further volumes of build pods.")
    extra_volume_mounts: Any = List(config=True, help="Further mounts of both containers.")
    init_containers: Any = List(config=True, help="Containers that run before the repository is fetched.")
    image_pull_policy = Unicode("", config=True, help="When build_image is pulled; empty is Kubernetes' default.")
    service_account_name = Unicode("", config=True, help="Service account of build pods; its token is not mounted.")
    max_waiting_per_requester = Integer(0, config=True, help="Builds of one requester that may wait; 0 is any number.")

    if not hasattr(KubernetesBuildExecutor, "resources"):  # BinderHub before March 2026
        resources = Dict(config=True, help="Resources of both containers, as Kubernetes writes them.")

        @default("resources")
        def _resources_of_memory(self) -> dict[str, dict[str, int]]:
            memory = {"limits": self.memory_limit, "requests": self.memory_request}
            return {kind: {"memory": size} for kind, size in memory.items() if size}

    def __init__(self, **traits: Any) -> None:  # noqa: ANN401 - BinderHub's signature
        """Made by BinderHub on the main loop: once at its start, and once for each request."""
        super().__init__(**traits)
        self._handler = current_handler() if self.q is not None else None
        self._requester = find_requester(self._handler, self._client_disconnected) if self._handler else Requester()
        self._ending = False
        self._task: asyncio.Task[None] | None = None
        self._since = time.monotonic()

    def submit(self) -> None:
        """Begin, on the main loop."""
        self.main_loop.add_callback(self._begin)

    def stream_logs(self) -> None:
        """Called after the failure was told: raising is what ends the stream."""
        raise StreamEnded

    def progress(self, kind: Any, payload: Any) -> None:  # noqa: ANN401 - BinderHub's signature
        """Hand an event to the request; what BinderHub says of the exception of `stream_logs` is not shown."""
        if self._ending:
            kind, payload = Kind.BUILD_STATUS_CHANGE, Status.PENDING
        super().progress(kind, payload)

    def stop(self) -> None:
        """The request is over."""
        super().stop()
        if self._task:
            self._task.cancel()

    def _client_disconnected(self) -> None:
        self.stop()
        self._put(Kind.LOG_MESSAGE, json.dumps({"phase": "waiting", "message": ""}))  # writing it ends the handler

    def _begin(self) -> None:
        if not self.stop_event.is_set():
            self._task = asyncio.get_running_loop().create_task(self._serve())

    async def _serve(self) -> None:
        outcome, build = "left", None
        try:
            try:
                found = self._shared().get(
                    self._spec(),
                    self._engine(),
                    self._preferred,
                    self._registry(),
                    self._requester.key,
                    self.max_waiting_per_requester,
                )
                if isinstance(found, Build):
                    build = found
                    await self._forward(build)
                    failed = build.outcome.event() if build.outcome else None
                else:
                    failed = found
            except Exception as wrong:
                self.log.exception("The executor failed")
                failed = Failure("BHS803", {"detail": f"{type(wrong).__name__}: {wrong}"}).event()
            outcome = str(failed["code"]) if failed else "ready"
            await self._wait_for_queue_space()
            if failed:
                self._put(Kind.LOG_MESSAGE, json.dumps(failed))
                self._ending = True
                self._put(Kind.BUILD_STATUS_CHANGE, Status.RUNNING)  # has BinderHub call stream_logs
            else:
                if build and build.digest:
                    add_digest(self._handler, build.digest)
                self._put(Kind.BUILD_STATUS_CHANGE, Status.BUILT)
        finally:
            self._audit(outcome, build)
        await self._end_stream()

    async def _end_stream(self) -> None:
        """Have the handler see that the stream has ended: before 2026 it looks up at events only."""
        while self._ending and not self.stop_event.is_set():
            await asyncio.sleep(WAKE_SECONDS)
            if not self.q.qsize():
                self._put(Kind.BUILD_STATUS_CHANGE, Status.PENDING)  # is not shown

    async def _forward(self, build: Build) -> None:
        """All events of the build, as fast as the client takes them."""
        buffer, changed = build.subscribers.buffer, build.subscribers.join()
        try:
            place = buffer.first
            while True:
                changed.clear()
                while place < buffer.end:
                    await self._wait_for_queue_space()
                    if place < buffer.first:
                        lost = f"({buffer.first - place} lines were skipped: they came faster than they were read.)\n"
                        self._put(Kind.LOG_MESSAGE, json.dumps({"phase": build.phase, "message": lost}))
                        place = buffer.first
                    self._put(Kind.LOG_MESSAGE, buffer.get(place))
                    place += 1
                if build.over:
                    return
                try:
                    await asyncio.wait_for(changed.wait(), HEARTBEAT_SECONDS)
                except TimeoutError:
                    if not self.q.qsize():
                        self._put(Kind.LOG_MESSAGE, json.dumps({"phase": build.phase, "message": ""}))
        finally:
            build.subscribers.leave(changed)
            self._shared().leave(build, self._requester.key)

    async def _wait_for_queue_space(self) -> None:
        while self.q.qsize() >= BACKLOG:
            await asyncio.sleep(FULL_SECONDS)

    def _put(self, kind: Any, payload: Any) -> None:  # noqa: ANN401 - BinderHub's types
        self.q.put_nowait(ProgressEvent(kind, payload))

    def _audit(self, outcome: str, build: Build | None) -> None:
        told(
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

    def _shared(self) -> Builds:
        loop = asyncio.get_running_loop()
        key = (id(loop), self.namespace)
        if key not in _builds:
            cluster = Cluster(api(), loop, self.namespace, release())
            selector = os.environ.get("DOCKER_API_SELECTOR", "")
            if selector:
                cluster.watch_daemons(os.environ.get("BUILD_NAMESPACE") or self.namespace, selector)
            _builds[key] = Builds(cluster, getattr(self.parent, "concurrent_build_limit", 32))
        return _builds[key]

    def _registry(self) -> Any:  # noqa: ANN401 - BinderHub's, or a class of the administrator's
        settings = self._handler.settings if self._handler else {}
        return settings.get("registry") if settings.get("use_registry") else None

    def _engine(self) -> DockerEngine:
        path = urlsplit(self.docker_host or "").path
        return DockerEngine(path, path == os.environ.get("DOCKER_API_SOCKET"))

    def _preferred(self) -> str:
        nodes = self._shared().cluster.nodes_with_daemon() if self.sticky_builds else []
        return str(rendezvous_rank(nodes, self.repo_url)[0]) if nodes else ""

    def _spec(self) -> BuildSpec:
        pod_fields = {
            "tolerations": self.tolerations,
            "nodeSelector": self.node_selector,
            "imagePullSecrets": [{"name": name} for name in self.image_pull_secrets],
            "priorityClassName": self.priority_class_name,
            "serviceAccountName": self.service_account_name,
            "activeDeadlineSeconds": self.deadline,
        }
        command = self.get_cmd()[:-1]
        return BuildSpec(
            name=self.name,
            owner=release(),
            namespace=self.namespace,
            repo=self.repo_url,
            ref=self.ref,
            image_name=self.image_name,
            repo2docker=[word for word in command if word not in ("--push", "--no-push")],
            pushes=pushes(command),
            size_limit=self.repository_size_limit,
            build_image=self.build_image,
            start_seconds=self.start_timeout,
            git_credentials=self.git_credentials,
            registry_credentials=self.registry_credentials,
            authorities=os.environ.get("BUILD_PODS_AUTHORITIES", ""),
            push_secret=self.push_secret or "",
            push_secret_key=self.push_secret_key,
            extra_env=[{"name": name, "value": value} for name, value in self.extra_envs.items()] + self.extra_env,
            resources=self.resources,
            extra_volumes=self.extra_volumes,
            extra_mounts=self.extra_volume_mounts,
            init_containers=self.init_containers,
            labels=self.labels,
            annotations=self.annotations,
            pull_policy=self.image_pull_policy,
            pod_fields={name: value for name, value in pod_fields.items() if value},
            affinity=self.affinity,
        )


def pushes(command: list[str]) -> bool:
    """Whether repo2docker's command has it push: the last option that says so counts."""
    said = [word for word in command if word in ("--push", "--no-push")]
    return bool(said) and said[-1] == "--push"


class DockerConfigJsonExecutor(KubernetesBuildExecutor):
    """BinderHub's own, which mounts the file config.json of the Secret; here it is made of the key of that type."""

    def get_builder_volumes(self) -> Any:  # noqa: ANN401 - BinderHub's
        """BinderHub's volumes and mounts, with the Secret's key under the name of the file that is mounted."""
        volumes, mounts = super().get_builder_volumes()
        for volume in volumes:
            if volume.secret and volume.secret.secret_name == self.push_secret:
                volume.secret.items = [client.V1KeyToPath(key=DOCKERCONFIGJSON, path="config.json")]
        return volumes, mounts
