"""The value `outboundProxy`: who gets the proxy, what is reached without it, and what network policies let through."""

import re
from typing import Any

import pytest
from chart_values.rendering import Chart, Object, Objects
from common.errors import UserError
from support.config_mount import Mount

PROXY = "http://10.1.2.3:3128"
PEERS = [{"ipBlock": {"cidr": "10.9.8.7/32"}}]


def values(**changes: Any) -> dict[str, Any]:
    return {"outboundProxy": {"url": PROXY, **changes}}


def variables(objects: Objects, kind: str, name: str) -> dict[str, str]:
    """The proxy variables of the first container."""
    container = objects.one(kind, name)["spec"]["template"]["spec"]["containers"][0]
    return {one["name"]: one["value"] for one in container["env"] if one["name"].endswith("_proxy")}


def rules(objects: Objects) -> list[list[Object]]:
    """The egress rules of each network policy that has some."""
    policies = [one for one in objects if one["kind"] == "NetworkPolicy" and one["spec"].get("egress")]
    return [one["spec"]["egress"] for one in policies]


def test_binderhub_and_the_daemons_use_it(chart: Chart) -> None:
    objects = chart.render(values(noProxy=["registry.example.org"]))
    binderhub, daemon = variables(objects, "Deployment", "binderhub"), variables(objects, "DaemonSet", "docker-api")
    for found in (binderhub, daemon):
        assert (found["http_proxy"], found["https_proxy"]) == (PROXY, PROXY)
        assert {"localhost", ".svc", "10.0.0.0/8", "registry.example.org"} <= set(found["no_proxy"].split(","))
    # Kubernetes replaces it by the address of the API, which is public on some clusters.
    assert set(binderhub["no_proxy"].split(",")) - set(daemon["no_proxy"].split(",")) == {"$(KUBERNETES_SERVICE_HOST)"}


def test_build_pods_get_it(mount: Mount) -> None:
    executor = mount.load(values(noProxy=["registry.example.org"]))["KubernetesBuildExecutor"]
    assert executor["http_proxy"] == PROXY
    assert executor["no_proxy"][-1] == "registry.example.org"


def test_without_it_nobody_has_a_proxy(defaults: Objects, mount: Mount) -> None:
    assert variables(defaults, "Deployment", "binderhub") == {}
    assert variables(defaults, "DaemonSet", "docker-api") == {}
    assert "http_proxy" not in mount.load({})["KubernetesBuildExecutor"]


@pytest.mark.parametrize(
    ("hub", "host"),
    [
        ({}, "hub"),
        ({"apiUrl": "http://hub.jhub:8081/hub/api"}, "hub.jhub"),
        ({"apiUrl": "https://hub.example.org/hub/api"}, "hub.example.org"),
    ],
)
def test_the_hub_is_reached_without_it(chart: Chart, hub: Object, host: str) -> None:
    objects = chart.render({**values(), "hub": {"enabled": True, **hub}})
    assert host in variables(objects, "Deployment", "binderhub")["no_proxy"].split(",")


@pytest.mark.parametrize(
    ("url", "rule"),
    [
        (PROXY, {"ports": [{"port": 3128}], "to": [{"ipBlock": {"cidr": "10.1.2.3/32"}}]}),
        ("http://10.1.2.3", {"ports": [{"port": 80}], "to": [{"ipBlock": {"cidr": "10.1.2.3/32"}}]}),
        ("https://[fd00::1]/", {"ports": [{"port": 443}], "to": [{"ipBlock": {"cidr": "fd00::1/128"}}]}),
    ],
)
def test_policies_open_its_address_and_nothing_else(chart: Chart, defaults: Objects, url: str, rule: Object) -> None:
    before, after = rules(defaults), rules(chart.render(values(url=url)))
    assert len(before) == len(after) == 3
    for old, new in zip(before, after, strict=True):
        assert [one for one in new if one not in old] == [rule]
        assert [one for one in old if one not in new] == []


def test_policies_open_what_is_said_of_a_name(chart: Chart, defaults: Objects) -> None:
    after = rules(chart.render(values(url="http://proxy.example.org:3128", peers=PEERS)))
    for old, new in zip(rules(defaults), after, strict=True):
        assert [one for one in new if one not in old] == [{"to": PEERS}]


@pytest.mark.parametrize(
    ("given", "words"),
    [
        ({"outboundProxy": {"peers": PEERS}}, "no proxy. Set outboundProxy.url"),
        ({"outboundProxy": {"noProxy": ["a"]}}, "no proxy. Set outboundProxy.url"),
        (values(url="http://proxy.example.org:3128"), "proxy.example.org, whose address .* Set outboundProxy.peers"),
        ({**values(), "buildPods": {"executor": "upstream"}}, "would not use it. Set buildPods.executor"),
        (
            {**values(), "extraEnv": {"HTTPS_PROXY": "x"}},
            "extraEnv sets HTTPS_PROXY. Leave HTTPS_PROXY out of extraEnv",
        ),
        ({**values(), "dockerApi": {"extraEnv": {"NO_PROXY": "x"}}}, "dockerApi.extraEnv sets NO_PROXY"),
        (
            {**values(), "buildPods": {"extraEnv": [{"name": "http_proxy", "value": "x"}]}},
            "buildPods.extraEnv sets http_proxy",
        ),
        (values(url="http://user:secret@10.1.2.3:3128"), "url"),
        (values(url="10.1.2.3:3128"), "url"),
    ],
)
def test_what_would_not_work_is_refused(chart: Chart, given: Object, words: str) -> None:
    with pytest.raises(UserError, match=words) as refused:
        chart.render(given)
    assert not re.search("schema is invalid", str(refused.value))


@pytest.mark.parametrize(
    "further",
    [
        {"networkPolicy": {"enabled": False}},
        {"networkPolicy": {"egressAllowRules": {"privateIPs": True}}},
        {"networkPolicy": {"buildPods": {"egress": [{"ports": [{"port": 3128}]}]}}},
    ],
)
def test_a_name_is_accepted_where_policies_let_builds_reach_it(chart: Chart, further: Object) -> None:
    objects = chart.render({**values(url="http://proxy.example.org:3128"), **further})
    assert variables(objects, "DaemonSet", "docker-api")["http_proxy"] == "http://proxy.example.org:3128"
