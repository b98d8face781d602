"""What keeps the daemons well, on a real cluster: their disks, their sockets, and what a release leaves on nodes."""

import json
import re
import subprocess
from collections.abc import Iterator

import pytest
import yaml
from chart_values.rendering import Object
from common.errors import UserError
from common.paths import CHART
from demonstration.target import Target
from local_cluster.layout import DEBIAN_IMAGE
from support.binderhub import until
from support.release import Answer, Release, released

pytestmark = pytest.mark.local

DAEMONS = "app.kubernetes.io/component=docker-api"
EAGER = {"enabled": True, "highPercent": 2, "lowPercent": 1, "keepHours": 0, "intervalSeconds": 1, "cacheSize": "20MB"}
VALUES = {
    "dockerApi": {"cleaner": EAGER},
    "test": {"enabled": True, "repository": "http://git.lab.test/fails-in-a-step.git"},
}


@pytest.fixture(scope="module")
def release(cluster: Target) -> Iterator[Release]:
    """A release whose cleaner removes all that it may."""
    with released(cluster) as made:
        made.install(VALUES)
        with made.reached() as reached:
            yield reached


def inside(release: Release, pod: Object, *command: str) -> str:
    """What a command prints in the container of a daemon."""
    where = [f"--namespace={release.namespace}", "--container=docker-api", pod["metadata"]["name"]]
    return release.target.run(release.target.kubectl, "exec", *where, "--", *command)


def socket(pod: Object) -> str:
    """Where its daemon listens."""
    arguments = pod["spec"]["containers"][0]["args"]
    (found,) = [argument.removeprefix("--host=unix://") for argument in arguments if argument.startswith("--host=")]
    assert isinstance(found, str)
    return found


def docker(release: Release, pod: Object, *words: str) -> str:
    return inside(release, pod, "docker", "--host", f"unix://{socket(pod)}", *words)


def cleaned(release: Release, pod: Object) -> str:
    """The log of its cleaner."""
    where = [f"--namespace={release.namespace}", "--container=cleaner", pod["metadata"]["name"]]
    return release.target.run(release.target.kubectl, "logs", *where)


def said(release: Release, pod: Object, words: str) -> None:
    """Wait until its cleaner says so."""
    try:
        until(lambda: words in cleaned(release, pod), f"the cleaner to say: {words}")
    except AssertionError as late:
        raise AssertionError(f"{late}\n{cleaned(release, pod)[-2000:]}") from None


def daemon_of_build(release: Release) -> Object:
    """The docker-api pod on the node of the one build that runs."""
    (build,) = release.pods()
    (found,) = [pod for pod in release.pods(DAEMONS) if pod["spec"]["nodeName"] == build["spec"]["nodeName"]]
    assert isinstance(found, dict)
    return found


def another_image(release: Release, daemon: Object) -> None:
    """Give it an image that no build needs, and wait until the cleaner says why that stays."""
    given = f"tar --create --files-from=/dev/null | docker --host unix://{socket(daemon)} import - kept:1"
    inside(release, daemon, "sh", "-c", given)
    said(release, daemon, "skipped: a build runs on this node")
    assert "kept:1" in docker(release, daemon, "image", "ls", "--format", "{{.Repository}}:{{.Tag}}")


def test_the_cleaner_waits_for_the_build_and_then_removes_the_image(release: Release) -> None:
    answer, daemon = Answer(), Object()
    for event in release.ask("slow-step"):
        answer.events.append(event)
        if "second 1" in event["message"] and not daemon:
            daemon = daemon_of_build(release)
            another_image(release, daemon)
    image = answer.end["imageName"]
    until(lambda: not docker(release, daemon, "image", "ls", "--quiet"), "the images to be gone")
    log = cleaned(release, daemon)
    assert f"={image}: " in log
    assert "=kept:1: " in log
    assert not [line for line in log.splitlines() if " kept sha256:" in line or "cannot" in line or "nobody" in line]


def test_the_daemon_bounds_its_cache(release: Release) -> None:
    for daemon in release.pods(DAEMONS):
        assert re.search(r"All:\s+true\s+Keep Bytes:\s+20MiB", docker(release, daemon, "buildx", "inspect", "default"))


def test_a_directory_in_the_sockets_place_is_no_hindrance(release: Release) -> None:
    daemon, *_ = release.pods(DAEMONS)
    inside(release, daemon, "sh", "-c", f"rm {socket(daemon)} && mkdir -p {socket(daemon)}/x")
    release.delete("pod", daemon["metadata"]["name"])

    def again() -> bool:
        here = [pod for pod in release.pods(DAEMONS) if pod["spec"].get("nodeName") == daemon["spec"]["nodeName"]]
        return [ready["status"] for pod in here for ready in conditions(pod) if ready["type"] == "Ready"] == ["True"]

    until(again, "the daemon to be back")


def conditions(pod: Object) -> list[Object]:
    found: list[Object] = pod["status"].get("conditions", [])
    return found


