"""The Kubernetes objects of a build, as plain dicts: its pod, and the Secret that only this pod uses.

One container fetches, one builds, one pushes, and each has only its own secrets: `fetch` the Git credential, `push` the
registry's login. `builder`, where repo2docker reads the repository, has no secret at any path and in no variable.
"""

import hashlib
import json
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import urlsplit

from binderhub_service import Json
from binderhub_service.docker_engine import DockerEngine
from binderhub_service.programs import BUILD, CONTAINERS, FETCH, FETCHED, PUSH, command, credential_helper, report_word
from binderhub_service.programs.fetch import AUTHORITIES

COMPONENT = "binderhub-build"
OWNER_LABEL = "binderhub-service/owner"
BUILD_LABEL = "binderhub-service/build"
SECRET_ANNOTATION = "binderhub-service/secret"  # noqa: S105 - a name
WORD_ANNOTATION = "binderhub-service/word"
"""From this the words of reports are made; see __init__. No container sees annotations."""
SOURCE = "/src/repository"
GIT_FILE = "/run/git-credential/credential"
AUTHORITIES_FOLDER = "/run/authorities"
HANDOVER = "/run/handover"
"""Shared by `builder` and `push`: a file says that the image is built, and a socket gives docker the login."""
LOGINS = "/run/logins"
TEMPORARY = "/tmp"  # noqa: S108 - in the containers, each of which has its own
_SHARED = ("cpu", "memory", "ephemeral-storage")
"""Resources of which the three containers share one request. A device belongs to one container."""


@dataclass(frozen=True)
class BuildSpec:
    """What to build, and how the configuration wants its pod."""

    name: str
    """BinderHub's name for the build, at most 63 characters."""
    owner: str
    """The owner label, which stands for namespace and release. No owner sees the pods of another."""
    namespace: str
    repo: str
    ref: str
    image_name: str
    repo2docker: list[str]
    """The command with its options, but without the repository and without --push and --no-push."""
    build_image: str
    start_seconds: int
    silence_seconds: int = 0
    """How long the daemon may leave a program's questions unanswered; 0 is no limit."""
    pushes: bool = True
    """Whether the image goes to a registry."""
    size_limit: int = 0
    """Bytes that the repository may take on the disk; 0 is no limit."""
    git_credentials: str = ""
    registry_credentials: Json = field(default_factory=dict)
    authorities: str = ""
    """Name of a ConfigMap whose key `authorities.crt` has certificates that `fetch` trusts; or empty."""
    http_proxy: str = ""
    """Address of the proxy through which `fetch`, and the steps of a Dockerfile, reach other hosts; or empty."""
    no_proxy: str = ""
    """Hosts and address ranges that are reached without it, with commas between them."""
    check_image: Json = field(default_factory=dict)
    """`command`, `user`, `homeDirectory` and `timeoutSeconds` of the check before the push; empty for no check."""
    push_secret: str = ""
    push_secret_key: str = "config.json"  # noqa: S105 - the name of a key
    extra_env: list[Json] = field(default_factory=list)
    resources: Json = field(default_factory=dict)
    extra_volumes: list[Json] = field(default_factory=list)
    extra_volume_mounts: list[Json] = field(default_factory=list)
    init_containers: list[Json] = field(default_factory=list)
    labels: dict[str, str] = field(default_factory=dict)
    annotations: dict[str, str] = field(default_factory=dict)
    image_pull_policy: str = ""
    pod_fields: Json = field(default_factory=dict)
    """Other fields of the pod's spec, such as tolerations and nodeSelector."""
    affinity: Json = field(default_factory=dict)


@dataclass(frozen=True)
class BuildRequest:
    """A build, and the parts of this process that it needs."""

    spec: BuildSpec
    engine: DockerEngine
    preferred_node: Callable[[], str] = lambda: ""
    """Returns the node that the pod should run on, or an empty text."""
    registry: Any = None
    """BinderHub's registry, or the administrator's own. Asked after a push. None if images stay in the daemon."""


def owner_label(namespace: str, release: str) -> str:
    """Value of the owner label for a release in a namespace."""
    return hashlib.sha256(f"{namespace}/{release}".encode()).hexdigest()[:10]


