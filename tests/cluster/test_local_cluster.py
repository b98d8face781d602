"""What the local cluster promises while it runs."""

import json
import shutil
import ssl
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest
from local_cluster import cluster as lab
from local_cluster import git_repositories, go_tools, image_mirror, layout, network, registries, substitute_images

pytestmark = [pytest.mark.local, pytest.mark.usefixtures("local_cluster")]

REGISTRY = f"https://{layout.REGISTRY_ADDRESS}/v2/"
DEBIAN = layout.DEBIAN_IMAGE


def run_pod(name: str, image: str, command: list[str], node: str) -> str:
    """Run `command` in a pod on `node` until it ends; its output."""
    pod = {
        "apiVersion": "v1",
        "kind": "Pod",
        "metadata": {"name": name},
        "spec": {
            "nodeName": node,
            "restartPolicy": "Never",
            "automountServiceAccountToken": False,
            "terminationGracePeriodSeconds": 0,
            "containers": [{"name": "main", "image": image, "command": command}],
        },
    }
    lab.kubectl("apply", "--filename=-", given=json.dumps(pod))
    try:
        lab.kubectl("wait", f"pod/{name}", "--for=jsonpath={.status.phase}=Succeeded", "--timeout=120s")
        return lab.kubectl("logs", name)
    finally:
        lab.kubectl("delete", "pod", name, "--wait=false")


def labels(image: str) -> dict[str, str]:
    """The labels of an image in the mirror."""
    name, _, tag = registries.mirror_name(image).rpartition(":")
    url = f"http://{layout.MIRROR}/v2/{name}"
    accept = {"Accept": "application/vnd.oci.image.manifest.v1+json"}
    manifest = httpx.get(f"{url}/manifests/{tag}", headers=accept, trust_env=False).raise_for_status().json()
    config = httpx.get(f"{url}/blobs/{manifest['config']['digest']}", trust_env=False).raise_for_status().json()
    found: dict[str, str] = config["config"]["Labels"]
    return found


def trusted() -> httpx.Client:
    """A client that knows the authority of the push registry."""
    return httpx.Client(verify=ssl.create_default_context(cafile=str(layout.AUTHORITY)), trust_env=False)


def test_every_part_tells_its_real_version() -> None:
    version: dict[str, Any] = json.loads(lab.kubectl("version", "--output=json"))
    nodes = json.loads(lab.kubectl("get", "nodes", "--output=json"))["items"]
    pinned = go_tools.module("kubernetes").version
    assert version["serverVersion"]["gitVersion"] == version["clientVersion"]["gitVersion"] == pinned
    assert {node["status"]["nodeInfo"]["kubeletVersion"] for node in nodes} == {pinned}
    assert {node["status"]["nodeInfo"]["containerRuntimeVersion"] for node in nodes} == {
        f"containerd://{go_tools.module('containerd').version.lstrip('v')}"
    }
    helm = subprocess.run(
        [go_tools.folder() / "helm", "version", "--short"], capture_output=True, text=True, check=True
    )
    assert helm.stdout.startswith(go_tools.module("helm").version)


def test_nodes_are_labelled_as_those_of_a_jupyterhub() -> None:
    nodes = json.loads(lab.kubectl("get", "nodes", "--output=json"))["items"]
    purposes = {node["metadata"]["name"]: node["metadata"]["labels"]["hub.jupyter.org/node-purpose"] for node in nodes}
    assert purposes == {"node1": "core", "node2": "user"}


@pytest.mark.parametrize("node", [node.name for node in layout.NODES])
def test_pods_reach_names_in_the_cluster_and_package_registries(node: str) -> None:
    script = f"""
        set -e
        getent hosts kubernetes.default.svc.cluster.local {layout.REGISTRY_NAME} {layout.GIT_NAME}
        apt-get update --error-on=any > /dev/null
    """
    said = run_pod(f"reach-{node}", DEBIAN, ["sh", "-c", script], node)
    found = {name: address for address, name, *_ in map(str.split, said.splitlines())}
    assert found[layout.REGISTRY_NAME] == layout.REGISTRY_ADDRESS
    assert found[layout.GIT_NAME] == layout.GIT_ADDRESS


def test_pods_reach_pods_of_the_other_node() -> None:
    dns = json.loads(lab.kubectl("get", "pods", "-n", "kube-system", "--selector=k8s-app=kube-dns", "--output=json"))
    pod = dns["items"][0]
    other = next(node.name for node in layout.NODES if node.name != pod["spec"]["nodeName"])
    script = f"exec 3<>/dev/tcp/{pod['status']['podIP']}/53 && echo connected"
    assert run_pod("across", DEBIAN, ["bash", "-c", script], other) == "connected\n"


def test_the_push_registry_wants_its_password_over_https() -> None:
    login = (layout.REGISTRY_USER, registries.PASSWORD.read_text())
    with trusted() as client:
        answers = [
            client.get(REGISTRY),
            client.get(REGISTRY, auth=(login[0], "wrong")),
            client.get(REGISTRY, auth=login),
        ]
    assert [answer.status_code for answer in answers] == [401, 401, 200]


