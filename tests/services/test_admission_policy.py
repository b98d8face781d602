"""What a real API server lets BinderHub's own service account make where `admissionPolicy.enabled` is true."""

import copy
import dataclasses
import json
import secrets
import urllib.error
from collections.abc import Callable, Iterator
from typing import Any

import pytest
from binderhub_service.docker_engine import DockerEngine
from binderhub_service.manifests import SECRET_ANNOTATION, BuildSpec, build_name, make_pod, make_secret, owner_label
from binderhub_service.programs import BUILD
from chart_values.rendering import ANONYMOUS, Chart, Objects
from local_cluster import go_tools
from support.api_server import ApiServer, Namespace
from support.binderhub import until

pytestmark = pytest.mark.together

ACCOUNT = "binderhub"
IMAGE = "quay.io/r2d:1"
LOGIN = {"registry": "r", "username": "u", "password": "p"}
CLAIM: dict[str, Any] = {"accessModes": ["ReadWriteOnce"], "resources": {"requests": {"storage": "1024Mi"}}}
VALUES: dict[str, Any] = {
    "admissionPolicy": {"enabled": True},
    "config": {"KubernetesBuildExecutor": {"build_image": IMAGE}},
    "buildPods": {
        "serviceAccountName": "builder",
        "imagePullSecrets": ["pull"],
        "priorityClassName": "builds",
        "extraEnv": [
            {"name": "PLAIN", "value": "a"},
            {"name": "KEY", "valueFrom": {"secretKeyRef": {"name": "of-env", "key": "k"}}},
        ],
        "extraVolumes": [
            {"name": "in-secret", "secret": {"secretName": "of-volumes", "items": [{"key": "a.b", "path": "c"}]}},
            {"name": "on-node", "hostPath": {"path": "/srv/mirror"}},
            {"name": "of-driver", "csi": {"driver": "d.example.org", "volumeAttributes": {"a.b/c": "d", "e": "1"}}},
            {"name": "of-server", "nfs": {"server": "nfs.example.org", "path": "/data", "readOnly": False}},
            {"name": "of-claim", "ephemeral": {"volumeClaimTemplate": {"spec": CLAIM}}},
            {"name": "of-nothing"},
        ],
        "extraVolumeMounts": [
            {"name": "on-node", "mountPath": "/mirror", "readOnly": True},
            {"name": "of-driver", "mountPath": "/driver", "subPath": "a", "readOnly": False},
        ],
        "initContainers": [
            {
                "name": "first",
                "image": "quay.io/first:1",
                "envFrom": [{"secretRef": {"name": "of-first"}}],
                "volumeMounts": [{"name": "in-secret", "mountPath": "/secret"}],
                "securityContext": {"allowPrivilegeEscalation": False},
            }
        ],
    },
}
SPEC: dict[str, Any] = {
    "serviceAccountName": "builder",
    "imagePullSecrets": [{"name": "pull"}],
    "priorityClassName": "builds",
    "activeDeadlineSeconds": 60,
}
PRIORITIES = "/apis/scheduling.k8s.io/v1/priorityclasses"

Json = dict[str, Any]


