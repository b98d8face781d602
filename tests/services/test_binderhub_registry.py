"""Whether an image is there already: BinderHub's registry class against a real registry, and a class of one's own."""

import json
import threading
from base64 import b64encode
from collections.abc import Iterator
from dataclasses import dataclass
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, quote, urlsplit

import httpx
import pytest
from support.binderhub import Installed, Service, new_ref, running
from support.registries import (
    INDEX,
    MANIFEST,
    PASSWORD,
    SERVICE,
    USER,
    Registry,
    Tokens,
    htpasswd,
    serving,
    token_server,
)

URL = "https://git.example/group/project"


@pytest.fixture(scope="module")
def registry(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Registry]:
    folder = tmp_path_factory.mktemp("registry")
    with serving(folder, folder / "storage", htpasswd(folder)) as started:
        yield started


@dataclass(frozen=True)
class WithTokens:
    """A registry whose login is a token, the server that gives them, and another door to the same images."""

    registry: Registry
    tokens: Tokens
    door: Registry


@pytest.fixture
def with_tokens(tmp_path_factory: pytest.TempPathFactory) -> Iterator[WithTokens]:
    folder, door = tmp_path_factory.mktemp("registry"), tmp_path_factory.mktemp("door")
    with (
        token_server() as tokens,
        serving(folder, folder / "storage", tokens.auth(folder)) as registry,
        serving(door, folder / "storage", htpasswd(door)) as other,
    ):
        yield WithTokens(registry, tokens, other)


def config(registry: Registry, more: str = "") -> str:
    return f"""
c.BinderHub.registry_class = "binderhub.registry.DockerRegistry"
c.BinderHub.image_prefix = "{registry.host}/group/"
{more}
"""


def login(registry: Registry) -> str:
    return f"c.DockerRegistry.update(url={registry.url!r}, username={USER!r}, password={PASSWORD!r})"


def ask(service: Service, ref: str) -> list[Any]:
    return service.events(f"{quote(URL, safe='')}/{ref}")


def built(service: Service) -> tuple[str, str, str]:
    """Build once; the ref, and the image's name within its registry, and its tag."""
    ref = service.script([("status", "BUILT")])
    first, last = ask(service, ref)
    assert (first["phase"], last["phase"], last["message"]) == ("waiting", "ready", "Done! Image built\n")
    name, _, tag = last["imageName"].rpartition(":")
    return ref, name.partition("/")[2], tag


@pytest.mark.parametrize("kind", [MANIFEST, INDEX], ids=["manifest", "index"])
def test_an_image_that_is_there_is_one_event(
    binderhub: Installed, registry: Registry, tmp_path: Path, kind: str
) -> None:
    with running(binderhub, tmp_path, config(registry, login(registry))) as service:
        ref, image, tag = built(service)
        registry.push(image, tag, kind)
        full_name = f"{registry.host}/{image}:{tag}"
        assert ask(service, ref) == [{"phase": "ready", "message": "Done! Found built image\n", "imageName": full_name}]
        assert len(service.notes(ref, "made")) == 1


def test_without_a_login_every_request_fails(binderhub: Installed, registry: Registry, tmp_path: Path) -> None:
    with running(binderhub, tmp_path, config(registry, f"c.DockerRegistry.url = {registry.url!r}")) as service:
        ref = service.script([("status", "BUILT")])
        assert ask(service, ref) == [{"phase": "failed", "status_code": 500, "message": "Internal Server Error\n"}]
        assert "Only WWW-Authenticate Bearer type supported" in service.log.read_text()
        assert not service.notes(ref, "made")


@pytest.mark.parametrize("with_scheme", [True, False])
def test_the_login_of_config_json_is_found_by_the_whole_address_only(
    binderhub: Installed, registry: Registry, tmp_path: Path, with_scheme: bool
) -> None:
    auth = b64encode(f"{USER}:{PASSWORD}".encode()).decode()
    key = registry.url if with_scheme else registry.host
    (tmp_path / "config.json").write_text(json.dumps({"auths": {key: {"auth": auth}}}))
    more = "" if with_scheme else f"c.DockerRegistry.url = {registry.url!r}"
    with running(binderhub, tmp_path, config(registry, more)) as service:
        events = ask(service, service.script([("status", "BUILT")]))
    assert [event["phase"] for event in events] == (["waiting", "ready"] if with_scheme else ["failed"])


def test_a_registry_that_answers_with_errors_is_asked_three_times_and_then_built(
    binderhub: Installed, registry: Registry, tmp_path: Path
) -> None:
    wrong = f'c.DockerRegistry.update(url="{registry.url}/elsewhere%zz", username="u", password="p")'
    with running(binderhub, tmp_path, config(registry, wrong)) as service:
        events = ask(service, service.script([("status", "BUILT")]))
        log = service.log.read_text()
    assert [event["phase"] for event in events] == ["waiting", "ready"]
    assert log.count("Failed to get image manifest for") == 3


@dataclass
class TokenRegistry:
    """A registry whose login is a token from elsewhere; it has every image, and notes what it was asked."""

    host: str
    challenge: str
    asked: list[tuple[str, str, str]]
    """Path, Authorization and Accept of each request."""