def build_name(spec: BuildSpec, engine: DockerEngine) -> str:
    """The pod's name: equal for equal release, repository, ref, image and spec, and for nothing else.

    At most 61 characters, so that further attempts can append two.
    """
    pod_spec = {**make_pod(spec, engine, "")["spec"], "affinity": None}
    text = json.dumps([spec.owner, spec.repo, spec.ref, spec.image_name, pod_spec], sort_keys=True)
    return f"{spec.name[:50].rstrip('-')}-{hashlib.sha256(text.encode()).hexdigest()[:10]}"


def make_pod(
    spec: BuildSpec,
    engine: DockerEngine,
    name: str,
    secret_name: str = "",
    secret_word: str = "",
    *,
    node: str = "",
    preferred: str = "",
) -> Json:
    """The pod. It must run on `node` and should run on `preferred`, unless they are empty.

    `secret_name` is the name of the pod's own Secret, and must be new: the Secret of an earlier pod exists until
    Kubernetes collects it. The words of the containers' reports are derived from `secret_word`.
    """
    containers = [_fetch(spec, secret_word), _build(spec, engine, secret_word)]
    volumes: list[Json] = [{"name": "source", "emptyDir": {}}, {"name": "handover", "emptyDir": {}}]
    if spec.size_limit:
        # The kubelet enforces this second limit, in case the program is too slow to enforce the first.
        volumes[0]["emptyDir"] = {"sizeLimit": str(2 * spec.size_limit)}
    volumes += [*engine.daemon_access().volumes, *spec.extra_volumes]
    if spec.git_credentials:
        volumes.append(_secret_volume("git-credential", secret_name, "git-credential", "credential"))
    if spec.authorities:
        # Optional, so that no pod hangs if it was deleted: the fetch then says what is missing.
        volumes.append({"name": "git-authorities", "configMap": {"name": spec.authorities, "optional": True}})
    if spec.pushes:
        containers.append(_push(spec, engine, secret_word))
        if spec.registry_credentials:
            volumes.append(_secret_volume("logins", secret_name, "registry-credentials", "registry-credentials"))
        elif spec.push_secret:
            volumes.append(_secret_volume("logins", spec.push_secret, spec.push_secret_key, "config.json"))
    for container in containers:
        _harden(spec, container)
        volumes.append({"name": f"tmp-{container['name']}", "emptyDir": {}})
    labels = {"name": name, "component": COMPONENT, OWNER_LABEL: spec.owner}
    annotations = {"binder-repo": spec.repo, "binder-ref": spec.ref, "binder-image": spec.image_name}
    if spec.git_credentials or spec.registry_credentials:
        annotations[SECRET_ANNOTATION] = secret_name
    if secret_word:
        annotations[WORD_ANNOTATION] = secret_word
    return {
        "apiVersion": "v1",
        "kind": "Pod",
        "metadata": {
            "name": name,
            "labels": {**spec.labels, **labels},
            "annotations": {"kubectl.kubernetes.io/default-container": BUILD, **spec.annotations, **annotations},
        },
        "spec": {
            "restartPolicy": "Never",
            "automountServiceAccountToken": False,
            "enableServiceLinks": False,
            **spec.pod_fields,
            "affinity": _affinity(spec.affinity, node, preferred),
            "initContainers": spec.init_containers,
            "containers": containers,
            "volumes": volumes,
        },
    }


def _fetch(spec: BuildSpec, secret_word: str) -> Json:
    """The container that fetches the repository. It has the credential for the repository's host."""
    own, done = report_word(secret_word, FETCH), report_word(secret_word, FETCHED)
    arguments = [own, done, SOURCE, str(spec.size_limit), *spec.repo2docker[1:], spec.repo]
    container: Json = {
        "name": FETCH,
        "args": [*command(FETCH), *arguments],
        "env": [*_proxy_variables(spec), *spec.extra_env],
        "volumeMounts": [{"name": "source", "mountPath": "/src"}, *spec.extra_volume_mounts],
        "resources": _without_requests(spec.resources),
    }
    if spec.git_credentials:
        mount = {"name": "git-credential", "mountPath": "/run/git-credential", "readOnly": True}
        container["volumeMounts"].append(mount)
        container["env"] += _git_config(spec.repo)
    if spec.authorities:
        mount = {"name": "git-authorities", "mountPath": AUTHORITIES_FOLDER, "readOnly": True}
        container["volumeMounts"].append(mount)
        container["env"].append({"name": AUTHORITIES, "value": f"{AUTHORITIES_FOLDER}/authorities.crt"})
    return container


