"""Who may build: nothing is rendered until a value says so."""

import json
import subprocess
from pathlib import Path
from typing import Any

import pytest
from chart_values.rendering import Chart
from common.errors import UserError
from common.paths import CHART
from support.notes import Notes

ROUTE = {"httpRoute": {"enabled": True, "parentRefs": [{"name": "gateway"}]}}
WAYS: dict[str, dict[str, Any]] = {
    "ingress.enabled": {"ingress": {"enabled": True}},
    "httpRoute.enabled": ROUTE,
    "service.type NodePort": {"service": {"type": "NodePort"}},
    "service.type LoadBalancer": {"service": {"type": "LoadBalancer"}},
    "ingress.enabled and service.type NodePort": {"ingress": {"enabled": True}, "service": {"type": "NodePort"}},
}
GUARDED: list[dict[str, Any]] = [
    {"allowAnonymous": True},
    {"hub": {"enabled": True}},
    {"config": {"BinderHub": {"auth_enabled": True}}},
]


POLICY = {"networkPolicy": {"binderhub": {"enabled": True}}}
UNSAID = "No value says who may build. "


@pytest.fixture
def bare(helm: Path) -> Chart:
    """The chart without any value of the tests' own."""
    return Chart(helm)


def refusal(helm: Path, values: dict[str, Any], *words: str) -> str:
    """What Helm says against it; nothing where it renders."""
    command = [str(helm), "template", "rel", str(CHART), "--values=-", *words]
    done = subprocess.run(command, input=json.dumps(values), capture_output=True, text=True, check=False)
    return done.stderr if done.returncode else ""


@pytest.mark.parametrize("words", [(), ("--is-upgrade",)], ids=["installation", "upgrade"])
def test_the_chart_renders_nothing_until_a_value_says_who_may_build(helm: Path, words: tuple[str, ...]) -> None:
    said = refusal(helm, {}, *words)
    assert UNSAID in said
    for value in ("hub.enabled", "networkPolicy.binderhub.enabled", "allowAnonymous"):
        assert f"{value} to true to let" in said


@pytest.mark.parametrize("guarded", [*GUARDED, POLICY])
def test_each_of_the_values_says_who_may_build(bare: Chart, guarded: dict[str, Any]) -> None:
    assert ("Deployment", "binderhub") in bare.render(guarded).names()


@pytest.mark.parametrize("value", [None, False])
def test_a_value_that_turns_it_off_says_nothing(helm: Path, value: object) -> None:
    assert UNSAID in refusal(helm, {"hub": {"enabled": False}, "config": {"BinderHub": {"auth_enabled": value}}})


@pytest.mark.parametrize("value", ["false", "true", "", 0, 1, {}])
def test_values_that_are_not_boolean_are_refused(helm: Path, value: object) -> None:
    assert "/config/BinderHub/auth_enabled" in refusal(helm, {"config": {"BinderHub": {"auth_enabled": value}}})


@pytest.mark.parametrize("port", ["http", 8585])
def test_a_policy_that_opens_the_port_to_everybody_is_not_enough(helm: Path, port: str | int) -> None:
    policy = {"enabled": True, "allowedIngressPorts": [port]}
    assert UNSAID in refusal(helm, {"networkPolicy": {"binderhub": policy}})
    assert refusal(helm, {"networkPolicy": {"binderhub": {**policy, "allowedIngressPorts": [9000]}}}) == ""


PROXY = {"podSelector": {"matchLabels": {"app": "proxy"}}}


@pytest.mark.parametrize(
    "rule",
    [
        {},
        None,
        {"from": []},
        {"from": None},
        {"ports": [{"port": "http"}]},
        {"from": [PROXY, {"ipBlock": {"cidr": "0.0.0.0/0"}}]},
        {"from": [{"ipBlock": {"cidr": "::/0", "except": ["fc00::/7"]}}]},
    ],
    ids=str,
)
def test_a_rule_that_is_for_everybody_is_not_enough(helm: Path, bare: Chart, rule: dict[str, Any] | None) -> None:
    policy = {"enabled": True, "ingress": [{"from": [PROXY]}, rule]}
    assert UNSAID in refusal(helm, {"networkPolicy": {"binderhub": policy}})
    assert bare.render({"networkPolicy": {"binderhub": policy}, "allowAnonymous": True}).names()


def test_a_rule_that_names_clients_is_enough(helm: Path) -> None:
    rules = [{"from": [PROXY]}, {"from": [{"ipBlock": {"cidr": "10.0.0.0/8"}}]}]
    assert refusal(helm, {"networkPolicy": {"binderhub": {"enabled": True, "ingress": rules}}}) == ""


@pytest.mark.parametrize("upgrade", [False, True], ids=["installation", "upgrade"])
@pytest.mark.parametrize("policy", [{}, {"networkPolicy": {"binderhub": {"enabled": True, "ingress": [{}]}}}])
@pytest.mark.parametrize("way", WAYS)
def test_an_exposed_service_needs_a_hub_or_allow_anonymous(
    helm: Path, way: str, policy: dict[str, Any], upgrade: bool
) -> None:
    said = refusal(helm, {**WAYS[way], **policy}, *(["--is-upgrade"] if upgrade else []))
    assert f"can be reached from outside the cluster, by {way}, and requires no login. Set hub.enabled" in said
    assert "or allowAnonymous to true if anybody may build." in said


@pytest.mark.parametrize("guarded", GUARDED)
@pytest.mark.parametrize("way", ["httpRoute.enabled", "ingress.enabled and service.type NodePort"])
def test_an_exposed_service_renders_with_a_hub_or_allow_anonymous(
    bare: Chart, way: str, guarded: dict[str, Any]
) -> None:
    assert ("Deployment", "binderhub") in bare.render({**WAYS[way], **guarded}).names()


@pytest.mark.parametrize(
    ("values", "told"),
    [
        ({}, True),
        ({"extraEnv": [{"name": "JUPYTERHUB_API_URL", "value": "x"}]}, True),
        ({"extraEnv": [{"name": "JUPYTERHUB_SERVICE_NAME", "value": "binder"}]}, False),
        ({"extraEnv": {"JUPYTERHUB_OAUTH_ACCESS_SCOPES": '["a"]'}}, False),
        ({"hub": {"enabled": True}}, False),
    ],
)
def test_a_hub_without_the_services_name_is_told(notes: Notes, values: dict[str, Any], told: bool) -> None:
    warnings = notes.warnings({"config": {"BinderHub": {"auth_enabled": True}}, **values})
    assert any("any token of the JupyterHub will do" in warning for warning in warnings) is told


def test_a_route_without_a_gateway_is_refused(chart: Chart) -> None:
    with pytest.raises(UserError, match=r"httpRoute\.parentRefs names no Gateway\. Set it to a list"):
        chart.render({"allowAnonymous": True, "httpRoute": {"enabled": True}})
