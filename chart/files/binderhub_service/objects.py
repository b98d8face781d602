"""The pod of a build, as a plain dict: a container fetches, one builds, one pushes, and each has its own secrets alone.

Only `fetch` has the Git credential, and only `push` has the registry's login. `builder`, where repo2docker reads the
repository, has no secret at any path and in no variable.
"""

import hashlib
import json
from dataclasses import dataclass, field
from urllib.parse import urlsplit

from binderhub_service import Json
from binderhub_service.docker_engine import DockerEngine
from binderhub_service.programs import BUILD, CONTAINERS, FETCH, FETCHED, PUSH, command, credential_helper, word
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
"""What `builder` and `push` share: that the image is built, and a socket that answers docker's questions for logins."""
LOGINS = "/run/logins"
TEMPORARY = "/tmp"  # noqa: S108 - in the containers, each of which has its own
_SHARED = ("cpu", "memory", "ephemeral-storage")
"""Resources that may be requested without being limited to that; a device is a container's own."""


@dataclass(frozen=True)
class BuildSpec:
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
    pod_fields: Json = field(default_factory=dict)
    """Further fields of the pod's spec: tolerations, nodeSelector, deadline and the like."""
    affinity: Json = field(default_factory=dict)


def owner(namespace: str, release: str) -> str:
    """A label's value for one release of one namespace."""
    return hashlib.sha256(f"{namespace}/{release}".encode()).hexdigest()[:10]


def build_name(spec: BuildSpec, engine: DockerEngine) -> str:
    """The pod's name: the same for the same release, repository, ref, image and spec, and for nothing else.

    At most 61 characters, so that an attempt can be told apart by two more.
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
    """The pod. `node` is the only one it may run on, `preferred` the one that it should, if they are not empty.

    `secret_name` is that of this build's own Secret. No earlier pod's Secret may have it: that stays after its pod,
    until Kubernetes collects it. From `secret_word` the words of the containers' reports are made.
    """
    containers = [_fetch(spec, secret_word), _build(spec, engine, secret_word)]
    volumes: list[Json] = [{"name": "source", "emptyDir": {}}, {"name": "handover", "emptyDir": {}}]
    if spec.size_limit:
        # The kubelet's own bound stands behind that of the program: a program can be too slow.
        volumes[0]["emptyDir"] = {"sizeLimit": str(2 * spec.size_limit)}
    volumes += [*engine.daemon_access().volumes, *spec.extra_volumes]
    if spec.git_credentials:
        volumes.append(_secret_volume("git-credential", secret_name, "git-credential", "credential"))
    if spec.authorities:
        # Optional: where it was taken away meanwhile, the fetch says what is missing, and no pod hangs.
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
    """The container that fetches the repository, with the credential of its host alone."""
    own, done = word(secret_word, FETCH), word(secret_word, FETCHED)
    arguments = [own, done, SOURCE, str(spec.size_limit), *spec.repo2docker[1:], spec.repo]
    container: Json = {
        "name": FETCH,
        "args": [*command(FETCH), *arguments],
        "env": [*spec.extra_env],
        "volumeMounts": [{"name": "source", "mountPath": "/src"}, *spec.extra_mounts],
        "resources": _before(spec.resources),
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
    """The container that runs repo2docker, without secrets."""
    access = engine.daemon_access()
    settings = {
        "word": word(secret_word, BUILD),
        "fetched": word(secret_word, FETCHED),
        "source": SOURCE,
        "handover": HANDOVER,
        "folder": TEMPORARY,
        "socket": access.socket,
        "patience": spec.start_seconds,
        "helper": credential_helper() if spec.pushes else "",
    }
    # The label keeps the URL that repo2docker would write for a repository that it fetched itself.
    options = [*spec.repo2docker, "--label", f"repo2docker.repo={spec.repo}", SOURCE]
    return {
        "name": BUILD,
        "args": [*command(BUILD), json.dumps(settings), *options],
        "env": [*spec.extra_env, *access.env],  # the last counts: what the engine needs, no value takes away
        "volumeMounts": [
            {"name": "source", "mountPath": "/src", "readOnly": True},
            {"name": "handover", "mountPath": HANDOVER},
            *access.mounts,
            *spec.extra_mounts,
        ],
        "resources": spec.resources,
    }


def _push(spec: BuildSpec, engine: DockerEngine, secret_word: str) -> Json:
    """The container that pushes, with the registry's login, and without the repository."""
    access = engine.daemon_access()
    settings = {
        "word": word(secret_word, PUSH),
        "handover": HANDOVER,
        "socket": access.socket,
        "image": spec.image_name,
        "logins": LOGINS,
    }
    mounts: list[Json] = [{"name": "handover", "mountPath": HANDOVER}, *access.mounts, *spec.extra_mounts]
    if spec.registry_credentials or spec.push_secret:
        mounts.append({"name": "logins", "mountPath": LOGINS, "readOnly": True})
    return {
        "name": PUSH,
        "args": [*command(PUSH), json.dumps(settings)],
        "env": [*spec.extra_env],
        "volumeMounts": mounts,
        "resources": _before(spec.resources),
    }


def _harden(spec: BuildSpec, container: Json) -> None:
    """What all containers have in common. They write to volumes alone."""
    container["image"] = spec.build_image
    container["securityContext"] = {
        "allowPrivilegeEscalation": False,
        "capabilities": {"drop": ["ALL"]},
        "readOnlyRootFilesystem": True,
        "seccompProfile": {"type": "RuntimeDefault"},
    }
    if spec.pull_policy:
        container["imagePullPolicy"] = spec.pull_policy
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


def make_secret(spec: BuildSpec, pod: Json) -> Json | None:
    """The Secret of what this build alone may use, deleted with its pod; None where there is nothing to hide."""
    content: dict[str, str] = {}
    if spec.git_credentials:
        # Providers write the two characters \n where git wants a line's end.
        content["git-credential"] = spec.git_credentials.replace("\\n", "\n").strip() + "\n"
    if spec.registry_credentials:
        content["registry-credentials"] = json.dumps(spec.registry_credentials)
    if not content:
        return None
    metadata = pod["metadata"]
    belongs = {"apiVersion": "v1", "kind": "Pod", "name": metadata["name"], "uid": metadata["uid"]}
    return {
        "apiVersion": "v1",
        "kind": "Secret",
        "metadata": {
            "name": metadata["annotations"][SECRET_ANNOTATION],
            "labels": {"component": COMPONENT, OWNER_LABEL: spec.owner},
            "ownerReferences": [belongs],
        },
        "type": "Opaque",
        "stringData": content,
    }


def is_same_build(pod: Json, spec: BuildSpec) -> bool:
    """Whether `pod`, which has the right name, builds what is wanted. A name can be taken by hand."""
    metadata = pod["metadata"]
    annotations = metadata.get("annotations") or {}
    told = [annotations.get(f"binder-{what}") for what in ("repo", "ref", "image")]
    owned = (metadata.get("labels") or {}).get(OWNER_LABEL)
    return told == [spec.repo, spec.ref, spec.image_name] and owned == spec.owner


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