def _build(spec: BuildSpec, engine: DockerEngine, secret_word: str) -> Json:
    """The container that runs repo2docker. It has no secrets."""
    access = engine.daemon_access()
    settings = {
        "word": report_word(secret_word, BUILD),
        "fetched": report_word(secret_word, FETCHED),
        "source": SOURCE,
        "handover": HANDOVER,
        "folder": TEMPORARY,
        "socket": access.socket,
        "timeout": spec.start_seconds,
        "silence": spec.silence_seconds,
        "helper": credential_helper() if spec.pushes else "",
        "proxy": spec.http_proxy,
        "no_proxy": spec.no_proxy,
        "image": spec.image_name,
        "check": spec.check_image,
    }
    # repo2docker sets this label itself for a repository that it fetches.
    options = [*spec.repo2docker, "--label", f"repo2docker.repo={spec.repo}", SOURCE]
    return {
        "name": BUILD,
        "args": [*command(BUILD), json.dumps(settings), *options],
        "env": [*spec.extra_env, *access.env],  # the last one counts, so no value overrides what the engine needs
        "volumeMounts": [
            {"name": "source", "mountPath": "/src", "readOnly": True},
            {"name": "handover", "mountPath": HANDOVER},
            *access.mounts,
            *spec.extra_volume_mounts,
        ],
        "resources": spec.resources,
    }


def _push(spec: BuildSpec, engine: DockerEngine, secret_word: str) -> Json:
    """The container that pushes. It has the registry's login, but not the repository."""
    access = engine.daemon_access()
    settings = {
        "word": report_word(secret_word, PUSH),
        "handover": HANDOVER,
        "socket": access.socket,
        "image": spec.image_name,
        "logins": LOGINS,
        "silence": spec.silence_seconds,
    }
    mounts: list[Json] = [{"name": "handover", "mountPath": HANDOVER}, *access.mounts, *spec.extra_volume_mounts]
    if spec.registry_credentials or spec.push_secret:
        mounts.append({"name": "logins", "mountPath": LOGINS, "readOnly": True})
    return {
        "name": PUSH,
        "args": [*command(PUSH), json.dumps(settings)],
        "env": [*spec.extra_env],
        "volumeMounts": mounts,
        "resources": _without_requests(spec.resources),
    }


def _harden(spec: BuildSpec, container: Json) -> None:
    """Add what all containers have in common. They can write only to volumes."""
    container["image"] = spec.build_image
    container["securityContext"] = {
        "allowPrivilegeEscalation": False,
        "capabilities": {"drop": ["ALL"]},
        "readOnlyRootFilesystem": True,
        "seccompProfile": {"type": "RuntimeDefault"},
    }
    if spec.image_pull_policy:
        container["imagePullPolicy"] = spec.image_pull_policy
    container["volumeMounts"].append({"name": f"tmp-{container['name']}", "mountPath": TEMPORARY})


def report_words(pod: Json) -> dict[str, str]:
    """Word of each container's report; empty for a pod of an earlier version of this chart."""
    secret_word = (pod["metadata"].get("annotations") or {}).get(WORD_ANNOTATION)
    return {container: report_word(secret_word, container) for container in CONTAINERS} if secret_word else {}


def has_push_container(pod: Json) -> bool:
    """Whether the pod has the container `push`."""
    return any(container.get("name") == PUSH for container in pod["spec"]["containers"])


def _without_requests(resources: Json) -> Json:
    """Resources of `fetch` and `push`: the same limits without requests, so that the scheduler reserves them once."""
    bounded = {kind: {name: of[name] for name in _SHARED if name in of} for kind, of in resources.items()}
    names = {name for of in bounded.values() for name in of}
    return {**bounded, "requests": dict.fromkeys(sorted(names), "0")} if names else {}


