"""The value `hub`: what BinderHub is told of the JupyterHub whose users may build."""

from typing import Any

import pytest
from chart_values.rendering import Chart, Objects
from common.errors import UserError
from support.config_mount import Mount


def env(objects: Objects) -> dict[str, Any]:
    """What stands for each JUPYTERHUB_ variable: a text, or the reference to a Secret's key."""
    (container,) = objects.one("Deployment", "binderhub")["spec"]["template"]["spec"]["containers"]
    return {
        entry["name"]: entry["value"] if "value" in entry else entry["valueFrom"]["secretKeyRef"]
        for entry in container["env"]
        if entry["name"].startswith("JUPYTERHUB_")
    }


def hub(**more: Any) -> dict[str, Any]:
    return {"hub": {"enabled": True, **more}}


def test_beside_zero_to_jupyterhub_nothing_else_has_to_be_said(chart: Chart) -> None:
    assert env(chart.render(hub())) == {
        "JUPYTERHUB_SERVICE_NAME": "binder",
        "JUPYTERHUB_API_URL": "http://hub:8081/hub/api",
        "JUPYTERHUB_API_TOKEN": {"name": "hub", "key": "hub.services.binder.apiToken"},
        "JUPYTERHUB_BASE_URL": "/",
        "JUPYTERHUB_SERVICE_PREFIX": "/services/binder/",
        "JUPYTERHUB_CLIENT_ID": "service-binder",
        "JUPYTERHUB_OAUTH_CALLBACK_URL": "/services/binder/oauth_callback",
    }


@pytest.mark.parametrize("base_url", ["/jupyter", "/jupyter/"])
def test_names_and_paths_follow_the_service_and_the_hubs_own_path(chart: Chart, base_url: str) -> None:
    assert env(chart.render(hub(serviceName="b2", baseUrl=base_url))) == {
        "JUPYTERHUB_SERVICE_NAME": "b2",
        "JUPYTERHUB_API_URL": "http://hub:8081/jupyter/hub/api",
        "JUPYTERHUB_API_TOKEN": {"name": "hub", "key": "hub.services.b2.apiToken"},
        "JUPYTERHUB_BASE_URL": "/jupyter/",
        "JUPYTERHUB_SERVICE_PREFIX": "/jupyter/services/b2/",
        "JUPYTERHUB_CLIENT_ID": "service-b2",
        "JUPYTERHUB_OAUTH_CALLBACK_URL": "/jupyter/services/b2/oauth_callback",
    }


def test_the_api_and_the_token_can_be_elsewhere(chart: Chart) -> None:
    values = hub(
        apiUrl="http://hub.{{ .Release.Namespace }}-hub:8081/hub/api", apiTokenSecret={"name": "t", "key": "k"}
    )
    told = env(chart.render(values))
    assert told["JUPYTERHUB_API_URL"] == "http://hub.ns1-hub:8081/hub/api"
    assert told["JUPYTERHUB_API_TOKEN"] == {"name": "t", "key": "k"}


def test_a_page_for_people_on_a_host_of_its_own(chart: Chart, mount: Mount) -> None:
    values = {
        **hub(servicePrefix="/", oauthCallbackUrl="https://binder.example.org/oauth_callback"),
        "config": {"BinderHub": {"enable_api_only_mode": False, "hub_url": "https://hub.example.org/path/"}},
    }
    told = env(chart.render(values))
    assert told["JUPYTERHUB_OAUTH_CALLBACK_URL"] == "https://binder.example.org/oauth_callback"
    assert told["JUPYTERHUB_HOST"] == "https://hub.example.org"
    assert told["JUPYTERHUB_SERVICE_PREFIX"] == mount.load(values).BinderHub.base_url == "/"


def test_without_a_hub_nothing_is_told(defaults: Objects, mount: Mount) -> None:
    assert env(defaults) == {}
    assert "auth_enabled" not in mount.load({}).BinderHub


def test_probes_ingress_and_binderhub_agree_on_where_it_answers(mount: Mount) -> None:
    values = {**hub(), "ingress": {"enabled": True}}
    objects = mount.chart.render(values)
    (container,) = objects.one("Deployment", "binderhub")["spec"]["template"]["spec"]["containers"]
    assert container["readinessProbe"]["httpGet"]["path"] == "/services/binder/versions"
    (rule,) = objects.one("Ingress", "binderhub")["spec"]["rules"]
    assert rule["http"]["paths"][0]["path"] == "/services/binder/"
    config = mount.load(values).BinderHub
    assert (config.base_url, config.auth_enabled) == ("/services/binder/", True)


@pytest.mark.parametrize("more", [{}, {"servicePrefix": "/b"}, {"servicePrefix": "/b/"}])
def test_the_base_url_that_was_set_is_stronger(mount: Mount, more: dict[str, Any]) -> None:
    values = {**hub(**more), "config": {"BinderHub": {"base_url": "/b"}}}
    assert mount.load(values).BinderHub.base_url == "/b/"
    assert env(mount.chart.render(values))["JUPYTERHUB_SERVICE_PREFIX"] == "/b/"


@pytest.mark.parametrize(
    ("values", "words"),
    [
        (
            {**hub(), "config": {"BinderHub": {"auth_enabled": False}}},
            r"hub\.enabled is true, but config\.BinderHub\.auth_enabled is false.*Leave config",
        ),
        (
            {**hub(servicePrefix="/a/"), "config": {"BinderHub": {"base_url": "/b"}}},
            r"config\.BinderHub\.base_url is /b, and hub\.servicePrefix is /a/\. Leave one of them out",
        ),
        (
            {**hub(), "extraEnv": [{"name": "JUPYTERHUB_API_URL", "value": "x"}]},
            r"extraEnv sets JUPYTERHUB_API_URL, which hub\.enabled sets too\. Leave it out",
        ),
        ({**hub(), "extraEnv": {"JUPYTERHUB_CLIENT_ID": "x"}}, "extraEnv sets JUPYTERHUB_CLIENT_ID"),
    ],
)
def test_contradictory_values_are_refused(chart: Chart, values: dict[str, Any], words: str) -> None:
    with pytest.raises(UserError, match=words):
        chart.render(values)


def test_variables_that_only_extra_env_sets_are_accepted(chart: Chart) -> None:
    told = env(chart.render({**hub(), "extraEnv": {"JUPYTERHUB_PUBLIC_URL": "https://x"}}))
    assert told["JUPYTERHUB_PUBLIC_URL"] == "https://x"
