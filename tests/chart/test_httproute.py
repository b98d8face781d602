"""BinderHub's HTTPRoute. Its schema is in the Gateway API's own project, so its fields are compared one by one."""

from typing import Any

import pytest
from chart_values.rendering import Chart

PARENTS = [{"name": "gateway", "namespace": "gateways", "sectionName": "https"}]


def route(chart: Chart, values: dict[str, Any], **more: Any) -> Any:
    given = {**values, "allowAnonymous": True, "httpRoute": {"enabled": True, "parentRefs": PARENTS, **more}}
    found = chart.render(given).one("HTTPRoute", "binderhub")
    assert found["apiVersion"] == "gateway.networking.k8s.io/v1"
    return found


def test_the_route_leads_to_the_service_without_timeouts(chart: Chart) -> None:
    found = route(chart, {"service": {"port": 8090}}, hostnames=["a.example.org"], annotations={"a/b": "c"})
    assert found["metadata"]["annotations"] == {"a/b": "c"}
    assert found["spec"] == {
        "parentRefs": PARENTS,
        "hostnames": ["a.example.org"],
        "rules": [
            {
                "matches": [{"path": {"type": "PathPrefix", "value": "/"}}],
                "backendRefs": [{"name": "binderhub", "port": 8090}],
                # No bound, https://gateway-api.sigs.k8s.io/reference/spec/ HTTPRouteTimeouts
                "timeouts": {"request": "0s", "backendRequest": "0s"},
            }
        ],
    }


@pytest.mark.parametrize("base_url", ["/services/binder", "/services/binder/"])
def test_the_path_follows_the_base_url(chart: Chart, base_url: str) -> None:
    (rule,) = route(chart, {"config": {"BinderHub": {"base_url": base_url}}})["spec"]["rules"]
    assert rule["matches"] == [{"path": {"type": "PathPrefix", "value": "/services/binder"}}]


def test_filters_and_a_gateway_without_timeouts(chart: Chart) -> None:
    filters = [{"type": "RequestRedirect", "requestRedirect": {"scheme": "https"}}]
    (rule,) = route(chart, {}, filters=filters, timeouts=None)["spec"]["rules"]
    assert rule["filters"] == filters
    assert "timeouts" not in rule


def test_the_route_and_an_ingress_can_coexist(chart: Chart) -> None:
    values = {"ingress": {"enabled": True}, "httpRoute": {"enabled": True, "parentRefs": PARENTS}}
    names = chart.render({"allowAnonymous": True, **values}).names()
    assert {("Ingress", "binderhub"), ("HTTPRoute", "binderhub")} <= names
