"""Builds: what an executor is, the one that makes a pod of repo2docker, and the cleaner of such pods.

A subclass is called from two threads of the build pool, `submit` in one and `stream_logs` in the other, and talks to
the request through `progress`. Known defects of BinderHub's own class are kept: a subclass has to
cure them here too.
"""

import datetime
import json
import os
import threading
import warnings
from enum import Enum
from typing import Any
from urllib.parse import urlparse

import kubernetes.config
from kubernetes import client, watch
from kubernetes.client.rest import ApiException  # type: ignore[attr-defined] # where every version of the client has it
from tornado.ioloop import IOLoop
from tornado.log import app_log
from traitlets import Any as AnyTrait
from traitlets import Bool, Dict, Integer, List, Unicode, default
from traitlets.config import LoggingConfigurable
from urllib3.exceptions import ReadTimeoutError

from .utils import KUBE_REQUEST_TIMEOUT, ByteSpecification, rendezvous_rank


class ProgressEvent:
    """One thing that happened in a build: its state changed, or a line of its log arrived."""

    class Kind(Enum):
        """Which of the two."""

        BUILD_STATUS_CHANGE = 1
        LOG_MESSAGE = 2

    class BuildStatus(Enum):
        """The states of a build; only BUILT ends a request's stream."""

        PENDING = "pending"
        RUNNING = "running"
        BUILT = "built"
        FAILED = "failed"
        UNKNOWN = "unknown"

    def __init__(self, kind: "ProgressEvent.Kind", payload: "str | ProgressEvent.BuildStatus") -> None:
        """`payload` is a BuildStatus, or for LOG_MESSAGE a JSON object as text."""
        self.kind = kind
        self.payload = payload


class BuildExecutor(LoggingConfigurable):
    """One request's build. One more is made at start-up, without `q` and `name`, to ask it for `builder_info`."""

    q = AnyTrait(help="The request's queue of ProgressEvents; use `progress`, it belongs to the main loop.")
    name = Unicode(help="The same for the same repository and ref: the lock that makes two requests one build.")
    repo_url = Unicode(help="What is built.")
    ref = Unicode(help="Its commit.")
    image_name = Unicode(help="The image's full name with its tag.")
    git_credentials = Unicode("", config=True, help="For repo2docker's git, in the format of git-credential.")
    push_secret = Unicode("", config=True, help="Credentials for pushing; empty means that nothing is pushed.")
    registry_credentials = Dict({}, config=True, help="Credentials made for this push, used in place of push_secret.")
    memory_limit = ByteSpecification(0, config=True, help="Deprecated: use resources.")
    appendix = Unicode("", config=True, help="Lines added to the Dockerfile that repo2docker makes.")
    builder_info = Dict(config=True, help="What `/versions` tells about this builder.")
    repo2docker_extra_args = List(Unicode(), config=True, help="Further arguments of repo2docker.")
    stop_event = AnyTrait(help="Set when the request is over; the build itself goes on.")

    @default("stop_event")
    def _default_stop_event(self) -> threading.Event:
        return threading.Event()

    def __init__(self, **traits: Any) -> None:
        """Remember the loop of this thread, which is the main one."""
        super().__init__(**traits)
        self.main_loop = IOLoop.current()

    def get_r2d_cmd_options(self) -> list[str]:
        """The options of repo2docker, without the repository."""
        options = [f"--ref={self.ref}", f"--image={self.image_name}", "--no-clean", "--no-run", "--json-logs"]
        options += ["--user-name=jovyan", "--user-id=1000"]
        if self.appendix:
            options += ["--appendix", self.appendix]
        if self.push_secret:
            options.append("--push")
        return options + self.repo2docker_extra_args

    def get_cmd(self) -> list[str]:
        """The whole command; the repository is last, so that no option's value can be taken for it."""
        return ["jupyter-repo2docker", *self.get_r2d_cmd_options(), self.repo_url]

    def progress(self, kind: ProgressEvent.Kind, payload: str | ProgressEvent.BuildStatus) -> None:
        """Hand one event to the request, from any thread."""
        self.main_loop.add_callback(self.q.put, ProgressEvent(kind, payload))

    def submit(self) -> None:
        """Start the build, or find it running, and report its states until it ends or `stop_event` is set."""
        raise NotImplementedError

    def stream_logs(self) -> None:
        """Report the build's log lines; called once, at the first RUNNING."""

    def cleanup(self) -> None:
        """Remove what the build has left."""

    def stop(self) -> None:
        """The request is over: stop watching. The build is left alone."""
        self.stop_event.set()


