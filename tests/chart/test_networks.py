"""The network policies: what they let through, as Kubernetes reads them, and whom they choose."""

import ipaddress
import re
import subprocess
from typing import Any

import pytest
import yaml
from chart_values.rendering import ANONYMOUS, Chart, Objects
from common.errors import UserError
from common.paths import CHART

BUILD_PODS, DOCKER_API, BINDERHUB = "binderhub-builder-network-policy", "binderhub-dind-network-policy", "binderhub"
OUT_OF_BINDERHUB = "binderhub-egress"
BUILDING = (BUILD_PODS, DOCKER_API)
KUBE_DNS = {"k8s-app": "kube-dns"}

METADATA = ("169.254.169.254", "fd00:ec2::254", "168.63.129.16", "100.100.100.200")
ROUTED = (
    *("10.0.0.1", "172.16.0.1", "172.31.255.254", "192.168.1.1", "fd12::1"),
    *("100.64.0.1", "100.100.100.201", "100.127.255.254"),
)
PRIVATE = (*ROUTED, "fe80::1", "64:ff9b::10.0.0.1", "240.0.0.1", "255.255.255.255")
PUBLIC = ("140.82.112.3", "100.63.255.254", "100.128.0.1", "239.255.255.255", "172.32.0.1", "2606:50c0:8000::153")
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
        any("ipBlock" in peer and covers(peer["ipBlock"], address) for peer in rule.get("to", []))
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
    words = [helm, "install", "rel", str(CHART), "--namespace", "ns1", "--dry-run=client"]
    words += ["--values", str(ANONYMOUS), "--values", "-"]
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
    objects = chart.render({"networkPolicy": {"blockedCIDRs": ["203.0.113.0/24", "100.64.0.0/10", "2001:db8::/32"]}})
    assert not any(
        reaches(objects, name, address) for address in ("203.0.113.1", "100.64.0.1", "2001:db8::1", *METADATA)
    )
    for rule in spec(objects, name)["egress"]:
        for peer in rule["to"]:
            blocks = peer.get("ipBlock", {}).get("except", [])
            assert len(blocks) == len(set(blocks))
    assert all(reaches(objects, name, address) for address in ("140.82.112.3", "2606:50c0:8000::153"))


@pytest.mark.parametrize("wrong", ["10.0.0.1", "example.org/24", "0.0.0.0/0"])
def test_a_block_that_is_none_is_refused(chart: Chart, wrong: str) -> None:
    with pytest.raises(UserError, match="blockedCIDRs"):
        chart.render({"networkPolicy": {"blockedCIDRs": [wrong]}})


@pytest.mark.parametrize(
    ("key", "name"), [("buildPods", BUILD_PODS), ("dockerApi", DOCKER_API), ("binderhub", OUT_OF_BINDERHUB)]
)
def test_rules_of_ones_own_are_added_to_one_kind_of_pod(chart: Chart, defaults: Objects, key: str, name: str) -> None:
    rules = [
        {"to": [{"ipBlock": {"cidr": "10.1.2.3/32"}}], "ports": [{"protocol": "TCP", "port": 5000}]},
        {"to": [{"podSelector": {"matchLabels": {"app": "registry"}}}]},
    ]
    objects = chart.render({"networkPolicy": {key: {"egress": rules}}})
    assert spec(objects, name)["egress"] == [*spec(defaults, name)["egress"], *rules]
    for other in {*BUILDING, OUT_OF_BINDERHUB} - {name}:
        assert spec(objects, other) == spec(defaults, other)


def test_docker_api_pods_accept_what_they_are_told_to(chart: Chart, defaults: Objects) -> None:
    assert set(spec(defaults, DOCKER_API)["policyTypes"]) == {"Ingress", "Egress"}
    # Kubernetes stores no empty list, which each server-side apply would then add anew.
    assert "ingress" not in spec(defaults, DOCKER_API)
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


def test_ingress_to_binderhub_is_open_by_default(defaults: Objects) -> None:
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
def test_contradictory_values_are_refused(chart: Chart, values: dict[str, Any], said: str) -> None:
    with pytest.raises(UserError, match=said):
        chart.render({"networkPolicy": {"binderhub": {"enabled": True}}, **values})


@pytest.mark.parametrize(
    ("values", "said"),
    [
        ({}, ["Any pod in the cluster can request builds"]),
        (
            {"networkPolicy": {"binderhub": {"enabled": True, "egressEnabled": False}}},
            ["any host that a visitor names"],
        ),
        ({"hub": {"enabled": True}}, []),
        ({"networkPolicy": {"enabled": False}}, ["steps of a Dockerfile can reach everything that pods can reach"]),
        ({"networkPolicy": {"binderhub": {"enabled": True}}}, []),
        ({"config": {"BinderHub": {"auth_enabled": True}}}, []),
    ],
)
def test_the_notes_say_what_is_not_protected(chart: Chart, values: dict[str, Any], said: list[str]) -> None:
    found = notes(str(chart.helm), values)
    assert len(found) == len(said)
    for sentence, part in zip(found, said, strict=True):
        assert part in sentence


