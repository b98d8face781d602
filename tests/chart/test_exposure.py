"""Who may build: an installation that would let anybody in from outside is refused, a running one is warned."""

from typing import Any

import pytest
from chart.notes import Notes
from machine.problem import Problem
from values.rendering import Chart

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


@pytest.mark.parametrize("way", WAYS)
def test_open_to_anybody_is_refused_at_first_and_told_later(notes: Notes, way: str) -> None:
    words = f"can be reached from outside of the cluster, by {way}, and asks nobody who they are. Set hub.enabled"
    with pytest.raises(Problem, match=words):
        notes(WAYS[way])
    (warning,) = [said for said in notes.warnings(WAYS[way], upgrade=True) if words in said]
    assert "or allowAnonymous to true if anybody may build." in warning


@pytest.mark.parametrize("guarded", GUARDED)
@pytest.mark.parametrize("way", ["httpRoute.enabled", "ingress.enabled and service.type NodePort"])
def test_with_somebody_who_asks_or_when_meant_it_is_installed(notes: Notes, way: str, guarded: dict[str, Any]) -> None:
    for upgrade in (False, True):
        assert "outside of the cluster, by" not in notes({**WAYS[way], **guarded}, upgrade=upgrade)


def test_within_the_cluster_nobody_has_to_be_asked(notes: Notes) -> None:
    assert "asks nobody" not in "".join(notes.warnings({}))


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
    with pytest.raises(Problem, match=r"httpRoute\.parentRefs names no Gateway\. Set it to a list"):
        chart.render({"allowAnonymous": True, "httpRoute": {"enabled": True}})
