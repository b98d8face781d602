"""The network policies: what they let through, as Kubernetes reads them, and whom they choose."""

import ipaddress
import re
import subprocess
from typing import Any

import pytest
import yaml
from machine.paths import CHART
from machine.problem import Problem
from values.rendering import Chart, Objects

BUILD_PODS, DOCKER_API, BINDERHUB = "binderhub-builder-network-policy", "binderhub-dind-network-policy", "binderhub"
BUILDING = (BUILD_PODS, DOCKER_API)
KUBE_DNS = {"k8s-app": "kube-dns"}

METADATA = ("169.254.169.254", "fd00:ec2::254", "168.63.129.16", "100.100.100.200")
ROUTED = ("10.0.0.1", "172.16.0.1", "172.31.255.254", "192.168.1.1", "fd12::1")
PRIVATE = (*ROUTED, "fe80::1", "64:ff9b::10.0.0.1")
PUBLIC = ("140.82.112.3", "100.100.100.201", "172.32.0.1", "2606:50c0:8000::153")
# NodeLocal DNSCache; what Cloud DNS for GKE listens on; Amazon's resolver.
NODE_DNS = ("169.254.20.10", "169.254.169.254", "169.254.169.253")


def spec(objects: Objects, name: str) -> dict[str, Any]:
    found: dict[str, Any] = objects.one("NetworkPolicy", name)["spec"]
    return found


def matches(selector: dict[str, Any], labels: dict[str, str]) -> bool:
    wanted: dict[str, str] = selector.get("matchLabels", {})
    return wanted.items() <= labels.items()


def covers(block: dict[str, Any], address: str) -> bool:
    asked = ipaddress.ip_address(address)
    inside = [asked in ipaddress.ip_network(cidr) for cidr in (block["cidr"], *block.get("except", []))]
    return inside[0] and not any(inside[1:])


def reaches(objects: Objects, name: str, address: str, port: int | str = 443) -> bool:
    """Whether the policy lets its pods connect to an address outside the cluster."""
    return any(
        any("ipBlock" in peer and covers(peer["ipBlock"], address) for peer in rule["to"])
        and ("ports" not in rule or port in [one["port"] for one in rule["ports"]])
        for rule in spec(objects, name)["egress"]
    )


def admits(
    objects: Objects, name: str, labels: dict[str, str], port: int | str, namespace: dict[str, str] | None = None
) -> bool:
    """Whether the policy lets a pod with `labels` in; `namespace` is the labels of another namespace than its own."""
    for rule in spec(objects, name)["ingress"]:
        if "ports" in rule and port not in [one["port"] for one in rule["ports"]]:
            continue
        for peer in rule.get("from", [{"podSelector": {}, "namespaceSelector": {}}]):
            chosen = peer.get("namespaceSelector")
            here = chosen is None and namespace is None
            there = chosen is not None and matches(chosen, namespace or {})
            if (here or there) and matches(peer.get("podSelector", {}), labels):
                return True
    return False


def notes(helm: str, values: dict[str, Any]) -> list[str]:
    words = [helm, "install", "rel", str(CHART), "--namespace", "ns1", "--dry-run=client", "--values", "-"]
    done = subprocess.run(words, input=yaml.safe_dump(values), capture_output=True, text=True, check=True)
    return re.findall("^NOT PROTECTED: (.*)$", done.stdout.split("NOTES:")[1], re.MULTILINE)


@pytest.mark.parametrize("name", BUILDING)
def test_builds_reach_the_internet_and_nothing_private(defaults: Objects, name: str) -> None:
    assert [address for address in PUBLIC if reaches(defaults, name, address)] == list(PUBLIC)
    assert [address for address in (*PRIVATE, *METADATA) if reaches(defaults, name, address)] == []


@pytest.mark.parametrize("name", BUILDING)
def test_name_servers_are_open_in_the_cluster_and_on_the_node(defaults: Objects, name: str) -> None:
    assert [address for address in NODE_DNS if reaches(defaults, name, address, 53)] == list(NODE_DNS)
    (rule,) = [rule for rule in spec(defaults, name)["egress"] if "ports" in rule]
    assert {(one["port"], one["protocol"]) for one in rule["ports"]} == {(53, "UDP"), (53, "TCP")}
    assert {
        "namespaceSelector": {"matchLabels": {"kubernetes.io/metadata.name": "kube-system"}},
        "podSelector": {"matchLabels": KUBE_DNS},
    } in rule["to"]


