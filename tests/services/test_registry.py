"""The chart's registry class: every registry is understood, and none makes a request fail."""

import json
import socket
import threading
from base64 import b64encode
from collections.abc import Iterator
from contextlib import closing
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import pytest
from common.paths import CHART
from services.test_binderhub_registry import (  # noqa: F401 - fixtures
    TokenRegistry,
    WithTokens,
    ask,
    built,
    login,
    registry,
    token_registry,
    with_tokens,
)
from support.binderhub import Installed, free_port, new_ref, running
from support.registries import INDEX, MANIFEST, PASSWORD, SERVICE, USER, Registry, Tokens


def config(where: Registry, more: str = "") -> str:
    return f"""
import sys
sys.path.append({str(CHART / "files")!r})
c.BinderHub.registry_class = "binderhub_service.registry.docker_registry.ServiceDockerRegistry"
c.BinderHub.image_prefix = "{where.host}/group/"
{more}
"""


def named(tokens: Tokens) -> str:
    """The configuration that lets the token server have the login."""
    return f"\nc.ServiceDockerRegistry.token_hosts = [{urlsplit(tokens.url).netloc!r}]"


@pytest.mark.parametrize("kind", [MANIFEST, INDEX], ids=["manifest", "index"])
def test_an_existing_image_is_found(binderhub: Installed, registry: Registry, tmp_path: Path, kind: str) -> None:  # noqa: F811
    with running(binderhub, tmp_path, config(registry, login(registry))) as service:
        ref, image, tag = built(service)
        registry.push(image, tag, kind)
        assert [event["message"] for event in ask(service, ref)] == ["Done! Found built image\n"]


@pytest.mark.parametrize("with_scheme", [True, False])
def test_the_login_is_found_under_either_key(
    binderhub: Installed,
    registry: Registry,  # noqa: F811
    tmp_path: Path,
    with_scheme: bool,
) -> None:
    auth = b64encode(f"{USER}:{PASSWORD}".encode()).decode()
    key = registry.url if with_scheme else registry.host
    (tmp_path / "config.json").write_text(json.dumps({"auths": {key: {"auth": auth}}}))
    more = f"c.DockerRegistry.url = {registry.url!r}"
    with running(binderhub, tmp_path, config(registry, more)) as service:
        ref, image, tag = built(service)
        registry.push(image, tag, MANIFEST)
        assert [event["message"] for event in ask(service, ref)] == ["Done! Found built image\n"]


def test_a_login_in_a_secret_is_renewed_without_a_restart(
    binderhub: Installed,
    registry: Registry,  # noqa: F811
    tmp_path: Path,
) -> None:
    """Amazon's last for hours. A mounted file changes with its Secret."""
    file = tmp_path / ".dockerconfigjson"

    def write(password: str) -> None:
        file.write_text(json.dumps({"auths": {registry.host: {"username": USER, "password": password}}}))

    write("expired")
    more = (
        f"c.DockerRegistry.update(url={registry.url!r}, username={USER!r}, password='expired')\n"
        f"c.ServiceDockerRegistry.update(login_file={str(file)!r}, login_key={registry.host!r})"
    )
    with running(binderhub, tmp_path, config(registry, more)) as service:
        ref, image, tag = built(service)
        registry.push(image, tag, MANIFEST)
        assert [event["message"] for event in ask(service, ref)][-1] == "Done! Image built\n"
        write(PASSWORD)
        assert [event["message"] for event in ask(service, ref)] == ["Done! Found built image\n"]
        file.write_text("broken")
        assert [event["message"] for event in ask(service, ref)][-1] == "Done! Image built\n"


def test_a_configured_login_overrides_that_of_the_secret(
    binderhub: Installed,
    registry: Registry,  # noqa: F811
    tmp_path: Path,
) -> None:
    """`extraConfig` comes last."""
    file = tmp_path / "login.json"
    file.write_text(json.dumps({"auths": {registry.host: {"username": USER, "password": "expired"}}}))
    more = f"{login(registry)}\nc.ServiceDockerRegistry.update(login_file={str(file)!r}, login_key={registry.host!r})"
    with running(binderhub, tmp_path, config(registry, more)) as service:
        ref, image, tag = built(service)
        registry.push(image, tag, MANIFEST)
        assert [event["message"] for event in ask(service, ref)] == ["Done! Found built image\n"]


