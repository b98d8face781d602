"""The pod of a build, as a plain dict: one container fetches, another builds, and each has only its own secrets."""

import hashlib
import json
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import urlsplit

from bhs_engine import Engine
from bhs_programs import ANSWERS, AUTHORITIES, BUILD_PROGRAM, FETCH_PROGRAM

Json = dict[str, Any]

COMPONENT = "binderhub-build"
OWNER_LABEL = "binderhub-service/owner"
BUILD_LABEL = "binderhub-service/build"
SECRET_ANNOTATION = "binderhub-service/secret"  # noqa: S105 - a name
FETCH, BUILD = "fetch", "builder"
SOURCE = "/src/repository"
GIT_FILE = "/run/git-credential/credential"
AUTHORITIES_FOLDER = "/run/authorities"
_SHARED = ("cpu", "memory", "ephemeral-storage")
"""Resources that may be requested without being limited to that; a device is a container's own."""


@dataclass(frozen=True)
class Wanted:
    """What one request wants built, and what the configuration says of its pod."""

    name: str
    """BinderHub's name for it, at most 63 characters."""
    owner: str
    """Stands for namespace and release; two owners never see each other's pods."""
    namespace: str
    repo: str
    ref: str
    image_name: str
    repo2docker: list[str]
    """The command with its options, without the repository."""
    build_image: str
    start_seconds: int
    git_credentials: str = ""
    registry_credentials: Json = field(default_factory=dict)
    authorities: str = ""
    """The name of a ConfigMap whose key `authorities.crt` has certificates that fetching trusts, or nothing."""
    push_secret: str = ""
    push_secret_key: str = "config.json"  # noqa: S105 - the name of a key
    extra_env: list[Json] = field(default_factory=list)
    resources: Json = field(default_factory=dict)
    extra_volumes: list[Json] = field(default_factory=list)
    extra_mounts: list[Json] = field(default_factory=list)
    init_containers: list[Json] = field(default_factory=list)
    labels: dict[str, str] = field(default_factory=dict)
    annotations: dict[str, str] = field(default_factory=dict)
    pull_policy: str = ""
    spec: Json = field(default_factory=dict)
    """Further fields of the pod's spec: tolerations, nodeSelector, deadline and the like."""
    affinity: Json = field(default_factory=dict)


def owner(namespace: str, release: str) -> str:
    """A label's value for one release of one namespace."""
    return hashlib.sha256(f"{namespace}/{release}".encode()).hexdigest()[:10]


def lock_name(wanted: Wanted, engine: Engine) -> str:
    """The pod's name: the same for the same release, repository, ref, image and spec, and for nothing else.

    At most 61 characters, so that an attempt can be told apart by two more.
    """
    spec = {**manifest(wanted, engine, "")["spec"], "affinity": None}
    text = json.dumps([wanted.owner, wanted.repo, wanted.ref, wanted.image_name, spec], sort_keys=True)
    return f"{wanted.name[:50].rstrip('-')}-{hashlib.sha256(text.encode()).hexdigest()[:10]}"


def manifest(
    wanted: Wanted, engine: Engine, name: str, secret_name: str = "", *, node: str = "", preferred: str = ""
) -> Json:
    """The pod. `node` is the only one it may run on, `preferred` the one that it should, if they are not empty.

    `secret_name` is that of this build's own Secret. No earlier pod's Secret may have it: that stays after its pod,
    until Kubernetes collects it.
    """
    # The label keeps the URL that repo2docker would write for a repository that it fetched itself.
    options = [*wanted.repo2docker[1:], "--label", f"repo2docker.repo={wanted.repo}"]
    parts = engine.parts(ANSWERS, wanted.start_seconds)
    source = {"name": "source", "mountPath": "/src"}
    volumes: list[Json] = [{"name": "source", "emptyDir": {}}, *parts.volumes, *wanted.extra_volumes]
    fetch: Json = {
        "name": FETCH,
        "args": ["python3", "-c", FETCH_PROGRAM, SOURCE, *wanted.repo2docker[1:], wanted.repo],
        "env": [*wanted.extra_env],
        "volumeMounts": [source, *wanted.extra_mounts],
    }
    build: Json = {
        "name": BUILD,
        "args": [
            "python3",
            "-c",
            BUILD_PROGRAM,
            json.dumps(parts.command),
            SOURCE,
            wanted.repo2docker[0],
            *options,
            SOURCE,
        ],
        "env": [*parts.env, *wanted.extra_env],
        "volumeMounts": [source, *parts.mounts, *wanted.extra_mounts],
    }
    if wanted.git_credentials:
        volumes.append(_secret_volume("git-credential", secret_name, "git-credential", "credential"))
        fetch["volumeMounts"].append({"name": "git-credential", "mountPath": "/run/git-credential", "readOnly": True})
        fetch["env"] += _git_config(wanted.repo)
    if wanted.authorities:
        # Optional: where it was taken away meanwhile, the fetch says what is missing, and no pod hangs.
        authorities = {"name": wanted.authorities, "optional": True}
        volumes.append({"name": "git-authorities", "configMap": authorities})
        fetch["volumeMounts"].append({"name": "git-authorities", "mountPath": AUTHORITIES_FOLDER, "readOnly": True})
        fetch["env"].append({"name": AUTHORITIES, "value": f"{AUTHORITIES_FOLDER}/authorities.crt"})
    if wanted.registry_credentials:
        login = {"secretKeyRef": {"name": secret_name, "key": "registry-credentials"}}
        build["env"].append({"name": "CONTAINER_ENGINE_REGISTRY_CREDENTIALS", "valueFrom": login})
    elif wanted.push_secret:
        volumes.append(_secret_volume("docker-config", wanted.push_secret, wanted.push_secret_key, "config.json"))
        config = {"name": "docker-config", "mountPath": "/root/.docker/config.json", "subPath": "config.json"}
        build["volumeMounts"].append(config)
    for container in (fetch, build):
        container["image"] = wanted.build_image
        container["securityContext"] = {"allowPrivilegeEscalation": False}
        if wanted.pull_policy:
            container["imagePullPolicy"] = wanted.pull_policy
    fetch["resources"], build["resources"] = _before(wanted.resources), wanted.resources
    labels = {"name": name, "component": COMPONENT, OWNER_LABEL: wanted.owner}
    annotations = {"binder-repo": wanted.repo, "binder-ref": wanted.ref, "binder-image": wanted.image_name}
    if wanted.git_credentials or wanted.registry_credentials:
        annotations[SECRET_ANNOTATION] = secret_name
    return {
        "apiVersion": "v1",
        "kind": "Pod",
        "metadata": {
            "name": name,
            "labels": {**wanted.labels, **labels},
            "annotations": {"kubectl.kubernetes.io/default-container": BUILD, **wanted.annotations, **annotations},
        },
        "spec": {
            "restartPolicy": "Never",
            "automountServiceAccountToken": False,
            **wanted.spec,
            "affinity": _affinity(wanted.affinity, node, preferred),
            "initContainers": wanted.init_containers,
            "containers": [fetch, build],
            "volumes": volumes,
        },
    }