def test_nodes_trust_the_push_registry_only_by_configuration() -> None:
    with pytest.raises(httpx.ConnectError, match="CERTIFICATE_VERIFY_FAILED"):
        httpx.get(REGISTRY, trust_env=False)
    program = f"""
import socket, ssl
plain = socket.create_connection(("{layout.REGISTRY_NAME}", 443))
try:
    ssl.create_default_context().wrap_socket(plain, server_hostname="{layout.REGISTRY_NAME}")
except Exception as error:
    print(type(error).__name__)
"""
    binderhub = next(image.substitutes for image in substitute_images.images() if image.folder == "binderhub")
    assert run_pod("trust", binderhub, ["python3", "-c", program], "node1") == "SSLCertVerificationError\n"


def test_the_mirror_takes_no_pushes() -> None:
    answer = httpx.post(f"http://{layout.MIRROR}/v2/library/debian/blobs/uploads/", trust_env=False)
    assert answer.status_code == httpx.codes.METHOD_NOT_ALLOWED


@pytest.mark.parametrize("image", substitute_images.images(), ids=lambda image: image.folder)
def test_a_substitute_says_what_it_stands_for_and_what_is_inside(image: substitute_images.Image) -> None:
    found = labels(image.substitutes)
    assert found[f"{image_mirror.LABEL}substitutes"] == image.substitutes
    versions = dict(word.split("=", 1) for word in found[f"{image_mirror.LABEL}versions"].split())
    wanted = {f"debian:{name}" for name in image.debian} | {f"pypi:{name}" for name in image.python}
    wanted |= {f"go:{folder}" for folder in image.go}
    assert set(versions) == wanted
    assert all(versions.values())


def test_git_is_served_over_the_smart_protocol(tmp_path: Path) -> None:
    url = f"http://{layout.GIT_ADDRESS}/first-image.git"
    # A shallow clone is what the dumb protocol cannot do.
    subprocess.run(["git", "clone", "--quiet", "--depth=1", url, tmp_path / "clone"], check=True)
    served = {path.name for path in (tmp_path / "clone").iterdir()} - {".git"}
    assert served == {path.name for path in (git_repositories.SOURCES / "first-image").iterdir()}


def test_a_changed_repository_is_served_with_one_commit_more(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    source = tmp_path / "sources" / "changing"
    source.mkdir(parents=True)
    monkeypatch.setattr(git_repositories, "SOURCES", source.parent)
    monkeypatch.setattr(git_repositories, "FOLDER", tmp_path / "served")

    served = ["git", "--git-dir", str(tmp_path / "served" / "changing.git")]

    def count() -> int:
        return int(
            subprocess.run([*served, "rev-list", "--count", "main"], capture_output=True, text=True, check=True).stdout
        )

    (source / "Dockerfile").write_text("FROM scratch\n")
    git_repositories.make()
    git_repositories.make()
    assert count() == 1
    (source / "Dockerfile").unlink()
    (source / "README.md").write_text("none\n")
    git_repositories.make()
    assert count() == 2
    tree = [*served, "ls-tree", "--name-only", "main"]
    assert subprocess.run(tree, capture_output=True, text=True, check=True).stdout == "README.md\n"


NEIGHBOUR = "bhs-neighbour"
OURS, THEIRS = "198.51.100.1", "198.51.100.2"  # TEST-NET-2


def connects(address: str, port: int) -> bool:
    """Whether the neighbour can open a connection."""
    script = f"exec 3<>/dev/tcp/{address}/{port}"
    return (
        subprocess.run(
            ["ip", "netns", "exec", NEIGHBOUR, "timeout", "3", "bash", "-c", script], capture_output=True, check=False
        ).returncode
        == 0
    )


@pytest.fixture
def neighbour() -> Iterator[None]:
    """Another host on a link of this machine, which sends it everything it has for the cluster's addresses."""
    inside = ["ip", "-n", NEIGHBOUR]
    commands = [
        ["ip", "netns", "add", NEIGHBOUR],
        ["ip", "link", "add", NEIGHBOUR, "type", "veth", "peer", "name", "eth0", "netns", NEIGHBOUR],
        ["ip", "address", "add", f"{OURS}/30", "dev", NEIGHBOUR],
        ["ip", "link", "set", NEIGHBOUR, "up"],
        [*inside, "address", "add", f"{THEIRS}/30", "dev", "eth0"],
        [*inside, "link", "set", "eth0", "up"],
        [*inside, "route", "add", "default", "via", OURS],
    ]
    try:
        for command in commands:
            subprocess.run(command, check=True)
        yield
    finally:
        subprocess.run(["ip", "link", "delete", NEIGHBOUR], check=False)
        subprocess.run(["ip", "netns", "delete", NEIGHBOUR], check=True)


@pytest.mark.usefixtures("neighbour")
def test_a_neighbour_reaches_nothing_of_the_cluster() -> None:
    pods = json.loads(lab.kubectl("get", "pods", "-n", "kube-system", "--selector=k8s-app=kube-dns", "--output=json"))
    targets = [
        (layout.CONTROL.address, 6443),
        (layout.REGISTRY_ADDRESS, 443),
        (layout.GIT_ADDRESS, 80),
        (layout.NODES[0].address, 10250),
        (pods["items"][0]["status"]["podIP"], 53),
    ]
    assert [target for target in targets if connects(*target)] == []

    # Without the rules all of it is reachable: what was seen above is their doing.
    nft = shutil.which("nft") or "nft"
    subprocess.run([nft, "delete", "table", "ip", network.TABLE], check=True)
    try:
        assert [target for target in targets if connects(*target)] == targets
    finally:
        subprocess.run([nft, "--file", "-"], input=network.RULES, text=True, check=True)