def make_secret(spec: BuildSpec, pod: Json) -> Json | None:
    """The Secret that only this build uses, deleted with its pod; None if there is nothing secret."""
    content: dict[str, str] = {}
    if spec.git_credentials:
        # Providers write the two characters \n where git expects a line break.
        content["git-credential"] = spec.git_credentials.replace("\\n", "\n").strip() + "\n"
    if spec.registry_credentials:
        content["registry-credentials"] = json.dumps(spec.registry_credentials)
    if not content:
        return None
    metadata = pod["metadata"]
    pod_reference = {"apiVersion": "v1", "kind": "Pod", "name": metadata["name"], "uid": metadata["uid"]}
    return {
        "apiVersion": "v1",
        "kind": "Secret",
        "metadata": {
            "name": metadata["annotations"][SECRET_ANNOTATION],
            "labels": {"component": COMPONENT, OWNER_LABEL: spec.owner},
            "ownerReferences": [pod_reference],
        },
        "type": "Opaque",
        "stringData": content,
    }


def is_same_build(pod: Json, spec: BuildSpec) -> bool:
    """Whether a pod with the build's name builds `spec`. Somebody may have created another pod with that name."""
    metadata = pod["metadata"]
    annotations = metadata.get("annotations") or {}
    found = [annotations.get(f"binder-{what}") for what in ("repo", "ref", "image")]
    owned = (metadata.get("labels") or {}).get(OWNER_LABEL)
    return found == [spec.repo, spec.ref, spec.image_name] and owned == spec.owner


def _secret_volume(volume: str, name: str, key: str, path: str) -> Json:
    return {"name": volume, "secret": {"secretName": name, "items": [{"key": key, "path": path}]}}


def _git_config(repo: str) -> list[Json]:
    """Variables that let git send the credential to the repository's own host, and to no other host."""
    url = urlsplit(repo)
    host = f"{url.scheme}://{url.netloc.rpartition('@')[2]}"
    # An empty helper removes those of the image, which answer any host.
    settings = {
        "credential.helper": "",
        f"credential.{host}.helper": f'!f() {{ test "$1" = get && cat {GIT_FILE}; }}; f',
    }
    env = {"GIT_CONFIG_COUNT": str(len(settings)), "GIT_TERMINAL_PROMPT": "0"}
    for number, (key, value) in enumerate(settings.items()):
        env[f"GIT_CONFIG_KEY_{number}"] = key
        env[f"GIT_CONFIG_VALUE_{number}"] = value
    return [{"name": key, "value": value} for key, value in env.items()]


def _proxy_variables(spec: BuildSpec) -> list[Json]:
    """Variables for git and Python. curl reads http_proxy only in lower case, and all others read that too."""
    if not spec.http_proxy:
        return []
    variables = {"http_proxy": spec.http_proxy, "https_proxy": spec.http_proxy, "no_proxy": spec.no_proxy}
    return [{"name": name, "value": value} for name, value in variables.items()]


def _affinity(base: Json, node: str, preferred: str) -> Json:
    """`base`, with `node` required or `preferred` preferred; without either, nodes without builds are preferred."""
    affinity: Json = json.loads(json.dumps(base))
    name = {"key": "kubernetes.io/hostname", "operator": "In", "values": [node or preferred]}
    if node:
        required = affinity.setdefault("nodeAffinity", {}).setdefault(
            "requiredDuringSchedulingIgnoredDuringExecution", {"nodeSelectorTerms": [{}]}
        )
        for term in required["nodeSelectorTerms"]:
            term.setdefault("matchExpressions", []).append(name)
    elif preferred:
        terms = affinity.setdefault("nodeAffinity", {}).setdefault(
            "preferredDuringSchedulingIgnoredDuringExecution", []
        )
        terms.append({"weight": 100, "preference": {"matchExpressions": [name]}})
    else:
        builds = {"topologyKey": "kubernetes.io/hostname", "labelSelector": {"matchLabels": {"component": COMPONENT}}}
        terms = affinity.setdefault("podAntiAffinity", {}).setdefault(
            "preferredDuringSchedulingIgnoredDuringExecution", []
        )
        terms.append({"weight": 100, "podAffinityTerm": builds})
    return affinity


def delete_options(pod: Json, *, at_once: bool) -> Json:
    """Body of a request that deletes this pod, and no other with its name. `at_once` gives it no grace period."""
    options: Json = {"preconditions": {"uid": pod["metadata"]["uid"]}}
    return {**options, "gracePeriodSeconds": 0} if at_once else options
