"""From what the upstream chart makes to this chart and back, with builds running, on a real cluster."""

import json
import secrets
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest
import yaml
from common.paths import CHART
from demonstration.target import Target
from local_cluster import layout
from support import object_names, upstream_chart
from support.release import Release

NAME = "parity"
ANONYMOUS = "--set=allowAnonymous=true"
"""The one value that a release of the upstream chart has to add, where nothing asks who may build."""
PATIENCE_SECONDS = 150.0
VALUES = yaml.safe_load((CHART / "values.yaml").read_text())

pytestmark = pytest.mark.local


def until(condition: Callable[[], Any], what: str) -> Any:
    """What `condition` returns as soon as that is true."""
    end = time.monotonic() + PATIENCE_SECONDS
    while time.monotonic() < end:
        if found := condition():
            return found
        time.sleep(0.5)
    raise AssertionError(f"waited {PATIENCE_SECONDS:.0f} s for: {what}")


def upstreams_values(target: Target, namespace: str) -> dict[str, Any]:
    """Values that the upstream chart takes too, with what this cluster needs."""
    login = {"username": target.username, "password": target.password}
    mirror = {"registry-mirrors": [f"http://{layout.MIRROR}"], "insecure-registries": [layout.MIRROR]}
    authority = layout.AUTHORITY.read_text()
    return {
        "networkPolicy": {"enabled": False},
        "image": {"repository": VALUES["image"]["repository"], "tag": VALUES["image"]["tag"]},
        "config": {
            "BinderHub": {
                "base_url": "/",
                "port": 8585,
                "enable_api_only_mode": True,
                "use_registry": True,
                "image_prefix": f"{target.registry}/{namespace}/",
            },
            "DockerRegistry": {"url": f"https://{target.host}", **login},
            "KubernetesBuildExecutor": {
                "build_image": VALUES["config"]["KubernetesBuildExecutor"]["build_image"],
            },
            "RateLimiter": {"limit": 0},
        },
        "custom": {"answer": 42},
        "extraConfig": {
            "mine": 'c.Mine.answer = get_chart_config("custom.answer")\nprint("The answer is", c.Mine.answer)'
        },
        "buildPodsRegistryCredentials": {"server": f"https://{target.host}", **login},
        "extraVolumes": [{"name": "authority", "configMap": {"name": "authority"}}],
        "extraVolumeMounts": [
            {"name": "authority", "mountPath": "/etc/ssl/certs/ca-certificates.crt", "subPath": "authority.crt"}
        ],
        "dockerApi": {
            "image": {key: VALUES["dockerApi"]["image"][key] for key in ("repository", "tag")},
            "extraFiles": {
                "daemon-json": {"mountPath": "/etc/docker/daemon.json", "data": mirror},
                "authority": {"mountPath": f"/etc/docker/certs.d/{target.host}/ca.crt", "stringData": authority},
            },
        },
    }


@pytest.fixture
def namespace(cluster: Target) -> Iterator[str]:
    """A new namespace, gone afterwards."""
    name = f"parity-{secrets.token_hex(3)}"
    cluster.run(cluster.kubectl, "create", "namespace", name)
    yield name
    cluster.run(cluster.kubectl, "delete", "namespace", name)


@pytest.fixture
def release(cluster: Target, namespace: str) -> Iterator[Release]:
    """The place of a release whose data on the nodes is removed in the end."""
    authority = f"--from-file=authority.crt={layout.AUTHORITY}"
    cluster.run(cluster.kubectl, "create", "configmap", "authority", authority, f"--namespace={namespace}")
    yield Release(cluster, namespace)
    cluster.run(cluster.helm, "uninstall", NAME, f"--namespace={namespace}", "--wait", "--ignore-not-found")
    clean_nodes(cluster, namespace)