@dataclasses.dataclass(frozen=True)
class Builds:
    """The namespace of builds, with a release whose policies hold there, and BinderHub's own token."""

    namespace: Namespace
    binderhub: ApiServer
    objects: Objects

    def wanted(self, **changes: Any) -> BuildSpec:
        """A build as the values have it."""
        build = VALUES["buildPods"]
        given = BuildSpec(
            name="build-https-3a-2f-2fgit-2eexample-2fproject-abcdef-1",
            owner=owner_label("binderhub-of-" + self.namespace.name, "rel"),
            namespace=self.namespace.name,
            repo="https://git.example/project",
            ref="1" * 40,
            image_name="r.example/i:1",
            repo2docker=["jupyter-repo2docker", "--push"],
            build_image=IMAGE,
            start_seconds=10,
            push_secret="build-pods-docker-config",  # noqa: S106 - the name of a Secret
            extra_env=build["extraEnv"],
            extra_volumes=build["extraVolumes"],
            extra_volume_mounts=build["extraVolumeMounts"],
            init_containers=build["initContainers"],
            labels={"team": "a"},
            pod_fields=SPEC,
        )
        return dataclasses.replace(given, **changes)

    def pod(self, **changes: Any) -> Json:
        """The pod that the executor makes of it, and which has a Secret of its own."""
        wanted = self.wanted(git_credentials="t0ken", **changes)
        (container,) = self.objects.one("Deployment", "binderhub")["spec"]["template"]["spec"]["containers"]
        (socket,) = (entry["value"] for entry in container["env"] if entry["name"] == "DOCKER_API_SOCKET")
        engine = DockerEngine(socket, True)
        name = build_name(wanted, engine)
        return make_pod(wanted, engine, name, f"{name}-{secrets.token_hex(4)}")

    def make_secret(self, pod: Json | None = None) -> Json:
        """The Secret that the executor makes for a pod, or for one of that name."""
        of = pod or copy.deepcopy(self.pod())
        of["metadata"].setdefault("uid", "00000000-0000-0000-0000-000000000000")
        made = make_secret(self.wanted(git_credentials="t0ken"), of)
        assert made
        return made

    def make(self, kind: str, body: Json, *, namespace: str = "", dry: bool = True) -> Json:
        """Make it with BinderHub's token."""
        path = f"/api/v1/namespaces/{namespace or self.namespace.name}/{kind}"
        return self.binderhub.request("POST", path + ("?dryRun=All" if dry else ""), body)

    def refusal(self, kind: str, body: Json, **where: Any) -> str:
        """What the API server says against it; nothing where it is made."""
        try:
            self.make(kind, body, **where)
        except urllib.error.HTTPError as refused:
            if refused.code != 422:  # what admission policies answer with
                raise
            return str(json.loads(refused.read())["message"])
        return ""


@pytest.fixture(scope="module")
def builds(server: ApiServer) -> Iterator[Builds]:
    namespace = server.namespace(f"builds-{secrets.token_hex(4)}")
    of_binderhub = server.namespace("binderhub-of-" + namespace.name)
    server.request("POST", of_binderhub.path("serviceaccounts"), {"metadata": {"name": ACCOUNT}})
    token = server.request("POST", of_binderhub.path("serviceaccounts", f"{ACCOUNT}/token"), {"spec": {}})
    values = {**VALUES, "buildPods": {**VALUES["buildPods"], "namespace": namespace.name}}
    chart = Chart(go_tools.folder() / "helm", first=(ANONYMOUS,))
    found = Builds(
        namespace,
        dataclasses.replace(server, token=token["status"]["token"]),
        chart.render(values, namespace=of_binderhub.name),
    )
    server.request("POST", PRIORITIES, {"metadata": {"name": "builds"}, "value": 1})
    made = [f"{PRIORITIES}/builds"]
    for one in found.objects:
        if one["kind"].startswith("ValidatingAdmissionPolicy"):
            kind = (
                "validatingadmissionpolicies" if one["kind"].endswith("Policy") else "validatingadmissionpolicybindings"
            )
            path = f"/apis/admissionregistration.k8s.io/v1/{kind}"
            server.request("POST", path, one)
            made.append(f"{path}/{one['metadata']['name']}")
    assert len(made) == 5
    nobodys = {"metadata": {"name": "other"}, "type": "Opaque"}
    until(lambda: found.refusal("secrets", nobodys), "the policy of Secrets to hold")
    stranger = {"metadata": {"name": "other"}, "spec": {"containers": [{"name": "a", "image": "b"}]}}
    until(lambda: found.refusal("pods", stranger), "the policy of pods to hold")
    yield found
    for path in made:
        server.request("DELETE", path)


def test_the_executors_pods_and_their_secrets_are_made(builds: Builds) -> None:
    pod = builds.pod()
    made = builds.make("pods", pod, dry=False)
    assert made["spec"]["containers"][0]["name"] == pod["spec"]["containers"][0]["name"]
    assert builds.make("secrets", builds.make_secret(made), dry=False)["type"] == "Opaque"


@pytest.mark.parametrize(
    "changes",
    [
        {"registry_credentials": LOGIN},
        {"authorities": "build-pods-authorities"},
        {"push_secret": ""},
        {
            "pod_fields": {"priorityClassName": "builds"},
            "extra_env": [],
            "extra_volumes": [],
            "extra_volume_mounts": [],
            "init_containers": [],
        },
    ],
    ids=["login of this build", "authorities", "no push", "no extras"],
)
def test_a_pod_of_other_settings_is_made(builds: Builds, changes: Json) -> None:
    assert builds.refusal("pods", builds.pod(**changes)) == ""