def test_helm_test_fails_with_a_sentence_and_leaves_no_pod(release: Release) -> None:
    target = release.target
    words = ["--kube-context", target.context, "test", "faults", f"--namespace={release.namespace}", "--logs"]
    done = subprocess.run(
        [target.helm, *words], env=target.environment(), capture_output=True, text=True, check=False, timeout=180
    )
    assert done.returncode != 0
    assert "\nThe test failed. BHS101: The build failed at step [3/3] RUN" in done.stdout
    assert not release.pods("app.kubernetes.io/component=test")


def test_an_image_by_its_digest_runs(release: Release) -> None:
    values = yaml.safe_load((CHART / "values.yaml").read_text())

    def pinned(component: str, tag: str) -> dict[str, str]:
        pod, *_ = release.pods(f"app.kubernetes.io/component={component}")
        digest = pod["status"]["containerStatuses"][0]["imageID"].partition("@")[2]
        return {"tag": f"{tag}@{digest}"}

    of_daemon = pinned("docker-api", values["dockerApi"]["image"]["tag"])
    of_binderhub = pinned("binderhub", values["image"]["tag"])
    release.install({"image": of_binderhub, "dockerApi": {"image": of_daemon}})
    for kind, name, pinned_to in (("daemonset", "docker-api", of_daemon), ("deployment", "binderhub", of_binderhub)):
        # Helm has waited until all pods are of this template.
        found = release.target.get(kind, name, f"--namespace={release.namespace}")
        assert found["spec"]["template"]["spec"]["containers"][0]["image"].endswith(f":{pinned_to['tag']}")
        assert found["status"].get("numberReady", found["status"].get("readyReplicas"))


def left(target: Target, namespace: str, folders: list[str]) -> str:
    """Which of these folders there are on the nodes, asked of a pod on each."""
    nodes = [node["metadata"]["name"] for node in target.get("nodes")["items"]]
    pods = [
        {
            "apiVersion": "v1",
            "kind": "Pod",
            "metadata": {"name": f"look-{node}", "namespace": namespace, "labels": {"looks": "yes"}},
            "spec": {
                "nodeName": node,
                "restartPolicy": "Never",
                "tolerations": [{"operator": "Exists"}],
                "volumes": [{"name": "node", "hostPath": {"path": "/"}}],
                "containers": [
                    {
                        "name": "look",
                        "image": DEBIAN_IMAGE,
                        "command": ["find", *(f"/node{folder}" for folder in folders), "-maxdepth", "0"],
                        "volumeMounts": [{"name": "node", "mountPath": "/node", "readOnly": True}],
                    }
                ],
            },
        }
        for node in nodes
    ]
    target.run(
        target.kubectl, "apply", "--filename=-", given=json.dumps({"apiVersion": "v1", "kind": "List", "items": pods})
    )

    def ended() -> bool:
        looks = target.get("pods", f"--namespace={namespace}", "--selector=looks=yes")["items"]
        return all(pod["status"]["phase"] in ("Succeeded", "Failed") for pod in looks)

    until(ended, "the pods to have looked")
    where = [f"--namespace={namespace}", "--selector=looks=yes"]
    printed = target.run(target.kubectl, "logs", *where)
    target.run(target.kubectl, "delete", "pods", *where)
    return "\n".join(line for line in printed.splitlines() if line.startswith("/node"))


def test_the_clean_up_removes_all_data_on_the_nodes(cluster: Target) -> None:
    with released(cluster) as gone:
        where = f"--namespace={gone.namespace}"
        daemon = gone.pods(DAEMONS)[0]
        folders = [volume["hostPath"]["path"] for volume in daemon["spec"]["volumes"] if "hostPath" in volume]
        folders = [folder.removesuffix("/docker") for folder in folders]
        given = [
            cluster.helm, "template", "faults", str(CHART), where,
            "--set=dockerApi.cleanUp=true", "--set=allowAnonymous=true",
            "--show-only=templates/docker-api/clean-up.yaml",
        ]  # fmt: skip
        clean_up = subprocess.run(given, capture_output=True, text=True, check=True).stdout

        cluster.run(cluster.kubectl, "apply", "--filename=-", given=clean_up)
        selector = "app.kubernetes.io/component=docker-api-clean-up"
        until(lambda: "a daemon still runs on this node" in remove_log(gone, selector), "the clean-up to refuse")
        assert left(cluster, gone.namespace, folders)

        cluster.run(cluster.helm, "uninstall", "faults", where, "--wait")
        cluster.run(
            cluster.kubectl, "delete", "pods", where, f"--selector={selector}"
        )  # rather than await its back-off
        cluster.run(cluster.kubectl, "rollout", "status", where, "daemonset/docker-api-clean-up", "--timeout=1m")
        assert left(cluster, gone.namespace, folders) == ""


def remove_log(release: Release, selector: str) -> str:
    """What the pods that remove have said; empty while they have not begun."""
    try:
        return release.target.run(
            release.target.kubectl, "logs", f"--namespace={release.namespace}", "--container=remove",
            f"--selector={selector}",
        )  # fmt: skip
    except UserError:
        return ""