def _core_api() -> client.CoreV1Api:
    try:
        kubernetes.config.load_incluster_config()
    except kubernetes.config.ConfigException:
        kubernetes.config.load_kube_config()
    return client.CoreV1Api()


class KubernetesBuildExecutor(BuildExecutor):
    """A build in a pod. Several requests can watch the same pod, so that each must bear that another deleted it."""

    api = AnyTrait(help="A kubernetes.client.CoreV1Api.")
    push_secret = Unicode(
        "binder-build-docker-config", config=True, help="Secret whose key config.json is mounted for pushing."
    )
    registry_credentials = Dict({}, config=True, help="As in BuildExecutor; it becomes plain environment of the pod.")
    namespace = Unicode(config=True, help="Where build pods are made; $BUILD_NAMESPACE by default.")
    build_image = Unicode("quay.io/jupyterhub/repo2docker:2024.07.0", config=True, help="The image with repo2docker.")
    image_pull_secrets: List[str] = List([], config=True, help="Names of Secrets for pulling build_image.")
    docker_host = Unicode(
        "/var/run/docker.sock",
        allow_none=True,
        config=True,
        help="The daemon's unix socket on the node, of which only the path is used; None mounts none.",
    )
    resources: Any = Dict(config=True, help="Resources of the build pod; the build itself runs in the daemon.")
    memory_request = ByteSpecification(0, config=True, help="Deprecated: use resources.")
    node_selector = Dict({}, config=True, help="Node selector of the build pod.")
    extra_envs = Dict({}, config=True, help="Environment of the build pod, name to value.")
    log_tail_lines = Integer(100, config=True, help="How many lines a request gets of what was logged before it came.")
    sticky_builds = Bool(False, config=True, help="Prefer one node for all builds of a repository.")
    _component_label = Unicode("binderhub-build")

    @default("api")
    def _default_api(self) -> client.CoreV1Api:
        return _core_api()

    @default("namespace")
    def _default_namespace(self) -> str:
        return os.environ.get("BUILD_NAMESPACE", "default")

    @default("builder_info")
    def _default_builder_info(self) -> dict[str, str]:
        return {"build_image": self.build_image}

    @default("resources")
    def _default_resources(self) -> dict[str, dict[str, int]]:
        requests: dict[str, int] = {}
        limits: dict[str, int] = {}
        if self.memory_limit or self.memory_request:
            self.log.warning("memory_limit and memory_request of KubernetesBuildExecutor are deprecated: use resources")
            requests["memory"] = self.memory_request
        if self.memory_limit:
            limits["memory"] = self.memory_limit
        return {"limits": limits, "requests": requests}

    def get_affinity(self) -> client.V1Affinity:
        """Away from other builds; with sticky_builds near to earlier builds of the repository.

        Sticky looks for the pods of a docker-in-docker DaemonSet in the builds' namespace, by the labels of BinderHub's
        own chart, and raises IndexError where there are none.
        """
        answer = self.api.list_namespaced_pod(
            self.namespace,
            label_selector="component=image-builder,app=binder",
            _request_timeout=KUBE_REQUEST_TIMEOUT,
            _preload_content=False,
        )
        daemons = json.loads(answer.read())
        if self.sticky_builds and daemons:
            node = rendezvous_rank([pod["spec"]["nodeName"] for pod in daemons["items"]], self.repo_url)[0]
            on_node = client.V1NodeSelectorRequirement(key="kubernetes.io/hostname", operator="In", values=[node])
            term = client.V1PreferredSchedulingTerm(
                weight=100, preference=client.V1NodeSelectorTerm(match_expressions=[on_node])
            )
            return client.V1Affinity(
                node_affinity=client.V1NodeAffinity(preferred_during_scheduling_ignored_during_execution=[term])
            )
        builds = client.V1LabelSelector(match_labels={"component": self._component_label})
        apart = client.V1WeightedPodAffinityTerm(
            weight=100,
            pod_affinity_term=client.V1PodAffinityTerm(topology_key="kubernetes.io/hostname", label_selector=builds),
        )
        return client.V1Affinity(
            pod_anti_affinity=client.V1PodAntiAffinity(preferred_during_scheduling_ignored_during_execution=[apart])
        )

    def get_builder_volumes(self) -> tuple[list[client.V1Volume], list[client.V1VolumeMount]]:
        """Volumes and their mounts: the daemon's socket (as a file) and the Secret for pushing."""
        volumes, mounts = [], []
        if self.docker_host is not None:
            mounts.append(client.V1VolumeMount(name="docker-socket", mount_path="/var/run/docker.sock"))
            socket = client.V1HostPathVolumeSource(path=urlparse(self.docker_host).path, type="Socket")
            volumes.append(client.V1Volume(name="docker-socket", host_path=socket))
        if self.push_secret and not self.registry_credentials:
            config = "/root/.docker/config.json"
            mounts.append(client.V1VolumeMount(name="docker-config", mount_path=config, sub_path="config.json"))
            secret = client.V1SecretVolumeSource(secret_name=self.push_secret)
            volumes.append(client.V1Volume(name="docker-config", secret=secret))
        return volumes, mounts

    def get_image_pull_secrets(self) -> list[client.V1LocalObjectReference]:
        """The Secrets that the kubelet may use to pull build_image."""
        return [client.V1LocalObjectReference(name=name) for name in self.image_pull_secrets]

    def submit(self) -> None:
        """Create the pod, or join the one of that name, and report its phases until it is deleted.

        A request joins whatever has the name, also a failed pod or one made from another configuration. A pod that is
        gone before the first watch is waited for without end.
        """
        self.pod = _pod(self)
        try:
            self.api.create_namespaced_pod(self.namespace, self.pod, _request_timeout=KUBE_REQUEST_TIMEOUT)
            app_log.info("Started build %s", self.name)
        except ApiException as refused:
            if refused.status != 409:
                raise
            app_log.info("Build %s already running", self.name)
        while not self.stop_event.is_set():
            watcher = watch.Watch()
            try:
                for event in watcher.stream(
                    self.api.list_namespaced_pod,
                    self.namespace,
                    label_selector=f"name={self.name}",
                    timeout_seconds=30,
                    _request_timeout=KUBE_REQUEST_TIMEOUT,
                ):
                    if event["type"] == "DELETED":
                        _report_end(self, event["object"].status.phase)
                        return
                    self.pod = pod = event["object"]
                    _report_phase(self, pod.status.phase)
            except ReadTimeoutError:
                app_log.warning("Timeout in watch stream for %s", self.name)
            except Exception:
                app_log.exception("Error in watch stream for %s", self.name)
                raise
            finally:
                watcher.stop()

    def stream_logs(self) -> None:
        """Report the pod's log, line by line; a line that is no JSON is wrapped with the phase `unknown`.

        A line that is a JSON scalar passes, although the request's handler cannot bear it.
        """
        for raw in self.api.read_namespaced_pod_log(
            self.name,
            self.namespace,
            follow=True,
            tail_lines=self.log_tail_lines,
            _request_timeout=(3, None),
            _preload_content=False,
        ):
            if self.stop_event.is_set():
                return
            line = raw.decode("utf-8")
            try:
                json.loads(line)
            except ValueError:
                app_log.error("log event not json: %r", line)
                line = json.dumps({"phase": "unknown", "message": line})
            self.progress(ProgressEvent.Kind.LOG_MESSAGE, line)

    def cleanup(self) -> None:
        """Delete the pod at once; its log may still be read at that time, and what is unread is lost."""
        _delete(self.api, self.name, self.namespace)