def test_the_pod_of_a_later_attempt_is_made(builds: Builds) -> None:
    pod = copy.deepcopy(builds.pod())
    name = pod["metadata"]["name"]
    pod["metadata"]["name"] = f"{name}-9"
    (mine,) = (one["secret"] for one in pod["spec"]["volumes"] if one["name"] == "git-credential")
    mine["secretName"] = pod["metadata"]["annotations"][SECRET_ANNOTATION] = f"{name}-9-0123abcd"
    assert builds.refusal("pods", pod) == ""
    assert builds.refusal("secrets", builds.make_secret(pod)) == ""


def test_hardened_containers_are_made(builds: Builds) -> None:
    pod = builds.pod(ref="3" * 40)
    for container in (*pod["spec"]["initContainers"], *pod["spec"]["containers"]):
        container["securityContext"] = {
            "allowPrivilegeEscalation": False,
            "capabilities": {"drop": ["ALL"]},
            "readOnlyRootFilesystem": True,
            "runAsNonRoot": True,
            "seccompProfile": {"type": "RuntimeDefault"},
            "appArmorProfile": {"type": "RuntimeDefault"},
        }
    assert builds.refusal("pods", pod) == ""


def test_others_are_not_bound_by_the_policy(builds: Builds, server: ApiServer) -> None:
    administrator = dataclasses.replace(builds, binderhub=server)
    assert administrator.refusal("pods", {**builds.pod(), "metadata": {"name": "other"}}) == ""


def volume(**source: Any) -> Callable[[Json], None]:
    """Mount a volume into the builder."""

    def add(pod: Json) -> None:
        pod["spec"]["volumes"].append({"name": "evil", **source})
        pod["spec"]["containers"][-1]["volumeMounts"].append({"name": "evil", "mountPath": "/evil"})

    return add


def container(**changes: Any) -> Callable[[Json], None]:
    """Change the builder."""
    return lambda pod: pod["spec"]["containers"][-1].update(changes)


def security(**changes: Any) -> Callable[[Json], None]:
    """Change the builder's security context."""
    return lambda pod: pod["spec"]["containers"][-1]["securityContext"].update(changes)


def init(**changes: Any) -> Callable[[Json], None]:
    """Change the init container."""
    return lambda pod: pod["spec"]["initContainers"][0].update(changes)


def spec(**changes: Any) -> Callable[[Json], None]:
    """Change the pod's spec; what is None counts as left out."""
    return lambda pod: pod["spec"].update(changes)


def label(name: str, value: str | None) -> Callable[[Json], None]:
    """Give a label another value, or take it away."""

    def change(pod: Json) -> None:
        del pod["metadata"]["labels"][name]
        if value is not None:
            pod["metadata"]["labels"][name] = value

    return change


def replaced(name: str, **source: Any) -> Callable[[Json], None]:
    """Give a volume of the values another source."""

    def change(pod: Json) -> None:
        (found,) = (one for one in pod["spec"]["volumes"] if one["name"] == name)
        found.clear()
        found.update(name=name, **source)

    return change


def mounted(name: str, **changes: Any) -> Callable[[Json], None]:
    """Change how the builder mounts a volume."""

    def change(pod: Json) -> None:
        (builder,) = (one for one in pod["spec"]["containers"] if one["name"] == BUILD)
        (mount,) = (one for one in builder["volumeMounts"] if one["name"] == name)
        mount.update(changes)

    return change


def own_secret(form: str) -> Callable[[Json], None]:
    """Mount a Secret whose name has the pod's in it."""

    def change(pod: Json) -> None:
        volume(secret={"secretName": form.format(pod["metadata"]["name"])})(pod)

    return change


def variable(name: str, key: str = "k") -> Callable[[Json], None]:
    """A variable from a Secret."""
    entry = {"name": "A", "valueFrom": {"secretKeyRef": {"name": name, "key": key}}}
    return lambda pod: pod["spec"]["containers"][0]["env"].append(entry)