def clean_nodes(target: Target, namespace: str) -> None:
    """Remove the folders that the chart before left on the nodes."""
    labels = {"name": "clean-nodes"}
    folders = [f"/node{part}/{namespace}-{NAME}" for part in ("/var/lib", "/var/run")]
    container = {
        "name": "clean",
        "image": layout.DEBIAN_IMAGE,
        "command": ["sh", "-c", f"rm -rf {' '.join(folders)} && touch /done && exec sleep 600"],
        "readinessProbe": {"periodSeconds": 1, "exec": {"command": ["test", "-e", "/done"]}},
        "securityContext": {"privileged": True},
        "volumeMounts": [
            {"name": f"v{n}", "mountPath": f"/node{part}"} for n, part in enumerate(("/var/lib", "/var/run"))
        ],
    }
    volumes = [{"name": f"v{n}", "hostPath": {"path": part}} for n, part in enumerate(("/var/lib", "/var/run"))]
    spec = {"containers": [container], "volumes": volumes, "terminationGracePeriodSeconds": 0}
    daemons = {
        "apiVersion": "apps/v1",
        "kind": "DaemonSet",
        "metadata": {"name": "clean-nodes"},
        "spec": {"selector": {"matchLabels": labels}, "template": {"metadata": {"labels": labels}, "spec": spec}},
    }
    target.run(target.kubectl, "apply", f"--namespace={namespace}", "--filename=-", given=json.dumps(daemons))
    target.run(
        target.kubectl, "rollout", "status", "daemonset/clean-nodes", f"--namespace={namespace}", "--timeout=120s"
    )


class Watched:
    """A build that was asked for, and its client, who goes on reading while the release is changed."""

    def __init__(self, release: Release, repository: str) -> None:
        self.release = release
        self.events: list[dict[str, Any]] = []
        self.cut = False
        self._stream = release.ask(repository)

    def begin(self) -> str:
        """Read until a step of the Dockerfile runs; the name of the build's pod."""
        for event in self._stream:
            self.events.append(event)
            if "second 2" in str(event.get("message")):
                (pod,) = [pod for pod in self.release.pods() if pod["status"]["phase"] == "Running"]
                return str(pod["metadata"]["name"])
        raise AssertionError(f"the build ended before its step ran: {self.events[-3:]}")

    def end(self) -> None:
        """Read until there is no more."""
        try:
            self.events += self._stream
        except httpx.TransportError:
            self.cut = True
        assert self.cut or self.events[-1].get("phase") in ("ready", "failed"), self.events[-1]


def roll_daemons(release: Release) -> None:
    """Delete the docker-api pods that are not as their DaemonSet is now, and wait until all are."""
    target, namespace = release.target, f"--namespace={release.namespace}"

    def current() -> bool:
        daemons = target.get("daemonset", "docker-api", namespace)
        wanted = daemons["spec"]["template"]["spec"]["containers"][0]["args"]
        pods = release.pods("app.kubernetes.io/component=docker-api")
        for pod in pods:
            if pod["spec"]["containers"][0]["args"] != wanted and not pod["metadata"].get("deletionTimestamp"):
                target.run(target.kubectl, "delete", "pod", pod["metadata"]["name"], namespace, "--wait=false")
        status = daemons["status"]
        return bool(
            status["observedGeneration"] == daemons["metadata"]["generation"]
            and len(pods) == status["desiredNumberScheduled"] == status.get("updatedNumberScheduled")
            and status["desiredNumberScheduled"] == status.get("numberReady")
        )

    until(current, "docker-api pods of the new kind")


def rolled(release: Release) -> None:
    """Wait until BinderHub's new pod alone serves."""
    namespace = f"--namespace={release.namespace}"
    target = release.target
    target.run(target.kubectl, "rollout", "status", "deployment/binderhub", namespace, "--timeout=120s")
    until(lambda: len(release.pods("app.kubernetes.io/component=binderhub")) == 1, "BinderHub's old pod to be gone")


def identities(release: Release) -> dict[tuple[str, str], str]:
    """The UIDs of what must not be made anew."""
    kinds = "serviceaccounts,secrets,roles,rolebindings,services,deployments.apps,daemonsets.apps"
    found = release.target.get(
        kinds, f"--namespace={release.namespace}", "--selector=app.kubernetes.io/managed-by=Helm"
    )
    return {(one["kind"], one["metadata"]["name"]): one["metadata"]["uid"] for one in found["items"]}


def secret_keys(release: Release) -> dict[str, set[str]]:
    """The keys of the release's Secrets."""
    found = release.target.get(
        "secrets", f"--namespace={release.namespace}", "--selector=app.kubernetes.io/managed-by=Helm"
    )
    return {one["metadata"]["name"]: set(one["data"]) for one in found["items"]}


def ended(release: Release, pod: str) -> bool:
    """Whether the build's pod has ended, or is gone."""
    phases = {one["metadata"]["name"]: one["status"]["phase"] for one in release.pods()}
    return phases.get(pod, "Succeeded") in ("Succeeded", "Failed")


