"""What BinderHub's Deployment does in an upgrade; tests/cluster/test_service_faults.py sees it on a cluster."""

from chart_values.rendering import Objects


def test_an_upgrade_refuses_nobody(defaults: Objects) -> None:
    """A pod stays until another is ready, and answers for a while after it was told to end."""
    spec = defaults.one("Deployment", "binderhub")["spec"]
    assert spec["strategy"] == {"type": "RollingUpdate", "rollingUpdate": {"maxUnavailable": 0}}
    pod = spec["template"]["spec"]
    program, seconds = pod["containers"][0]["lifecycle"]["preStop"]["exec"]["command"]
    assert program == "sleep"
    assert 1 < int(seconds) < pod.get("terminationGracePeriodSeconds", 30)
