"""Who may build when auth is on: BinderHub asks the Hub who a token belongs to, and which scopes it has."""

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any
from urllib.parse import quote

import pytest
import yaml
from chart_values.rendering import Chart
from local_cluster import go_tools
from support.binderhub import Installed, Service, running
from support.jupyterhub import Hub
from support.jupyterhub import running as jupyterhub

pytestmark = pytest.mark.together

FORBIDDEN = [{"phase": "failed", "status_code": 403, "message": "Forbidden\n"}]


def not_allowed(user: str) -> list[dict[str, Any]]:
    """The answer to somebody without the scope."""
    return [{**FORBIDDEN[0], "message": f"user {user} is not allowed.\n"}]


@pytest.fixture(scope="module")
def hub(binderhub: Installed, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Hub]:
    """A real JupyterHub, of the version that BinderHub's image has."""
    with jupyterhub(binderhub.python, tmp_path_factory.mktemp("jupyterhub")) as started:
        yield started


def ask(service: Service, header: str | None) -> list[Any]:
    ref = service.script([("status", "BUILT")])
    spec = f"{quote('https://git.example/x', safe='')}/{ref}"
    return service.events(spec, headers={"Authorization": header} if header else None)


CONFIG = "c.BinderHub.auth_enabled = True\nc.RateLimiter.limit = 1\n"


def test_with_the_services_name_a_token_needs_its_scope(binderhub: Installed, tmp_path: Path, hub: Hub) -> None:
    env = hub.environment(JUPYTERHUB_SERVICE_NAME="binder")
    with running(binderhub, tmp_path, CONFIG, env) as service:
        for scheme in ("token", "Bearer"):
            # More often than the rate limit, which is for unknown people.
            assert [event["phase"] for event in ask(service, f"{scheme} {hub.people.ada}")] == ["waiting", "ready"]
        assert ask(service, f"token {hub.people.eve}") == not_allowed("eve")
        assert ask(service, "token unknown") == FORBIDDEN
        assert ask(service, None) == FORBIDDEN
        assert service.get("/versions").status_code == 200
        assert hub.people.ada not in service.log.read_text()


def test_without_the_services_name_any_token_of_the_hub_will_do(binderhub: Installed, tmp_path: Path, hub: Hub) -> None:
    with running(binderhub, tmp_path, CONFIG, hub.environment()) as service:
        assert [event["phase"] for event in ask(service, f"token {hub.people.eve}")] == ["waiting", "ready"]
        assert ask(service, "token unknown") == FORBIDDEN


def rendered(hub: dict[str, Any]) -> tuple[dict[str, str], dict[str, Any]]:
    """The environment that the chart gives BinderHub, with a token for the Secret, and what it gives c.BinderHub."""
    objects = Chart(go_tools.folder() / "helm").render({"hub": {"enabled": True, **hub}})
    (container,) = objects.one("Deployment", "binderhub")["spec"]["template"]["spec"]["containers"]
    told = {entry["name"]: entry.get("value", "from a Secret") for entry in container["env"]}
    config = yaml.safe_load(objects.one("Secret", "binderhub")["stringData"]["chart-config.yaml"])["config"]
    return {name: value for name, value in told.items() if name.startswith("JUPYTERHUB_")}, config["BinderHub"]


def test_the_charts_environment_asks_for_the_scope_of_its_service(
    binderhub: Installed, tmp_path: Path, hub: Hub
) -> None:
    env, traits = rendered({"apiUrl": hub.api})
    assert env["JUPYTERHUB_API_TOKEN"] == "from a Secret"  # noqa: S105 - not one
    config = "".join(f"c.BinderHub.{name} = {traits[name]!r}\n" for name in ("auth_enabled", "base_url"))
    with running(binderhub, tmp_path, config, env) as service:
        assert service.get("/versions").status_code == 404
        below = replace(service, url=f"{service.url}/services/binder")
        assert below.get("/versions").status_code == 200
        assert [event["phase"] for event in ask(below, f"token {hub.people.ada}")] == ["waiting", "ready"]
        assert ask(below, f"token {hub.people.eve}") == not_allowed("eve")
        assert ask(below, None) == FORBIDDEN


def test_another_services_scope_is_not_enough(binderhub: Installed, tmp_path: Path, hub: Hub) -> None:
    env, _ = rendered({"apiUrl": hub.api, "serviceName": "builder"})
    with running(binderhub, tmp_path, CONFIG, env) as service:
        assert ask(service, f"token {hub.people.ada}") == not_allowed("ada")
