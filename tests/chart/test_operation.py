"""What those who run a cluster want of BinderHub: bounds for evictions, and metrics that are found."""

from typing import Any

import pytest
from chart_values.rendering import Chart, Objects
from common.errors import UserError


@pytest.mark.parametrize(
    ("pdb", "spec"),
    [
        ({}, {"maxUnavailable": 1}),
        ({"maxUnavailable": 0}, {"maxUnavailable": 0}),
        ({"minAvailable": 1}, {"minAvailable": 1}),
        ({"minAvailable": "50%"}, {"minAvailable": "50%"}),
    ],
)
def test_an_eviction_is_bounded(chart: Chart, pdb: dict[str, Any], spec: dict[str, Any]) -> None:
    objects = chart.render({"pdb": {"enabled": True, **pdb}})
    found = objects.one("PodDisruptionBudget", "binderhub")
    labels = found["spec"].pop("selector")["matchLabels"]
    assert found["spec"] == spec
    assert labels == objects.one("Deployment", "binderhub")["spec"]["selector"]["matchLabels"]


def test_an_eviction_with_two_bounds_is_refused(chart: Chart) -> None:
    with pytest.raises(UserError, match=r"pdb\.minAvailable and pdb\.maxUnavailable are both set.*Leave one"):
        chart.render({"pdb": {"enabled": True, "minAvailable": 0, "maxUnavailable": 1}})


def test_prometheus_is_told_where_to_ask_when_that_is_wanted(chart: Chart, defaults: Objects) -> None:
    assert "annotations" not in defaults.one("Service", "binderhub")["metadata"]
    values = {
        "metrics": {"scrape": True},
        "config": {"BinderHub": {"base_url": "/services/binder/", "port": 8586}},
        "service": {"annotations": {"a/b": "c", "prometheus.io/port": "1"}},
    }
    assert chart.render(values).one("Service", "binderhub")["metadata"]["annotations"] == {
        "prometheus.io/scrape": "true",
        "prometheus.io/path": "/services/binder/metrics",
        "prometheus.io/port": "1",
        "a/b": "c",
    }
    del values["service"]
    annotations = chart.render(values).one("Service", "binderhub")["metadata"]["annotations"]
    assert annotations["prometheus.io/port"] == "8586"
