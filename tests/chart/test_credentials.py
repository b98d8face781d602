"""The Secret that build pods push with."""

import base64
import json
from typing import Any

import pytest
from chart_values.rendering import Chart
from common.errors import UserError

LOGIN = {"server": "https://quay.io", "username": "robot", "password": "p:ä"}
AUTH = {"auths": {"https://quay.io": {"auth": base64.b64encode("robot:p:ä".encode()).decode()}}}


def docker_config(chart: Chart, values: dict[str, Any]) -> object:
    secret = chart.render(values).one("Secret", "build-pods-docker-config")
    assert set(secret["stringData"]) == {"config.json"}
    return json.loads(secret["stringData"]["config.json"])


@pytest.mark.parametrize(
    ("binderhub", "config"),
    [
        ({}, AUTH),
        ({"use_registry": True}, AUTH),
        ({"use_registry": None}, AUTH),
        ({"use_registry": False}, {}),
    ],
)
def test_the_login_is_written_unless_nothing_is_pushed(chart: Chart, binderhub: dict[str, Any], config: object) -> None:
    daemon = {"DOCKER_HOST": "tcp://docker:2375"}  # for BinderHub without a registry
    values = {"buildPodsRegistryCredentials": LOGIN, "config": {"BinderHub": binderhub}, "extraEnv": daemon}
    assert docker_config(chart, values) == config


def test_no_login_gives_an_empty_config(chart: Chart) -> None:
    assert docker_config(chart, {}) == {}
    assert docker_config(chart, {"buildPodsRegistryCredentials": {"server": "http://localhost:5000"}}) == {}


def test_the_login_joins_the_docker_config_that_was_given(chart: Chart) -> None:
    helpers, auths = {"x": "ecr-login"}, {"ghcr.io": {"auth": "eDp5"}}
    given = {"credHelpers": helpers, "auths": auths}
    assert docker_config(chart, {"buildPodsDockerConfig": given}) == given
    both = docker_config(chart, {"buildPodsDockerConfig": given, "buildPodsRegistryCredentials": LOGIN})
    assert both == {"credHelpers": helpers, "auths": {**auths, **AUTH["auths"]}}


def test_the_login_is_stronger_than_the_docker_config(chart: Chart) -> None:
    given = {"auths": {"https://quay.io": {"auth": "b2xkOm9sZA=="}}}
    assert docker_config(chart, {"buildPodsDockerConfig": given, "buildPodsRegistryCredentials": LOGIN}) == AUTH


def test_a_login_without_a_server_is_refused(chart: Chart) -> None:
    with pytest.raises(UserError, match=r"without a server\. Set buildPodsRegistryCredentials\.server"):
        chart.render({"buildPodsRegistryCredentials": {"username": "robot", "password": "secret-word"}})


def test_the_password_is_in_that_secret_alone(chart: Chart) -> None:
    objects = chart.render({"buildPodsRegistryCredentials": {**LOGIN, "password": "needle"}})
    encoded = base64.b64encode(b"robot:needle").decode()
    assert {found["metadata"]["name"] for found in objects if encoded in json.dumps(found)} == {
        "build-pods-docker-config"
    }
    assert not [found for found in objects if "needle" in json.dumps(found)]