def opens(objects: Objects, labels: dict[str, str], port: int, namespace: str = "ns1") -> bool:
    """Whether BinderHub may connect to a pod with `labels` in a namespace."""
    there = {"kubernetes.io/metadata.name": namespace}
    for rule in spec(objects, OUT_OF_BINDERHUB)["egress"]:
        if "ports" in rule and port not in [one["port"] for one in rule["ports"]]:
            continue
        for peer in rule["to"]:
            if "ipBlock" in peer:
                continue
            own = "namespaceSelector" not in peer and namespace == "ns1"
            chosen = "namespaceSelector" in peer and matches(peer["namespaceSelector"], there)
            if (own or chosen) and matches(peer.get("podSelector", {}), labels):
                return True
    return False


def test_the_egress_policy_of_binderhub_is_for_its_pods(defaults: Objects) -> None:
    chosen = spec(defaults, OUT_OF_BINDERHUB)
    assert chosen["policyTypes"] == ["Egress"]
    (template,) = [found["spec"]["template"] for found in defaults if found["kind"] == "Deployment"]
    assert matches(chosen["podSelector"], template["metadata"]["labels"])


def test_binderhub_reaches_what_is_public_and_name_servers(defaults: Objects) -> None:
    assert all(reaches(defaults, OUT_OF_BINDERHUB, address, port) for address in PUBLIC for port in (80, 443, 8443))
    assert all(reaches(defaults, OUT_OF_BINDERHUB, address, 53) for address in (*NODE_DNS, *ROUTED))
    assert opens(defaults, KUBE_DNS, 53, "kube-system")


def test_binderhub_reaches_neither_what_is_private_nor_metadata(defaults: Objects) -> None:
    ports = (22, 80, 2379, 5000, 8081, 10250)
    closed = (*PRIVATE, *METADATA)
    assert [(one, port) for one in closed for port in ports if reaches(defaults, OUT_OF_BINDERHUB, one, port)] == []
    assert [one for one in METADATA for port in (443, 6443) if reaches(defaults, OUT_OF_BINDERHUB, one, port)] == []


def test_the_kubernetes_api_is_reached_wherever_it_is(chart: Chart, defaults: Objects) -> None:
    for port in (443, 6443):
        assert all(reaches(defaults, OUT_OF_BINDERHUB, address, port) for address in (*ROUTED, "240.0.0.1"))
    api = {"cidrs": ["10.1.2.3/32"], "ports": [16443]}
    objects = chart.render({"networkPolicy": {"binderhub": {"kubernetesApi": api}}})
    assert [address for address in ("10.1.2.3", *PRIVATE) if reaches(objects, OUT_OF_BINDERHUB, address, 16443)] == [
        "10.1.2.3"
    ]
    assert not any(reaches(objects, OUT_OF_BINDERHUB, address, 443) for address in PRIVATE)


@pytest.mark.parametrize(
    ("hub", "namespace"),
    [
        ({}, "ns1"),
        ({"apiUrl": "http://hub:8081/hub/api"}, "ns1"),
        ({"apiUrl": "http://hub.jupyter:8081/hub/api"}, "jupyter"),
        ({"apiUrl": "http://hub.jupyter.svc:8081/hub/api"}, "jupyter"),
        ({"apiUrl": "http://hub.jupyter.svc.cluster.local.:8081/hub/api"}, "jupyter"),
        ({"apiUrl": "http://hub.{{ .Release.Namespace }}.svc.cluster.local:8081/hub/api"}, "ns1"),
    ],
)
def test_the_hub_is_reached_in_its_namespace_and_no_other_pod_is(
    chart: Chart, hub: dict[str, Any], namespace: str
) -> None:
    objects = chart.render({"hub": {"enabled": True, **hub}})
    assert opens(objects, HUB, 8081, namespace)
    assert not opens(objects, USER, 8081, namespace)
    assert not opens(objects, HUB, 8081, "other")


def test_a_hub_that_extra_env_names_is_reached(chart: Chart) -> None:
    environment = {"JUPYTERHUB_API_URL": "http://hub.{{ .Release.Namespace }}-hub.svc:8081/hub/api"}
    objects = chart.render({"config": {"BinderHub": {"auth_enabled": True}}, "extraEnv": environment})
    assert opens(objects, HUB, 8081, "ns1-hub")