def _pod(build: KubernetesBuildExecutor) -> client.V1Pod:
    volumes, mounts = build.get_builder_volumes()
    environment = dict(build.extra_envs)
    if build.git_credentials:
        environment["GIT_CREDENTIAL_ENV"] = build.git_credentials
    if build.registry_credentials:
        environment["CONTAINER_ENGINE_REGISTRY_CREDENTIALS"] = json.dumps(build.registry_credentials)
    container = client.V1Container(
        name="builder",
        image=build.build_image,
        args=build.get_cmd(),
        env=[client.V1EnvVar(name=name, value=value) for name, value in environment.items()],
        resources=build.resources,
        volume_mounts=mounts,
    )
    user_nodes = [
        client.V1Toleration(key=key, operator="Equal", value="user", effect="NoSchedule")
        for key in ("hub.jupyter.org/dedicated", "hub.jupyter.org_dedicated")
    ]
    return client.V1Pod(
        metadata=client.V1ObjectMeta(
            name=build.name,
            labels={"name": build.name, "component": build._component_label},
            annotations={"binder-repo": build.repo_url},
        ),
        spec=client.V1PodSpec(
            containers=[container],
            volumes=volumes,
            affinity=build.get_affinity(),
            tolerations=user_nodes,
            node_selector=build.node_selector,
            image_pull_secrets=build.get_image_pull_secrets(),
            restart_policy="Never",
        ),
    )