PRIVILEGES = "those of buildPods.initContainers too, have allowPrivilegeEscalation: false"
CAPABILITIES = "drop all capabilities"
INIT = "Init containers of a build pod are those in buildPods.initContainers"
CONFINED = "have the seccomp profile RuntimeDefault"
PRIORITY = "The priority class of a build pod is buildPods.priorityClassName"
PROBES = "have no probes and no hooks"
NAME = 'The name of a build pod is "build-'
MOUNTS = "are mounted as buildPods.extraVolumeMounts and buildPods.initContainers say"
VOLUMES = "Volumes of a build pod are"
VARIABLES = "Variables of a build pod come from"
LABELS = "has the labels component and binderhub-service/owner"
ACCOUNTS = 'runs as "default" or as buildPods.serviceAccountName, without its token'
HOST = "does not use its node's network, processes or IPC"
IMAGES = "Images of a build pod are"

TOKEN_VOLUME = {"projected": {"sources": [{"serviceAccountToken": {"path": "token"}}]}}
PRIVILEGED: Json = {"allowPrivilegeEscalation": True, "privileged": True}
MOUNTED = {"secret": {"secretName": "hub"}}
UNCONFINED = {"type": "Unconfined"}
PROBE = {"tcpSocket": {"host": "10.0.0.1", "port": 80}}
DRIVER: Json = next(one["csi"] for one in VALUES["buildPods"]["extraVolumes"] if one["name"] == "of-driver")


