"""The pod of a build, as a plain dict: a container fetches, one builds, one pushes, and each has its own secrets alone.

Only `fetch` has the Git credential, and only `push` has the registry's login. `builder`, where repo2docker reads the
repository, has no secret at any path and in no variable.
"""

import hashlib
import json
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import urlsplit

from bhs_engine import Engine
from bhs_program_fetch import AUTHORITIES
from bhs_programs import BUILD, CONTAINERS, FETCH, FETCHED, PUSH, command, credential_helper, word

Json = dict[str, Any]

COMPONENT = "binderhub-build"
OWNER_LABEL = "binderhub-service/owner"
BUILD_LABEL = "binderhub-service/build"
SECRET_ANNOTATION = "binderhub-service/secret"  # noqa: S105 - a name
WORD_ANNOTATION = "binderhub-service/word"
"""From this the words of reports are made; see bhs_programs. No container sees annotations."""
SOURCE = "/src/repository"
GIT_FILE = "/run/git-credential/credential"
AUTHORITIES_FOLDER = "/run/authorities"
HANDOVER = "/run/handover"
"""What `builder` and `push` share: that the image is built, and a socket that answers docker's questions for logins."""
LOGINS = "/run/logins"
TEMPORARY = "/tmp"  # noqa: S108 - in the containers, each of which has its own
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
    """The command with its options, without the repository and without what says whether to push."""
    build_image: str
    start_seconds: int
    pushes: bool = True
    """Whether the image goes to a registry."""
    size_limit: int = 0
    """Bytes that the repository may have on the disk; 0 is without bound."""
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
    wanted: Wanted,
    engine: Engine,
    name: str,
    secret_name: str = "",
    secret_word: str = "",
    *,
    node: str = "",
    preferred: str = "",
) -> Json:
    """The pod. `node` is the only one it may run on, `preferred` the one that it should, if they are not empty.

    `secret_name` is that of this build's own Secret. No earlier pod's Secret may have it: that stays after its pod,
    until Kubernetes collects it. From `secret_word` the words of the containers' reports are made.
    """
    containers = [_fetch(wanted, secret_word), _build(wanted, engine, secret_word)]
    volumes: list[Json] = [{"name": "source", "emptyDir": {}}, {"name": "handover", "emptyDir": {}}]
    if wanted.size_limit:
        # The kubelet's own bound stands behind that of the program: a program can be too slow.
        volumes[0]["emptyDir"] = {"sizeLimit": str(2 * wanted.size_limit)}
    volumes += [*engine.parts().volumes, *wanted.extra_volumes]
    if wanted.git_credentials:
        volumes.append(_secret_volume("git-credential", secret_name, "git-credential", "credential"))
    if wanted.authorities:
        # Optional: where it was taken away meanwhile, the fetch says what is missing, and no pod hangs.
        volumes.append({"name": "git-authorities", "configMap": {"name": wanted.authorities, "optional": True}})
    if wanted.pushes:
        containers.append(_push(wanted, engine, secret_word))
        if wanted.registry_credentials:
            volumes.append(_secret_volume("logins", secret_name, "registry-credentials", "registry-credentials"))
        elif wanted.push_secret:
            volumes.append(_secret_volume("logins", wanted.push_secret, wanted.push_secret_key, "config.json"))
    for container in containers:
        _harden(wanted, container)
        volumes.append({"name": f"tmp-{container['name']}", "emptyDir": {}})
    labels = {"name": name, "component": COMPONENT, OWNER_LABEL: wanted.owner}
    annotations = {"binder-repo": wanted.repo, "binder-ref": wanted.ref, "binder-image": wanted.image_name}
    if wanted.git_credentials or wanted.registry_credentials:
        annotations[SECRET_ANNOTATION] = secret_name
    if secret_word:
        annotations[WORD_ANNOTATION] = secret_word
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
            "enableServiceLinks": False,
            **wanted.spec,
            "affinity": _affinity(wanted.affinity, node, preferred),
            "initContainers": wanted.init_containers,
            "containers": containers,
            "volumes": volumes,
        },
    }