@pytest.mark.parametrize("name", BUILDING)
@pytest.mark.parametrize(
    ("key", "port", "opened"),
    [("privateIPs", 443, ROUTED), ("dnsPortsPrivateIPs", 53, ROUTED), ("cloudMetadataServer", 80, METADATA)],
)
def test_each_kind_of_address_has_its_switch(
    chart: Chart, defaults: Objects, name: str, key: str, port: int, opened: tuple[str, ...]
) -> None:
    objects = chart.render({"networkPolicy": {"egressAllowRules": {key: True}}})
    closed = [address for address in (*PRIVATE, *METADATA) if not reaches(defaults, name, address, port)]
    assert {address for address in closed if reaches(objects, name, address, port)} == set(opened)
    assert reaches(objects, name, "169.254.169.254", 443) is (key == "cloudMetadataServer")
    assert reaches(objects, name, "10.0.0.1", 443) is (key == "privateIPs")


@pytest.mark.parametrize("name", BUILDING)
def test_the_internet_can_be_closed(chart: Chart, name: str) -> None:
    objects = chart.render({"networkPolicy": {"egressAllowRules": {"nonPrivateIPs": False}}})
    assert not any(reaches(objects, name, address) for address in (*PUBLIC, *PRIVATE, *METADATA))
    assert reaches(objects, name, NODE_DNS[0], 53)


@pytest.mark.parametrize("name", BUILDING)
def test_blocks_of_ones_own_are_closed_too(chart: Chart, name: str) -> None:
    objects = chart.render({"networkPolicy": {"blockedCIDRs": ["100.64.0.0/10", "2001:db8::/32"]}})
    assert not any(reaches(objects, name, address) for address in ("100.64.0.1", "2001:db8::1", *METADATA))
    assert all(reaches(objects, name, address) for address in ("140.82.112.3", "2606:50c0:8000::153"))


@pytest.mark.parametrize("wrong", ["10.0.0.1", "example.org/24", "0.0.0.0/0"])
def test_a_block_that_is_none_is_refused(chart: Chart, wrong: str) -> None:
    with pytest.raises(Problem, match="blockedCIDRs"):
        chart.render({"networkPolicy": {"blockedCIDRs": [wrong]}})


@pytest.mark.parametrize(("key", "name"), [("buildPods", BUILD_PODS), ("dockerApi", DOCKER_API)])
def test_rules_of_ones_own_are_added_to_one_kind_of_pod(chart: Chart, defaults: Objects, key: str, name: str) -> None:
    rules = [
        {"to": [{"ipBlock": {"cidr": "10.1.2.3/32"}}], "ports": [{"protocol": "TCP", "port": 5000}]},
        {"to": [{"podSelector": {"matchLabels": {"app": "registry"}}}]},
    ]
    objects = chart.render({"networkPolicy": {key: {"egress": rules}}})
    assert spec(objects, name)["egress"] == [*spec(defaults, name)["egress"], *rules]
    (other,) = set(BUILDING) - {name}
    assert spec(objects, other) == spec(defaults, other)


def test_docker_api_pods_accept_what_they_are_told_to(chart: Chart, defaults: Objects) -> None:
    assert set(spec(defaults, DOCKER_API)["policyTypes"]) == {"Ingress", "Egress"}
    assert spec(defaults, DOCKER_API)["ingress"] == []
    rules = [{"ports": [{"port": 9323}]}]
    assert spec(chart.render({"networkPolicy": {"dockerApi": {"ingress": rules}}}), DOCKER_API)["ingress"] == rules
    none = spec(chart.render({"networkPolicy": {"dockerApi": {"ingress": None}}}), DOCKER_API)
    assert none["policyTypes"] == ["Egress"]
    assert "ingress" not in none


def test_without_policies_there_are_none(chart: Chart) -> None:
    kinds = {found["kind"] for found in chart.render({"networkPolicy": {"enabled": False}})}
    assert "NetworkPolicy" not in kinds


def test_builds_in_a_namespace_of_their_own_have_their_policy_there(chart: Chart) -> None:
    objects = chart.render({"buildPods": {"namespace": "builds"}})
    namespaces = {name: objects.one("NetworkPolicy", name)["metadata"].get("namespace") for name in BUILDING}
    assert namespaces == dict.fromkeys(BUILDING, "builds")


# zero-to-jupyterhub-k8s 4: templates/_helpers.tpl, jupyterhub.matchLabels.
PROXY = {"app": "jupyterhub", "component": "proxy", "release": "hub"}
HUB = {"app": "jupyterhub", "component": "hub", "release": "hub"}
USER = {"app": "jupyterhub", "component": "singleuser-server", "hub.jupyter.org/network-access-hub": "true"}
LABELLED = {"hub.jupyter.org/network-access-binderhub": "true"}