# Values, then addresses and ports that they open beyond the defaults.
CONFIGURED: list[tuple[dict[str, Any], tuple[str, int]]] = [
    ({"registry": {"server": "10.20.0.5:5000"}}, ("10.20.0.5", 5000)),
    ({"registry": {"server": "10.20.0.5", "insecure": True}}, ("10.20.0.5", 80)),
    ({"registry": {"server": "[fd12::5]:5000"}}, ("fd12::5", 5000)),
    ({"config": {"DockerRegistry": {"url": "https://10.20.0.5:8443"}}}, ("10.20.0.5", 8443)),
    ({"config": {"DockerRegistry": {"token_url": "https://10.20.0.6:8443/token"}}}, ("10.20.0.6", 8443)),
    ({"config": {"ExternalRegistryHelper": {"service_url": "http://10.20.0.7:8080"}}}, ("10.20.0.7", 8080)),
    ({"extraEnv": {"https_proxy": "http://user:word@10.20.0.8:3128"}}, ("10.20.0.8", 3128)),
    ({"extraEnv": {"HTTP_PROXY": "10.20.0.8:3128"}}, ("10.20.0.8", 3128)),
]


@pytest.mark.parametrize(
    ("values", "opened"), CONFIGURED, ids=lambda part: part[0] if isinstance(part, tuple) else None
)
def test_an_address_that_is_configured_is_opened_alone(
    chart: Chart, defaults: Objects, values: dict[str, Any], opened: tuple[str, int]
) -> None:
    objects = chart.render(values)
    address, port = opened
    assert not reaches(defaults, OUT_OF_BINDERHUB, address, port)
    assert reaches(objects, OUT_OF_BINDERHUB, address, port)
    assert not any(reaches(objects, OUT_OF_BINDERHUB, other, port) for other in ("10.0.0.1", "fd12::1", *METADATA))
    assert not reaches(objects, OUT_OF_BINDERHUB, address, 2379)


@pytest.mark.parametrize("server", ["registry.example.org:5000", "https://Registry.corp.example.org:5000/v2/"])
def test_the_port_of_a_registry_that_only_dns_knows_is_opened(chart: Chart, server: str) -> None:
    objects = chart.render({"registry": {"server": server}})
    assert all(reaches(objects, OUT_OF_BINDERHUB, address, 5000) for address in ROUTED)
    assert not any(reaches(objects, OUT_OF_BINDERHUB, address, 5000) for address in METADATA)
    assert not any(reaches(objects, OUT_OF_BINDERHUB, address, 5001) for address in ROUTED)


@pytest.mark.parametrize("server", ["quay.io", "docker.io", "ghcr.io", "europe-docker.pkg.dev"])
def test_a_public_registry_opens_nothing_private(chart: Chart, server: str) -> None:
    narrow = {"networkPolicy": {"binderhub": {"kubernetesApi": {"cidrs": ["10.1.2.3/32"]}}}}
    objects = chart.render({**narrow, "registry": {"server": server}})
    assert spec(objects, OUT_OF_BINDERHUB) == spec(chart.render(narrow), OUT_OF_BINDERHUB)


@pytest.mark.parametrize(
    ("server", "namespace"),
    [("registry:5000", "ns1"), ("registry.tools:5000", "tools"), ("registry.tools.svc.cluster.local:5000", "tools")],
)
def test_a_registry_in_the_cluster_is_opened_at_the_ports_of_its_pods(
    chart: Chart, server: str, namespace: str
) -> None:
    objects = chart.render({"registry": {"server": server}})
    assert opens(objects, {"app": "registry"}, 15000, namespace)
    assert not opens(objects, {"app": "registry"}, 15000, "other")


@pytest.mark.parametrize(("key", "opened"), [("privateIPs", ROUTED), ("cloudMetadataServer", METADATA)])
def test_binderhub_may_reach_what_builds_may_reach(chart: Chart, key: str, opened: tuple[str, ...]) -> None:
    objects = chart.render({"networkPolicy": {"egressAllowRules": {key: True}}})
    found = {one for one in (*PRIVATE, *METADATA) if reaches(objects, OUT_OF_BINDERHUB, one, 80)}
    assert found == set(opened)


def test_binderhub_reaches_the_internet_where_builds_do_not(chart: Chart) -> None:
    objects = chart.render({"networkPolicy": {"egressAllowRules": {"nonPrivateIPs": False}}})
    assert all(reaches(objects, OUT_OF_BINDERHUB, address) for address in PUBLIC)


def test_the_egress_policy_can_be_left_out(chart: Chart, defaults: Objects) -> None:
    objects = chart.render({"networkPolicy": {"binderhub": {"egressEnabled": False}}})
    assert defaults.names() - objects.names() == {("NetworkPolicy", OUT_OF_BINDERHUB)}