def test_a_registry_that_wants_a_login_is_asked_once_where_that_is_known(
    binderhub: Installed,
    tmp_path: Path,
) -> None:
    told: list[bool] = []

    class Basic(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            told.append("Authorization" in self.headers)
            self.send_response(404 if told[-1] else 401)
            self.send_header("WWW-Authenticate", 'Basic realm="r"')
            self.end_headers()

    with ThreadingHTTPServer(("127.0.0.1", 0), Basic) as server:
        threading.Thread(target=server.serve_forever).start()
        where = Registry(f"127.0.0.1:{server.server_port}")
        with running(binderhub, tmp_path, config(where, login(where))) as service:
            for _ in range(3):
                ask(service, service.script([("status", "BUILT")]))
        server.shutdown()
    assert told == [False, True, True, True]


def phases(events: list[Any]) -> list[str]:
    return [event["phase"] for event in events]


def test_without_a_login_it_is_built(binderhub: Installed, registry: Registry, tmp_path: Path) -> None:  # noqa: F811
    with running(binderhub, tmp_path, config(registry, f"c.DockerRegistry.url = {registry.url!r}")) as service:
        assert phases(ask(service, service.script([("status", "BUILT")]))) == ["waiting", "ready"]


@pytest.mark.parametrize("kind", [MANIFEST, INDEX], ids=["manifest", "index"])
def test_a_registry_with_tokens_is_understood(
    binderhub: Installed,
    with_tokens: WithTokens,  # noqa: F811
    tmp_path: Path,
    kind: str,
) -> None:
    there = with_tokens.registry
    with running(binderhub, tmp_path, config(there, login(there) + named(with_tokens.tokens))) as service:
        ref, image, tag = built(service)
        with_tokens.door.push(image, tag, kind)
        assert [event["message"] for event in ask(service, ref)] == ["Done! Found built image\n"]
    basic = "Basic " + b64encode(f"{USER}:{PASSWORD}".encode()).decode()
    assert with_tokens.tokens.asked[-1] == ({"service": [SERVICE], "scope": [f"repository:{image}:pull"]}, basic)


def test_a_wrong_login_is_no_error_where_tokens_are_given(
    binderhub: Installed,
    with_tokens: WithTokens,  # noqa: F811
    tmp_path: Path,
) -> None:
    url = with_tokens.registry.url
    logins = (f"url={url!r}", f"url={url!r}, username='robot', password='wrong'")
    for number, words in enumerate(logins):
        folder = tmp_path / str(number)
        folder.mkdir()
        more = f"c.DockerRegistry.update({words}){named(with_tokens.tokens)}"
        with running(binderhub, folder, config(with_tokens.registry, more)) as service:
            assert phases(ask(service, service.script([("status", "BUILT")]))) == ["waiting", "ready"]
    assert [given for _, given in with_tokens.tokens.asked[:1]] == [""]


@pytest.mark.parametrize(
    "challenge",
    [
        'Bearer realm="http://{host}/token",service="s"',
        'Bearer realm="http://{host}/token"',
        'bearer realm="http://{host}/token",scope="repository:x:pull"',
    ],
)
def test_a_challenge_that_says_less_is_answered(
    binderhub: Installed,
    token_registry: TokenRegistry,  # noqa: F811
    tmp_path: Path,
    challenge: str,
) -> None:
    token_registry.challenge = challenge.format(host=token_registry.host)
    there = Registry(token_registry.host)
    with running(binderhub, tmp_path, config(there, login(there))) as service:
        assert phases(ask(service, new_ref())) == ["ready"]


@pytest.mark.parametrize(
    "challenge",
    [
        "",
        "Bearer",
        "Negotiate",
        'Bearer service="s"',
        'Bearer realm="http://127.0.0.1:1/token"',
        'Bearer realm="no address"',
        'Bearer realm="http://{host}/elsewhere"',
    ],
)
def test_a_challenge_that_cannot_be_answered_is_no_error(
    binderhub: Installed,
    token_registry: TokenRegistry,  # noqa: F811
    tmp_path: Path,
    challenge: str,
) -> None:
    token_registry.challenge = challenge.format(host=token_registry.host)
    there = Registry(token_registry.host)
    with running(binderhub, tmp_path, config(there, login(there))) as service:
        assert phases(ask(service, service.script([("status", "BUILT")]))) == ["waiting", "ready"]


@pytest.fixture
def answer(request: pytest.FixtureRequest) -> Iterator[str]:
    """The host of a registry that answers everything with this status and body."""
    status, headers, body = request.param

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            self.send_response(status)
            for name, value in headers.items():
                self.send_header(name, value)
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, *_words: Any) -> None:
            """Say nothing."""

    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        yield f"127.0.0.1:{server.server_address[1]}"
        server.shutdown()


@pytest.mark.parametrize(
    "answer",
    [
        (403, {}, b"{}"),
        (404, {}, b"<html>"),
        (429, {"Retry-After": "60"}, b""),
        (500, {}, b""),
        (503, {}, b"\xff"),
        (200, {}, b"<html>a proxy's page</html>"),
        (200, {}, b""),
        (302, {"Location": "/v2/again"}, b""),
    ],
    ids=lambda answer: f"{answer[0]}-{answer[2][:6]!r}",
    indirect=True,
)
def test_an_answer_of_any_kind_is_no_error(binderhub: Installed, answer: str, tmp_path: Path) -> None:
    there = Registry(answer)
    with running(binderhub, tmp_path, config(there, login(there))) as service:
        assert phases(ask(service, service.script([("status", "BUILT")]))) == ["waiting", "ready"]


SLOW = "\nc.ServiceDockerRegistry.timeout = 0.5"


def test_a_registry_that_is_down_or_slow_does_not_hinder(binderhub: Installed, tmp_path: Path) -> None:
    # One port that nobody listens on, one where a connection is taken and never answered.
    with closing(socket.create_server(("127.0.0.1", 0))) as silent:
        for port in (free_port(), silent.getsockname()[1]):
            there = Registry(f"127.0.0.1:{port}")
            folder = tmp_path / str(port)
            folder.mkdir()
            with running(binderhub, folder, config(there, login(there) + SLOW)) as service:
                assert phases(ask(service, service.script([("status", "BUILT")]))) == ["waiting", "ready"]
                assert "The registry did not say whether" in service.log.read_text()


def test_a_token_server_that_is_slow_does_not_hinder(
    binderhub: Installed,
    token_registry: TokenRegistry,  # noqa: F811
    tmp_path: Path,
) -> None:
    there = Registry(token_registry.host)
    with closing(socket.create_server(("127.0.0.1", 0))) as silent:
        token_registry.challenge = f'Bearer realm="http://127.0.0.1:{silent.getsockname()[1]}/token"'
        with running(binderhub, tmp_path, config(there, login(there) + SLOW)) as service:
            assert phases(ask(service, service.script([("status", "BUILT")]))) == ["waiting", "ready"]