def test_nobody_is_kept_from_binderhub_unless_told(defaults: Objects) -> None:
    assert ("NetworkPolicy", BINDERHUB) not in defaults.names()


def test_the_policy_of_binderhub_is_for_its_pods(chart: Chart) -> None:
    objects = chart.render({"networkPolicy": {"binderhub": {"enabled": True}}})
    template = objects.one("Deployment", "binderhub")["spec"]["template"]
    others = objects.one("DaemonSet", "docker-api")["spec"]["template"]
    chosen = spec(objects, BINDERHUB)
    assert chosen["policyTypes"] == ["Ingress"]
    assert matches(chosen["podSelector"], template["metadata"]["labels"])
    assert not matches(chosen["podSelector"], others["metadata"]["labels"])
    assert "http" in [port["name"] for port in template["spec"]["containers"][0]["ports"]]


def test_a_jupyterhub_and_labelled_pods_may_ask(chart: Chart) -> None:
    objects = chart.render({"networkPolicy": {"binderhub": {"enabled": True}}})
    assert all(admits(objects, BINDERHUB, labels, "http") for labels in (PROXY, HUB, LABELLED))
    assert not admits(objects, BINDERHUB, USER, "http")
    assert not admits(objects, BINDERHUB, PROXY, 9000)
    assert not any(admits(objects, BINDERHUB, labels, "http", {"any": "where"}) for labels in (PROXY, LABELLED))


def test_labels_of_other_namespaces_count_where_they_are_accepted(chart: Chart) -> None:
    binderhub = {"enabled": True, "interNamespaceAccessLabels": "accept"}
    objects = chart.render({"networkPolicy": {"binderhub": binderhub}})
    elsewhere = {"any": "where"}
    assert all(admits(objects, BINDERHUB, labels, "http", elsewhere) for labels in (PROXY, HUB, LABELLED))
    assert admits(objects, BINDERHUB, USER, "http", LABELLED)
    assert not admits(objects, BINDERHUB, USER, "http", elsewhere)


CONTROLLER = {
    "from": [{"namespaceSelector": {"matchLabels": {"kubernetes.io/metadata.name": "ingress-nginx"}}}],
    "ports": [{"port": "http"}],
}


@pytest.mark.parametrize("own", [{"ingress": [CONTROLLER]}, {"allowedIngressPorts": ["http"]}])
def test_the_controller_of_an_ingress_can_be_let_in(chart: Chart, own: dict[str, Any]) -> None:
    namespace = {"kubernetes.io/metadata.name": "ingress-nginx"}
    exposed = {"allowAnonymous": True, "ingress": {"enabled": True}}
    values = {**exposed, "networkPolicy": {"binderhub": {"enabled": True, **own}}}
    objects = chart.render(values)
    assert admits(objects, BINDERHUB, {"any": "pod"}, "http", namespace)
    assert not admits(objects, BINDERHUB, {"any": "pod"}, 22, namespace)
    assert admits(objects, BINDERHUB, {}, "http", {"any": "where"}) is ("allowedIngressPorts" in own)


@pytest.mark.parametrize(
    ("values", "said"),
    [
        (
            {"allowAnonymous": True, "ingress": {"enabled": True}},
            "would keep the controller of the Ingress from BinderHub",
        ),
        (
            {"allowAnonymous": True, "httpRoute": {"enabled": True, "parentRefs": [{"name": "gateway"}]}},
            "would keep the Gateway of the HTTPRoute from BinderHub",
        ),
        ({"networkPolicy": {"enabled": False, "binderhub": {"enabled": True}}}, "makes no policies at all"),
    ],
)
def test_what_contradicts_itself_is_refused(chart: Chart, values: dict[str, Any], said: str) -> None:
    with pytest.raises(Problem, match=said):
        chart.render({"networkPolicy": {"binderhub": {"enabled": True}}, **values})


@pytest.mark.parametrize(
    ("values", "said"),
    [
        ({}, ["Any pod of the cluster can ask BinderHub"]),
        ({"networkPolicy": {"enabled": False}}, ["steps of a Dockerfile reach whatever pods reach"]),
        ({"networkPolicy": {"binderhub": {"enabled": True}}}, []),
        ({"config": {"BinderHub": {"auth_enabled": True}}}, []),
    ],
)
def test_the_notes_say_what_is_not_protected(chart: Chart, values: dict[str, Any], said: list[str]) -> None:
    found = notes(str(chart.helm), values)
    assert len(found) == len(said)
    for sentence, part in zip(found, said, strict=True):
        assert part in sentence