PODS: dict[str, tuple[Callable[[Json], Any], str]] = {
    "the hub's Secret": (volume(**MOUNTED), VOLUMES),
    "the node's root": (volume(hostPath={"path": "/"}), VOLUMES),
    "the directory above the socket's": (volume(hostPath={"path": "/run/binderhub-service"}), VOLUMES),
    "a claim": (volume(persistentVolumeClaim={"claimName": "hub-db-dir"}), VOLUMES),
    "a token": (volume(**TOKEN_VOLUME), VOLUMES),
    "another driver": (volume(csi={"driver": "other"}), VOLUMES),
    "another path under a known name": (replaced("on-node", hostPath={"path": "/etc"}), VOLUMES),
    "another Secret under a known name": (replaced("in-secret", **MOUNTED), VOLUMES),
    "another volume of a known driver": (
        replaced("of-driver", csi={"driver": "d.example.org", "volumeAttributes": {"e": "2"}}),
        VOLUMES,
    ),
    "another attribute for a known driver": (
        replaced("of-driver", csi={**DRIVER, "volumeAttributes": {**DRIVER["volumeAttributes"], "secretName": "hub"}}),
        VOLUMES,
    ),
    "another Secret for a known driver": (
        replaced("of-driver", csi={**DRIVER, "nodePublishSecretRef": {"name": "hub"}}),
        VOLUMES,
    ),
    "a copy of another claim": (
        replaced(
            "of-claim",
            ephemeral={
                "volumeClaimTemplate": {
                    "spec": {**CLAIM, "dataSource": {"kind": "PersistentVolumeClaim", "name": "hub-db-dir"}}
                }
            },
        ),
        VOLUMES,
    ),
    "a source for a volume without one": (replaced("of-nothing", hostPath={"path": "/"}), VOLUMES),
    "the Secret of a variable": (volume(secret={"secretName": "of-env"}), VOLUMES),
    "a Secret that begins like the pod": (own_secret("{}-token"), VOLUMES),
    "the Secret of another attempt": (own_secret("{}-2-0123abcd"), VOLUMES),
    "a Secret that ends like the pod's own": (own_secret("other-{}-0123abcd"), VOLUMES),
    "a writable volume of the node": (mounted("on-node", readOnly=False), MOUNTS),
    "more of a volume": (mounted("of-driver", subPath=None), MOUNTS),
    "another place of a volume": (mounted("of-driver", mountPath="/usr"), MOUNTS),
    "a volume that nothing mounts": (container(volumeMounts=[{"name": "of-server", "mountPath": "/a"}]), MOUNTS),
    "a writable socket directory": (mounted("docker-api", readOnly=False), "mounted read-only"),
    "a variable of the hub's Secret": (variable("hub"), VARIABLES),
    "another key of a known Secret": (variable("of-env", "other"), VARIABLES),
    "the Secret that pushes": (variable("build-pods-docker-config"), VARIABLES),
    "variables of the hub's Secret": (container(envFrom=[{"secretRef": {"name": "hub"}}]), VARIABLES),
    "all variables of a known Secret": (container(envFrom=[{"secretRef": {"name": "of-env"}}]), VARIABLES),
    "privileged": (security(**PRIVILEGED), PRIVILEGES),
    "more privileges": (security(allowPrivilegeEscalation=True), PRIVILEGES),
    "capabilities by default": (security(capabilities=None), CAPABILITIES),
    "some capabilities": (security(capabilities={"drop": ["CHOWN"]}), CAPABILITIES),
    "another command of an init container": (init(command=["sh", "-c", "id"]), INIT),
    "arguments of an init container": (init(args=["id"]), INIT),
    "a variable of an init container": (init(env=[{"name": "LD_PRELOAD", "value": "/src/a.so"}]), INIT),
    "another mount of an init container": (init(volumeMounts=[{"name": "source", "mountPath": "/src"}]), INIT),
    "another image of an init container": (init(image=IMAGE), INIT),
    "an init container that the values do not have": (
        lambda pod: pod["spec"]["initContainers"].append({**pod["spec"]["containers"][0], "name": "more"}),
        INIT,
    ),
    "a capability": (security(capabilities={"add": ["SYS_ADMIN"]}), PRIVILEGES),
    "privileges by default": (security(allowPrivilegeEscalation=None), PRIVILEGES),
    "no security context": (container(securityContext=None), PRIVILEGES),
    "a privileged init container": (init(securityContext=PRIVILEGED), PRIVILEGES),
    "an init container's privileges by default": (init(securityContext=None), PRIVILEGES),
    "any call of the kernel": (security(seccompProfile=UNCONFINED), CONFINED),
    "any call of the kernel by default": (security(seccompProfile=None), CONFINED),
    "any call of the kernel in the pod": (spec(securityContext={"seccompProfile": UNCONFINED}), CONFINED),
    "any call of the kernel in an init container": (
        init(securityContext={"allowPrivilegeEscalation": False, "seccompProfile": UNCONFINED}),
        CONFINED,
    ),
    "no AppArmor": (security(appArmorProfile=UNCONFINED), CONFINED),
    "no AppArmor in the pod": (spec(securityContext={"appArmorProfile": UNCONFINED}), CONFINED),
    "no AppArmor by an old annotation": (
        lambda pod: pod["metadata"]["annotations"].update(
            {f"container.apparmor.security.beta.kubernetes.io/{BUILD}": "unconfined"}
        ),
        CONFINED,
    ),
    "options of SELinux": (security(seLinuxOptions={"type": "spc_t"}), CONFINED),
    "options of SELinux in the pod": (spec(securityContext={"seLinuxOptions": {"type": "spc_t"}}), CONFINED),
    "options of Windows": (security(windowsOptions={"runAsUserName": "a"}), CONFINED),
    "options of Windows in the pod": (spec(securityContext={"windowsOptions": {"runAsUserName": "a"}}), CONFINED),
    "the host's processes of Windows": (
        spec(hostNetwork=True, securityContext={"windowsOptions": {"hostProcess": True}}),
        HOST,
    ),
    "all of /proc": (
        lambda pod: (spec(hostUsers=False)(pod), security(procMount="Unmasked")(pod)),
        CONFINED,
    ),
    "a higher priority": (spec(priorityClassName="system-node-critical"), PRIORITY),
    "no priority": (spec(priorityClassName=None), PRIORITY),
    "a liveness probe": (container(livenessProbe=PROBE), PROBES),
    "a readiness probe": (container(readinessProbe=PROBE), PROBES),
    "a startup probe": (container(startupProbe=PROBE), PROBES),
    "a hook at the start": (container(lifecycle={"postStart": PROBE}), PROBES),
    "a hook at the end": (container(lifecycle={"preStop": {"exec": {"command": ["id"]}}}), PROBES),
    "a probe of an init container": (init(restartPolicy="Always", readinessProbe=PROBE), PROBES),
    "another image": (container(image="docker.io/evil/evil:1"), IMAGES),
    "a port of the node": (container(ports=[{"containerPort": 80, "hostPort": 80}]), "no port of their node"),
    "the node's network": (spec(hostNetwork=True), HOST),
    "the node's processes": (spec(hostPID=True), HOST),
    "the node's IPC": (spec(hostIPC=True), HOST),
    "another service account": (spec(serviceAccountName="hub"), ACCOUNTS),
    "the account's token": (spec(automountServiceAccountToken=True), ACCOUNTS),
    "the account's token by default": (lambda pod: pod["spec"].pop("automountServiceAccountToken"), ACCOUNTS),
    "another pull Secret": (
        spec(imagePullSecrets=[{"name": "hub"}]),
        "pulls with the Secrets in buildPods.imagePullSecrets only",
    ),
    "no owner": (label("binderhub-service/owner", None), LABELS),
    "another owner": (label("binderhub-service/owner", "0123456789"), LABELS),
    "no component": (label("component", None), LABELS),
    "another component": (label("component", "hub"), LABELS),
    "no labels": (lambda pod: pod["metadata"].pop("labels"), LABELS),
    "another name": (lambda pod: pod["metadata"].update(name="hub"), NAME),
    "a name that only begins like a build's": (lambda pod: pod["metadata"].update(name="build-pods"), NAME),
    "a name that is a pattern": (lambda pod: pod["metadata"].update(name="build-a.b-0123456789"), NAME),
}


