"""NetworkPolicies hold on the local cluster, between pods of one node and across nodes."""

import json
import time
from collections.abc import Iterator
from typing import Any

import pytest
from common.errors import UserError
from local_cluster import cluster as lab
from local_cluster import layout, substitute_images

pytestmark = [pytest.mark.local, pytest.mark.usefixtures("local_cluster")]

NAMESPACE = "policies"
SECONDS = 20
LISTENS = ["python3", "-m", "http.server", "8000"]
FIRST, SECOND = (node.name for node in layout.NODES)
IPV4 = {"ipBlock": {"cidr": "0.0.0.0/0"}}
IPV6 = {"ipBlock": {"cidr": "::/0", "except": ["fd00:ec2::254/128"]}}


def pod(name: str, node: str) -> dict[str, Any]:
    image = next(image.substitutes for image in substitute_images.images() if image.folder == "binderhub")
    return {
        "apiVersion": "v1",
        "kind": "Pod",
        "metadata": {"name": name, "namespace": NAMESPACE, "labels": {"name": name}},
        "spec": {
            "nodeName": node,
            "terminationGracePeriodSeconds": 0,
            "containers": [{"name": "main", "image": image, "command": LISTENS}],
        },
    }


@pytest.fixture(scope="module")
def target() -> Iterator[str]:
    """The address of a pod on the first node; `near` is another one there, and `far` is on the second node."""
    items = [pod("target", FIRST), pod("near", FIRST), pod("far", SECOND)]
    lab.kubectl("create", "namespace", NAMESPACE)
    try:
        lab.kubectl("apply", "--filename=-", given=json.dumps({"kind": "List", "apiVersion": "v1", "items": items}))
        lab.kubectl("wait", "pod", "--all", "-n", NAMESPACE, "--for=condition=Ready", "--timeout=120s")
        yield lab.kubectl("get", "pod", "target", "-n", NAMESPACE, "--output=jsonpath={.status.podIP}")
    finally:
        lab.kubectl("delete", "namespace", NAMESPACE)


def connects(source: str, address: str) -> bool:
    """Whether the pod `source` can open a connection to the listener at `address`."""
    words = ["timeout", "3", "bash", "-c", f"exec 3<>/dev/tcp/{address}/8000"]
    try:
        lab.kubectl("exec", "-n", NAMESPACE, source, "--", *words)
    except UserError:
        return False
    return True


def becomes(wanted: bool, source: str, address: str) -> bool:
    """Whether, within `SECONDS`, what `connects` says is as wanted."""
    deadline = time.monotonic() + SECONDS
    while connects(source, address) is not wanted:
        if time.monotonic() > deadline:
            return False
    return True


def apply(spec: dict[str, Any]) -> None:
    policy = {
        "apiVersion": "networking.k8s.io/v1",
        "kind": "NetworkPolicy",
        "metadata": {"name": "policy", "namespace": NAMESPACE},
        "spec": spec,
    }
    lab.kubectl("apply", "--filename=-", given=json.dumps(policy))


@pytest.mark.parametrize("source", ["near", "far"])
@pytest.mark.parametrize(("way", "chosen"), [("Egress", ""), ("Ingress", "target")])
def test_a_policy_blocks_and_taken_away_lets_through(target: str, source: str, way: str, chosen: str) -> None:
    assert becomes(True, source, target)
    apply({"podSelector": {"matchLabels": {"name": chosen or source}}, "policyTypes": [way]})
    try:
        assert becomes(False, source, target)
    finally:
        lab.kubectl("delete", "networkpolicy", "policy", "-n", NAMESPACE)
    assert becomes(True, source, target)


def test_an_ipv6_block_allows_nothing_of_ipv4(target: str) -> None:
    near = {"podSelector": {"matchLabels": {"name": "near"}}, "policyTypes": ["Egress"]}
    apply({**near, "egress": [{"to": [IPV6]}]})
    try:
        assert becomes(False, "near", target)
        apply({**near, "egress": [{"to": [IPV4, IPV6]}]})
        assert becomes(True, "near", target)
        apply({**near, "egress": [{"to": [IPV6]}, {"to": [{"ipBlock": {"cidr": "192.0.2.0/24"}}]}]})
        assert becomes(False, "near", target)
    finally:
        lab.kubectl("delete", "networkpolicy", "policy", "-n", NAMESPACE)


@pytest.mark.parametrize("address", layout.METADATA_ADDRESSES)
def test_pods_have_a_metadata_service_as_those_of_a_cloud(target: str, address: str) -> None:
    program = f"import urllib.request as r; print(r.urlopen('http://{address}/', timeout=5).read().decode())"
    assert "credentials" in lab.kubectl("exec", "-n", NAMESPACE, "far", "--", "python3", "-c", program)
    assert target
