"""Who may build when auth is on: BinderHub asks the Hub who a token belongs to, and which scopes it has."""

import json
import threading
from collections.abc import Iterator
from dataclasses import replace
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any
from urllib.parse import quote

import pytest
import yaml
from contract.service import Installed, Service, running
from lab import tools
from values.rendering import Chart

TOKENS = {"with-scope": ["access:services!service=binder"], "without-scope": ["read:users!user=ada"]}
FORBIDDEN = [{"phase": "failed", "status_code": 403, "message": "Forbidden\n"}]


@pytest.fixture
def hub() -> Iterator[str]:
    """The address of a Hub's API that knows the two TOKENS, both of ada."""

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            scheme, _, given = self.headers.get("Authorization", "").partition(" ")
            known = self.path == "/hub/api/user" and scheme.lower() in ("token", "bearer") and given in TOKENS
            user = {"kind": "user", "name": "ada", "admin": False, "groups": [], "scopes": TOKENS.get(given, [])}
            content = json.dumps(user if known else {"status": 403, "message": "Forbidden"}).encode()
            self.send_response(200 if known else 403)
            self.send_header("Content-Type", "application/json")
            self.send_header("Content-Length", str(len(content)))
            self.end_headers()
            self.wfile.write(content)

        def log_message(self, *_words: Any) -> None:
            """Say nothing."""

    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        yield f"http://127.0.0.1:{server.server_address[1]}/hub/api"
        server.shutdown()


def environment(hub: str, **more: str) -> dict[str, str]:
    return {
        "JUPYTERHUB_API_URL": hub,
        "JUPYTERHUB_API_TOKEN": "the-service's-own",
        "JUPYTERHUB_CLIENT_ID": "service-binder",
        "JUPYTERHUB_SERVICE_PREFIX": "/services/binder/",
        "JUPYTERHUB_BASE_URL": "/",
        "JUPYTERHUB_OAUTH_CALLBACK_URL": "http://127.0.0.1/services/binder/oauth_callback",
        **more,
    }


def ask(service: Service, header: str | None) -> list[Any]:
    ref = service.script([("status", "BUILT")])
    spec = f"{quote('https://git.example/x', safe='')}/{ref}"
    return service.events(spec, headers={"Authorization": header} if header else None)


CONFIG = "c.BinderHub.auth_enabled = True\nc.RateLimiter.limit = 1\n"


def test_with_the_services_name_a_token_needs_its_scope(binderhub: Installed, tmp_path: Path, hub: str) -> None:
    env = environment(hub, JUPYTERHUB_SERVICE_NAME="binder")
    with running(binderhub, tmp_path, CONFIG, env) as service:
        for scheme in ("token", "Bearer"):
            # More often than the rate limit, which is for unknown people.
            assert [event["phase"] for event in ask(service, f"{scheme} with-scope")] == ["waiting", "ready"]
        not_allowed = [{**FORBIDDEN[0], "message": "user ada is not allowed.\n"}]
        assert ask(service, "token without-scope") == not_allowed
        assert ask(service, "token unknown") == FORBIDDEN
        assert ask(service, None) == FORBIDDEN
        assert service.get("/versions").status_code == 200
        assert "with-scope" not in service.log.read_text()


def test_without_the_services_name_any_token_of_the_hub_will_do(binderhub: Installed, tmp_path: Path, hub: str) -> None:
    with running(binderhub, tmp_path, CONFIG, environment(hub)) as service:
        assert [event["phase"] for event in ask(service, "token without-scope")] == ["waiting", "ready"]
        assert ask(service, "token unknown") == FORBIDDEN


def rendered(hub: dict[str, Any]) -> tuple[dict[str, str], dict[str, Any]]:
    """The environment that the chart gives BinderHub, with a token for the Secret, and what it gives c.BinderHub."""
    objects = Chart(tools.folder() / "helm").render({"hub": {"enabled": True, **hub}})
    (container,) = objects.one("Deployment", "binderhub")["spec"]["template"]["spec"]["containers"]
    told = {entry["name"]: entry.get("value", "from a Secret") for entry in container["env"]}
    config = yaml.safe_load(objects.one("Secret", "binderhub")["stringData"]["chart-config.yaml"])["config"]
    return {name: value for name, value in told.items() if name.startswith("JUPYTERHUB_")}, config["BinderHub"]


def test_the_charts_environment_asks_for_the_scope_of_its_service(
    binderhub: Installed, tmp_path: Path, hub: str
) -> None:
    env, traits = rendered({"apiUrl": hub})
    assert env["JUPYTERHUB_API_TOKEN"] == "from a Secret"  # noqa: S105 - not one
    config = "".join(f"c.BinderHub.{name} = {traits[name]!r}\n" for name in ("auth_enabled", "base_url"))
    with running(binderhub, tmp_path, config, env) as service:
        assert service.get("/versions").status_code == 404
        below = replace(service, url=f"{service.url}/services/binder")
        assert below.get("/versions").status_code == 200
        assert [event["phase"] for event in ask(below, "token with-scope")] == ["waiting", "ready"]
        assert ask(below, "token without-scope") == [{**FORBIDDEN[0], "message": "user ada is not allowed.\n"}]
        assert ask(below, None) == FORBIDDEN


def test_another_services_scope_is_not_enough(binderhub: Installed, tmp_path: Path, hub: str) -> None:
    env, _ = rendered({"apiUrl": hub, "serviceName": "builder"})
    with running(binderhub, tmp_path, CONFIG, env) as service:
        assert ask(service, "token with-scope") == [{**FORBIDDEN[0], "message": "user ada is not allowed.\n"}]