def _report_phase(build: KubernetesBuildExecutor, phase: str) -> None:
    statuses = {
        "Pending": ProgressEvent.BuildStatus.PENDING,
        "Running": ProgressEvent.BuildStatus.RUNNING,
        "Failed": ProgressEvent.BuildStatus.FAILED,
        "Unknown": ProgressEvent.BuildStatus.UNKNOWN,
    }
    if phase in statuses:
        if not build.stop_event.is_set():
            build.progress(ProgressEvent.Kind.BUILD_STATUS_CHANGE, statuses[phase])
    elif phase != "Succeeded":  # which is reported when the pod is gone
        warnings.warn(f"Found unknown phase {phase} when building {build.name}", stacklevel=2)
    if phase in ("Succeeded", "Failed"):
        build.cleanup()


def _report_end(build: KubernetesBuildExecutor, last_phase: str) -> None:
    succeeded = last_phase == "Succeeded"
    status = ProgressEvent.BuildStatus.BUILT if succeeded else ProgressEvent.BuildStatus.FAILED
    build.progress(ProgressEvent.Kind.BUILD_STATUS_CHANGE, status)


def _delete(api: client.CoreV1Api, name: str, namespace: str) -> None:
    try:
        api.delete_namespaced_pod(
            name=name,
            namespace=namespace,
            body=client.V1DeleteOptions(grace_period_seconds=0),
            _request_timeout=KUBE_REQUEST_TIMEOUT,
        )
    except ApiException as refused:
        if refused.status != 404:  # another request or the cleaner was faster
            raise


class KubernetesCleaner(LoggingConfigurable):
    """Deletes build pods that have ended or run for too long; one that never started has no age here and stays."""

    kube = AnyTrait(help="A kubernetes.client.CoreV1Api.")
    namespace = Unicode(help="Where build pods are; $BUILD_NAMESPACE by default.")
    max_age = Integer(3600 * 4, config=True, help="Seconds after its start at which a build pod is deleted; 0 never.")

    @default("kube")
    def _default_kube(self) -> client.CoreV1Api:
        return _core_api()

    @default("namespace")
    def _default_namespace(self) -> str:
        return os.environ.get("BUILD_NAMESPACE", "default")

    def cleanup(self) -> None:
        """Look at all build pods of the namespace once; also at those of other releases."""
        now = datetime.datetime.now(tz=datetime.UTC)
        pods = self.kube.list_namespaced_pod(namespace=self.namespace, label_selector="component=binderhub-build").items
        for pod in pods:
            phase, started = pod.status.phase, pod.status.start_time
            too_old = bool(self.max_age and started and (now - started).total_seconds() > self.max_age)
            if too_old or phase in ("Failed", "Succeeded", "Evicted"):
                app_log.info("Deleting build %s (%s)", pod.metadata.name, phase)
                _delete(self.kube, pod.metadata.name, self.namespace)