def _fetch(wanted: Wanted, secret_word: str) -> Json:
    """The container that fetches the repository, with the credential of its host alone."""
    own, done = word(secret_word, FETCH), word(secret_word, FETCHED)
    arguments = [own, done, SOURCE, str(wanted.size_limit), *wanted.repo2docker[1:], wanted.repo]
    container: Json = {
        "name": FETCH,
        "args": [*command(FETCH), *arguments],
        "env": [*wanted.extra_env],
        "volumeMounts": [{"name": "source", "mountPath": "/src"}, *wanted.extra_mounts],
        "resources": _before(wanted.resources),
    }
    if wanted.git_credentials:
        mount = {"name": "git-credential", "mountPath": "/run/git-credential", "readOnly": True}
        container["volumeMounts"].append(mount)
        container["env"] += _git_config(wanted.repo)
    if wanted.authorities:
        mount = {"name": "git-authorities", "mountPath": AUTHORITIES_FOLDER, "readOnly": True}
        container["volumeMounts"].append(mount)
        container["env"].append({"name": AUTHORITIES, "value": f"{AUTHORITIES_FOLDER}/authorities.crt"})
    return container


def _build(wanted: Wanted, engine: Engine, secret_word: str) -> Json:
    """The container that runs repo2docker, without secrets."""
    parts = engine.parts()
    settings = {
        "word": word(secret_word, BUILD),
        "fetched": word(secret_word, FETCHED),
        "source": SOURCE,
        "handover": HANDOVER,
        "folder": TEMPORARY,
        "socket": parts.socket,
        "patience": wanted.start_seconds,
        "helper": credential_helper() if wanted.pushes else "",
    }
    # The label keeps the URL that repo2docker would write for a repository that it fetched itself.
    options = [*wanted.repo2docker, "--label", f"repo2docker.repo={wanted.repo}", SOURCE]
    return {
        "name": BUILD,
        "args": [*command(BUILD), json.dumps(settings), *options],
        "env": [*wanted.extra_env, *parts.env],  # the last counts: what the engine needs, no value takes away
        "volumeMounts": [
            {"name": "source", "mountPath": "/src", "readOnly": True},
            {"name": "handover", "mountPath": HANDOVER},
            *parts.mounts,
            *wanted.extra_mounts,
        ],
        "resources": wanted.resources,
    }


def _push(wanted: Wanted, engine: Engine, secret_word: str) -> Json:
    """The container that pushes, with the registry's login, and without the repository."""
    parts = engine.parts()
    settings = {
        "word": word(secret_word, PUSH),
        "handover": HANDOVER,
        "socket": parts.socket,
        "image": wanted.image_name,
        "logins": LOGINS,
    }
    mounts: list[Json] = [{"name": "handover", "mountPath": HANDOVER}, *parts.mounts, *wanted.extra_mounts]
    if wanted.registry_credentials or wanted.push_secret:
        mounts.append({"name": "logins", "mountPath": LOGINS, "readOnly": True})
    return {
        "name": PUSH,
        "args": [*command(PUSH), json.dumps(settings)],
        "env": [*wanted.extra_env],
        "volumeMounts": mounts,
        "resources": _before(wanted.resources),
    }


def _harden(wanted: Wanted, container: Json) -> None:
    """What all containers have in common. They write to volumes alone."""
    container["image"] = wanted.build_image
    container["securityContext"] = {
        "allowPrivilegeEscalation": False,
        "capabilities": {"drop": ["ALL"]},
        "readOnlyRootFilesystem": True,
        "seccompProfile": {"type": "RuntimeDefault"},
    }
    if wanted.pull_policy:
        container["imagePullPolicy"] = wanted.pull_policy
    container["volumeMounts"].append({"name": f"tmp-{container['name']}", "mountPath": TEMPORARY})


def words(pod: Json) -> dict[str, str]:
    """The word of each container's report. None is a word where the pod does not have one."""
    secret_word = (pod["metadata"].get("annotations") or {}).get(WORD_ANNOTATION)
    return {container: word(secret_word, container) for container in CONTAINERS} if secret_word else {}


def pushes(pod: Json) -> bool:
    """Whether the pod has a container that pushes."""
    return any(container.get("name") == PUSH for container in pod["spec"]["containers"])


def _before(resources: Json) -> Json:
    """Resources of a container that does not run at the same time: limited, but not reserved a second time."""
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