@pytest.mark.parametrize("case", PODS)
def test_pods_other_than_build_pods_are_refused(builds: Builds, case: str) -> None:
    change, words = PODS[case]
    pod = copy.deepcopy(builds.pod())
    change(pod)
    assert words in builds.refusal("pods", pod)


def test_a_pod_in_another_namespace_is_refused(builds: Builds) -> None:
    message = builds.refusal("pods", builds.pod(), namespace="default")
    assert f"build pods in the namespace {builds.namespace.name} only" in message


def test_a_secret_in_another_namespace_is_refused(builds: Builds) -> None:
    made = builds.make_secret()
    message = builds.refusal("secrets", made, namespace="default")
    assert f"Secrets of builds in the namespace {builds.namespace.name} only" in message


def test_a_running_build_pod_does_not_become_another(builds: Builds, server: ApiServer) -> None:
    pod = builds.pod(ref="2" * 40)
    name = builds.make("pods", pod, dry=False)["metadata"]["name"]
    path = builds.namespace.path("pods", name)
    change = {"metadata": {"labels": {"binderhub-service/owner": "other"}}}
    with pytest.raises(urllib.error.HTTPError) as refused:
        builds.binderhub.request("PATCH", path, change, "application/merge-patch+json")
    assert LABELS in json.loads(refused.value.read())["message"]
    debug = {"spec": {"ephemeralContainers": [{"name": "e", "image": IMAGE}]}}
    with pytest.raises(urllib.error.HTTPError) as refused:
        builds.binderhub.request(
            "PATCH", f"{path}/ephemeralcontainers", debug, "application/strategic-merge-patch+json"
        )
    assert "no ephemeral containers" in json.loads(refused.value.read())["message"]
    assert server.request("GET", path)["metadata"]["labels"] == pod["metadata"]["labels"]


@pytest.mark.parametrize(
    ("change", "words"),
    [
        (lambda one: one["metadata"].update(name="hub"), "The name of a build's Secret is"),
        (lambda one: one["metadata"].update(name="build-pods-docker-config"), "The name of a build's Secret is"),
        (lambda one: one["metadata"].pop("ownerReferences"), "belongs to its pod"),
        (lambda one: one["metadata"]["ownerReferences"][0].update(kind="ConfigMap"), "belongs to its pod"),
        (
            lambda one: (
                one.update(type="kubernetes.io/service-account-token"),
                one["metadata"].update(annotations={"kubernetes.io/service-account.name": "hub"}),
            ),
            "has the type Opaque",
        ),
    ],
    ids=["another name", "the release's", "nobody's", "of another kind of object", "a token of a service account"],
)
def test_secrets_other_than_those_of_builds_are_refused(
    builds: Builds, change: Callable[[Json], Any], words: str
) -> None:
    made = builds.make_secret()
    change(made)
    assert words in builds.refusal("secrets", made)