def built(release: Release, repository: str) -> str:
    """Have it built; the image's name."""
    with release.reached() as reached:
        # BinderHub's own class also passes on lines of repo2docker's log that have no phase.
        events = [event for event in reached.ask(repository) if event.get("phase") in ("ready", "failed")]
    assert events, "the stream ended without an outcome"
    assert events[-1]["phase"] == "ready", events
    return str(events[-1]["imageName"])


def test_switch_and_switch_back_with_running_builds(release: Release, tmp_path: Path) -> None:
    target, namespace = release.target, f"--namespace={release.namespace}"
    values = tmp_path / "values.yaml"
    values.touch(mode=0o600)
    values.write_text(yaml.safe_dump(upstreams_values(target, release.namespace)))
    chart = upstream_chart.write(tmp_path / "before", yaml.safe_load(values.read_text()), NAME, release.namespace)
    target.run(target.helm, "install", NAME, str(chart), namespace, "--wait", "--timeout=3m")
    first, keys = identities(release), secret_keys(release)
    image = built(release, "first-image")

    with release.reached():
        there = Watched(release, "slow-step")
        theirs = there.begin()
        target.run(target.helm, "upgrade", NAME, str(CHART), namespace, f"--values={values}", ANONYMOUS)
        there.end()
    until(lambda: ended(release, theirs), "the build that the upgrade met to end")
    roll_daemons(release)
    rolled(release)

    after = identities(release)
    assert first.items() <= after.items()
    assert all(names <= secret_keys(release)[secret] for secret, names in keys.items())
    log = target.run(target.kubectl, "logs", "deployment/binderhub", namespace)
    assert "The answer is 42" in log
    known = {pod["metadata"]["name"] for pod in release.pods()}
    assert built(release, "first-image") == image
    assert {pod["metadata"]["name"] for pod in release.pods()} <= known  # found in the registry, so not built
    again = built(release, "slow-step")

    with release.reached():
        back = Watched(release, "slow-step-too")
        ours = back.begin()
        target.run(target.helm, "rollback", NAME, "1", namespace)
        back.end()
    until(lambda: ended(release, ours), "the build that the rollback met to end")
    roll_daemons(release)
    rolled(release)

    assert identities(release) == first
    assert all(names <= secret_keys(release)[secret] for secret, names in keys.items())
    assert built(release, "first-image") == image
    assert built(release, "slow-step") == again
    built(release, "slow-step-too")
    until(lambda: not release.pods(), "upstream's cleaner to take away the pod of this chart's build")


def test_install_upgrade_rollback_and_uninstall_leave_nothing(cluster: Target, namespace: str) -> None:
    in_namespace = f"--namespace={namespace}"
    files = [f"--values={path}" for path in cluster.values]
    clean = object_names.of(cluster, namespace)
    cluster.run(cluster.helm, "install", NAME, str(CHART), in_namespace, *files, ANONYMOUS, "--wait", "--timeout=3m")
    installed = object_names.of(cluster, namespace)
    assert installed["deployment.apps"] == ["binderhub"]
    more = {
        "ingress": {"enabled": True},
        "networkPolicy": {"enabled": True},
        "serviceAccount": {"name": "other"},
        "config": {"BinderHub": {"auth_enabled": True}},
    }
    cluster.run(
        cluster.helm, "upgrade", NAME, str(CHART), in_namespace, *files, "--values=-", given=yaml.safe_dump(more)
    )
    assert object_names.of(cluster, namespace)["ingress.networking.k8s.io"] == ["binderhub"]
    cluster.run(cluster.helm, "rollback", NAME, "1", in_namespace)
    until(
        lambda: object_names.without_pods(object_names.of(cluster, namespace)) == object_names.without_pods(installed),
        "the rollback to be whole",
    )
    cluster.run(cluster.helm, "uninstall", NAME, in_namespace, "--wait", "--timeout=3m")
    until(lambda: object_names.of(cluster, namespace) == clean, f"nothing of {sorted(installed)} to be left")


@pytest.mark.parametrize("file", upstream_chart.PRODUCTION, ids=lambda file: file.stem)
def test_values_of_production_install_unchanged(cluster: Target, namespace: str, file: Path) -> None:
    in_namespace = f"--namespace={namespace}"
    cluster.run(cluster.helm, "install", NAME, str(CHART), in_namespace, f"--values={file}")
    found = object_names.of(cluster, namespace)
    assert len(found["deployment.apps"]) == len(found["daemonset.apps"]) == len(found["service"]) == 1
    cluster.run(cluster.helm, "uninstall", NAME, in_namespace, "--wait", "--timeout=3m")