@pytest.fixture
def token_registry() -> Iterator[TokenRegistry]:
    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            authorization = self.headers.get("Authorization", "")
            plays.asked.append((self.path, authorization, self.headers.get("Accept", "")))
            knows = self.path.startswith("/token") or authorization == "Bearer t0ken"
            content = b'{"token": "t0ken"}' if knows else b"{}"
            self.send_response(200 if knows else 401)
            if not knows:
                self.send_header("WWW-Authenticate", plays.challenge)
            self.send_header("Content-Length", str(len(content)))
            self.end_headers()
            self.wfile.write(content)

        def log_message(self, *_words: Any) -> None:
            """Say nothing: the requests are noted."""

    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        host = f"127.0.0.1:{server.server_address[1]}"
        scope = 'service="s",scope="repository:x:pull"'
        plays = TokenRegistry(host, f'Bearer realm="http://{host}/token",{scope}', [])
        threading.Thread(target=server.serve_forever, daemon=True).start()
        yield plays
        server.shutdown()


def token_config(registry: TokenRegistry) -> str:
    return f"""
c.BinderHub.registry_class = "binderhub.registry.DockerRegistry"
c.DockerRegistry.update(url="http://{registry.host}", username={USER!r}, password={PASSWORD!r})
"""


def test_a_token_is_asked_for_where_the_challenge_says(
    binderhub: Installed, token_registry: TokenRegistry, tmp_path: Path
) -> None:
    with running(binderhub, tmp_path, token_config(token_registry)) as service:
        assert [event["phase"] for event in ask(service, new_ref())] == ["ready"]
    basic = "Basic " + b64encode(f"{USER}:{PASSWORD}".encode()).decode()
    (first, sent, accept), (token_path, login, _), (second, bearer, accept_with_token) = token_registry.asked
    assert first == second
    assert (sent, login, bearer) == (basic, basic, "Bearer t0ken")
    assert accept == MANIFEST
    assert accept_with_token != MANIFEST  # so that some registries do not give what they have
    assert parse_qs(urlsplit(token_path).query) == {"service": ["s"], "scope": ["repository:x:pull"]}


def test_the_real_registry_challenges_alike_and_what_it_has_is_missed(
    binderhub: Installed, with_tokens: WithTokens, tmp_path: Path
) -> None:
    there, tokens = with_tokens.registry, with_tokens.tokens
    asked = httpx.get(f"{there.url}/v2/group/x/manifests/1")
    scope = f'service="{SERVICE}",scope="repository:group/x:pull"'
    assert (asked.status_code, asked.headers["WWW-Authenticate"]) == (401, f'Bearer realm="{tokens.url}",{scope}')
    with running(binderhub, tmp_path, config(there, login(there))) as service:
        ref, image, tag = built(service)
        with_tokens.door.push(image, tag, MANIFEST)
        assert [event["phase"] for event in ask(service, ref)] == ["waiting", "ready"]  # built once more
    basic = "Basic " + b64encode(f"{USER}:{PASSWORD}".encode()).decode()
    pull = f"repository:{image}:pull"
    assert tokens.asked[-1] == ({"service": [SERVICE], "scope": [pull]}, basic)
    bearer = {"Authorization": f"Bearer {tokens.token([pull])}"}
    answers = [
        httpx.get(f"{there.url}/v2/{image}/manifests/{tag}", headers={**bearer, **accept}).status_code
        for accept in ({}, {"Accept": MANIFEST})
    ]
    assert answers == [404, 200]  # it sends the token without the type that it wants


def test_a_challenge_without_a_scope_fails_every_request(
    binderhub: Installed, token_registry: TokenRegistry, tmp_path: Path
) -> None:
    token_registry.challenge = f'Bearer realm="http://{token_registry.host}/token",service="s"'
    with running(binderhub, tmp_path, token_config(token_registry)) as service:
        assert [event.get("status_code") for event in ask(service, new_ref())] == [500]
    assert len(token_registry.asked) == 1


def test_a_registry_class_of_ones_own(service: Service) -> None:
    (made,) = service.notes("start-up", "made registry")
    assert made["given"] == ["parent"]
    ref = service.script([("status", "BUILT")])
    assert [event["phase"] for event in ask(service, ref)] == ["waiting", "ready"]
    (asked,), (credentials,) = service.notes(ref, "asked"), service.notes(ref, "credentials")
    assert asked["thread"] == credentials["thread"] == "main"
    assert asked["image"] == credentials["image"]
    assert asked["image"].startswith("group/b-https-3a")  # without the registry
    assert service.notes(ref, "submit")[0]["registry_credentials"] == {}
    service.let(ref, "pushed")
    (found,) = ask(service, ref)
    assert found["phase"] == "ready"
    assert len(service.notes(ref, "made")) == 1


def test_registry_credentials_reach_the_build(binderhub: Installed, tmp_path: Path) -> None:
    with running(binderhub, tmp_path, "c.RecordingRegistry.gives_credentials = True\n") as service:
        ref = service.script([("status", "BUILT")])
        assert ask(service, ref)[-1]["phase"] == "ready"
        (submitted,) = service.notes(ref, "submit")
    assert submitted["registry_credentials"] == {"registry": "r.example", "username": "robot", "password": "x"}