def _before(resources: Json) -> Json:
    """Resources of a container that is done when the one with `resources` begins: the node shall not count both."""
    bounded = {kind: {name: of[name] for name in _SHARED if name in of} for kind, of in resources.items()}
    names = {name for of in bounded.values() for name in of}
    return {**bounded, "requests": dict.fromkeys(sorted(names), "0")} if names else {}


def secret(wanted: Wanted, pod: Json) -> Json | None:
    """The Secret of what this build alone may use, deleted with its pod; None where there is nothing to hide."""
    content: dict[str, str] = {}
    if wanted.git_credentials:
        # Providers write the two characters \n where git wants a line's end.
        content["git-credential"] = wanted.git_credentials.replace("\\n", "\n").strip() + "\n"
    if wanted.registry_credentials:
        content["registry-credentials"] = json.dumps(wanted.registry_credentials)
    if not content:
        return None
    metadata = pod["metadata"]
    belongs = {"apiVersion": "v1", "kind": "Pod", "name": metadata["name"], "uid": metadata["uid"]}
    return {
        "apiVersion": "v1",
        "kind": "Secret",
        "metadata": {
            "name": metadata["annotations"][SECRET_ANNOTATION],
            "labels": {"component": COMPONENT, OWNER_LABEL: wanted.owner},
            "ownerReferences": [belongs],
        },
        "type": "Opaque",
        "stringData": content,
    }


def same_build(pod: Json, wanted: Wanted) -> bool:
    """Whether `pod`, which has the right name, builds what is wanted. A name can be taken by hand."""
    metadata = pod["metadata"]
    annotations = metadata.get("annotations") or {}
    told = [annotations.get(f"binder-{what}") for what in ("repo", "ref", "image")]
    owned = (metadata.get("labels") or {}).get(OWNER_LABEL)
    return told == [wanted.repo, wanted.ref, wanted.image_name] and owned == wanted.owner


def _secret_volume(volume: str, name: str, key: str, path: str) -> Json:
    return {"name": volume, "secret": {"secretName": name, "items": [{"key": key, "path": path}]}}


def _git_config(repo: str) -> list[Json]:
    """Environment that lets git give the credential to the repository's own host, and to no other that asks."""
    url = urlsplit(repo)
    host = f"{url.scheme}://{url.netloc.rpartition('@')[2]}"
    # An empty helper takes out those of the image, which answer any host.
    settings = {
        "credential.helper": "",
        f"credential.{host}.helper": f'!f() {{ test "$1" = get && cat {GIT_FILE}; }}; f',
    }
    env = {"GIT_CONFIG_COUNT": str(len(settings)), "GIT_TERMINAL_PROMPT": "0"}
    for number, (key, value) in enumerate(settings.items()):
        env[f"GIT_CONFIG_KEY_{number}"] = key
        env[f"GIT_CONFIG_VALUE_{number}"] = value
    return [{"name": key, "value": value} for key, value in env.items()]


def _affinity(base: Json, node: str, preferred: str) -> Json:
    """`base` with one node more: required, or preferred; without either, away from other builds."""
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
