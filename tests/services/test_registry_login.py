"""The registry's login reaches the registry and the token servers that configuration names, and nobody else."""

import hashlib
import json
import subprocess
import threading
import time
from base64 import b64encode
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs

import pytest
from binderhub_service.registry.login_rules import address, challenges, may_receive_login
from common.paths import CHART
from services.test_binderhub_registry import ask
from support.binderhub import Installed, free_port, running
from support.registries import PASSWORD, USER

LOGIN = "Basic " + b64encode(f"{USER}:{PASSWORD}".encode()).decode()
TOKEN = "t0ken"  # noqa: S105 - of a test
MANIFEST = b'{"schemaVersion": 2}'


@dataclass
class Server:
    """Answers as `answer` says, and notes the Authorization of each request."""

    host: str = ""
    answer: Callable[[Any], None] = lambda _handler: None
    seen: list[tuple[str, str]] = field(default_factory=list)
    """Path and Authorization of each request."""
    forms: list[dict[str, list[str]]] = field(default_factory=list)
    """The form of each POST."""

    def logins(self) -> list[str]:
        """Each Authorization that was sent here, unless it was none."""
        return [authorization for _, authorization in self.seen if authorization]


@contextmanager
def playing() -> Iterator[Server]:
    server = Server()

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def do_GET(self) -> None:
            server.seen.append((self.path, self.headers.get("Authorization", "")))
            server.answer(self)

        def do_POST(self) -> None:
            server.forms.append(parse_qs(self.rfile.read(int(self.headers["Content-Length"])).decode()))
            self.do_GET()

        def log_message(self, *_words: Any) -> None:
            """Say nothing: the requests are noted."""

    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as listening:
        listening.daemon_threads = True
        server.host = f"127.0.0.1:{listening.server_address[1]}"
        threading.Thread(target=listening.serve_forever, daemon=True).start()
        yield server
        listening.shutdown()


def says(status: int, body: bytes = b"{}", **headers: str) -> Callable[[Any], None]:
    """An answer; names of headers have _ for -, and a value with lines becomes several headers."""

    def answer(handler: Any) -> None:
        handler.send_response(status)
        for name, value in headers.items():
            for line in value.splitlines():
                handler.send_header(name.replace("_", "-"), line)
        handler.send_header("Content-Length", str(len(body)))
        handler.end_headers()
        handler.wfile.write(body)

    return answer


def with_token(challenge: str, has: Callable[[Any], None] | None = None) -> Callable[[Any], None]:
    """A registry that gives tokens itself, at /token, and has every image."""
    found, token = has or says(200, MANIFEST), says(200, json.dumps({"token": TOKEN}).encode())

    def answer(handler: Any) -> None:
        if handler.path.startswith("/token"):
            token(handler)
        elif handler.headers.get("Authorization") == f"Bearer {TOKEN}":
            found(handler)
        else:
            says(401, WWW_Authenticate=challenge)(handler)

    return answer


@pytest.fixture
def registry() -> Iterator[Server]:
    with playing() as server:
        yield server


@pytest.fixture
def other() -> Iterator[Server]:
    """Some other server, which gives tokens."""
    with playing() as server:
        server.answer = says(200, json.dumps({"token": TOKEN}).encode())
        yield server


@dataclass
class Asked:
    """What became of one request for an image."""

    messages: list[str]
    log: str

    @property
    def found(self) -> bool:
        """Whether the image was found in the registry."""
        return self.messages == ["Done! Found built image\n"]


@pytest.fixture
def look_up(binderhub: Installed, tmp_path: Path, registry: Server) -> Callable[..., Asked]:
    """Have BinderHub, with more configuration, look for an image in the registry."""

    def look(more: str = "") -> Asked:
        config = f"""
import sys
sys.path.append({str(CHART / "files")!r})
c.BinderHub.registry_class = "binderhub_service.registry.docker_registry.ServiceDockerRegistry"
c.BinderHub.image_prefix = "{registry.host}/group/"
c.DockerRegistry.update(url="http://{registry.host}", username={USER!r}, password={PASSWORD!r})
{more}
"""
        with running(binderhub, tmp_path, config) as service:
            events = ask(service, service.script([("status", "BUILT")]))
            return Asked([event.get("message", "") for event in events], service.log.read_text())

    return look


def test_a_realm_on_another_host_gets_nothing(look_up: Callable[..., Asked], registry: Server, other: Server) -> None:
    registry.answer = with_token(f'Bearer realm="http://{other.host}/token",service="s"')
    asked = look_up()
    assert not asked.found
    assert other.seen == []
    assert f"wants its login sent to {other.host}" in asked.log
    assert "registry.tokenHosts" in asked.log


def test_a_realm_that_configuration_names_gets_the_login(
    look_up: Callable[..., Asked], registry: Server, other: Server
) -> None:
    registry.answer = with_token(f'Bearer realm="http://{other.host}/token",service="s"')
    assert look_up(f"c.ServiceDockerRegistry.token_hosts = ['{other.host}']").found
    assert other.logins() == [LOGIN]


def test_an_identity_token_is_exchanged_for_an_access_token(
    look_up: Callable[..., Asked], registry: Server, tmp_path: Path
) -> None:
    """As `az acr login` writes it: a user of zeros, no password, and an identity token."""
    entry = {"auth": b64encode(b"00000000-0000-0000-0000-000000000000:").decode(), "identitytoken": "identity-7f3a"}
    (tmp_path / "login.json").write_text(json.dumps({"auths": {registry.host: entry}}))
    registry.answer = with_token(f'Bearer realm="http://{registry.host}/token",service="s"')
    asked = look_up(
        f"""
from pathlib import Path
from binderhub_service.registry import login
file = Path({str(tmp_path / "login.json")!r})
c.DockerRegistry.username, c.DockerRegistry.password = login.read(file, "{registry.host}")
"""
    )
    assert asked.found
    (form,) = registry.forms
    assert form["grant_type"] == ["refresh_token"]
    assert form["refresh_token"] == ["identity-7f3a"]
    assert form["service"] == ["s"]
    assert form["scope"][0].startswith("repository:group/")
    assert registry.logins() == [f"Bearer {TOKEN}"]
    assert "identity-7f3a" not in asked.log


@pytest.mark.parametrize("prefix", ["my-org/binder-", "me/", "group/", "docker.io/my-org/binder-"])
def test_an_image_of_docker_hub_is_looked_for_by_its_whole_name(
    look_up: Callable[..., Asked], registry: Server, prefix: str
) -> None:
    registry.answer = says(200, MANIFEST)
    assert look_up(f"c.BinderHub.image_prefix = {prefix!r}").found
    assert registry.seen[-1][0].startswith(f"/v2/{prefix.removeprefix('docker.io/')}https-3a-2f-2fgit-2eexample")


def test_an_url_without_a_scheme_is_one_of_https(look_up: Callable[..., Asked], registry: Server) -> None:
    asked = look_up(f"c.DockerRegistry.url = '{registry.host}'")
    assert not asked.found
    assert f"{registry.host} does not answer" in asked.log
    assert registry.seen == []


def test_the_host_of_token_url_gets_the_login(look_up: Callable[..., Asked], registry: Server, other: Server) -> None:
    registry.answer = with_token("")
    assert look_up(f"c.DockerRegistry.token_url = 'http://{other.host}/token'").found
    assert other.logins() == [LOGIN]


@pytest.mark.parametrize(
    "realm",
    [
        "http://{registry}@{other}/token",
        "http://{registry}\\@{other}/token",
        "http://{other}\\.{registry}/token",
        "http://{other}#@{registry}/token",
        "http://{other}\t/token",
        "//{other}/token",
        "HTTP://user:password@{other}/token",
        "http:{other}/token",
    ],
)
def test_a_realm_that_looks_like_the_registry_gets_nothing(
    look_up: Callable[..., Asked], registry: Server, other: Server, realm: str
) -> None:
    address = realm.format(registry=registry.host, other=other.host)
    escaped = address.replace("\\", "\\\\")
    registry.answer = with_token(f'Bearer realm="{escaped}",service="s"')
    assert not look_up("c.ServiceDockerRegistry.token_hosts = ['127.0.0.1:1']").found
    assert other.seen == []
    assert registry.logins() == []


@pytest.mark.parametrize("status", [302, 307])
@pytest.mark.parametrize("where", ["manifest", "token", "manifest without login"])
def test_a_redirect_takes_the_login_nowhere(
    look_up: Callable[..., Asked], registry: Server, other: Server, status: int, where: str
) -> None:
    away = says(status, Location=f"http://{other.host}/token")
    bearer = f'Bearer realm="http://{registry.host}/token"'
    answers = {"manifest": with_token(bearer, away), "manifest without login": away}
    registry.answer = answers.get(where) or (
        lambda handler: (away if handler.path.startswith("/token") else with_token(bearer))(handler)
    )
    assert not look_up().found
    assert other.seen == []
    assert registry.seen


def endless(handler: Any) -> None:
    """A body without an end, with no length told."""
    handler.send_response(200)
    handler.send_header("Connection", "close")
    handler.end_headers()
    _pour(handler)


def endless_chunks(handler: Any) -> None:
    handler.send_response(200)
    handler.send_header("Transfer-Encoding", "chunked")
    handler.end_headers()
    _pour(handler, b"10000\r\n" + b" " * 65536 + b"\r\n")


def huge_length(handler: Any) -> None:
    handler.send_response(200)
    handler.send_header("Content-Length", str(10**15))
    handler.end_headers()
    _pour(handler)


def _pour(handler: Any, piece: bytes = b" " * 65536) -> None:
    handler.close_connection = True
    handler.server.poured = 0
    try:
        while True:
            handler.wfile.write(piece)
            handler.server.poured += len(piece)
    except OSError:
        pass


DEEP = b"[" * 10_000 + b"]" * 10_000


@pytest.mark.parametrize(
    "body",
    [endless, endless_chunks, huge_length, says(200, DEEP), says(200, b'{"a": ' * 10_000 + b"1" + b"}" * 10_000)],
    ids=["endless", "endless-chunks", "huge-length", "deep-list", "deep-object"],
)
@pytest.mark.parametrize("where", ["manifest", "token"])
def test_a_body_without_bounds_counts_as_not_there(
    look_up: Callable[..., Asked], registry: Server, body: Callable[[Any], None], where: str
) -> None:
    poured: list[int] = []

    def noted(handler: Any) -> None:
        body(handler)
        poured.append(getattr(handler.server, "poured", 0))

    bearer = f'Bearer realm="http://{registry.host}/token"'
    if where == "manifest":
        registry.answer = with_token(bearer, noted)
    else:
        registry.answer = lambda handler: (noted if handler.path.startswith("/token") else with_token(bearer))(handler)
    asked = look_up()
    assert not asked.found
    assert "The registry did not say whether" in asked.log
    assert PASSWORD not in asked.log
    # What the kernel buffers comes on top of the 4 MiB that are read.
    assert all(count < 32 * 1024 * 1024 for count in poured)


@pytest.mark.parametrize(
    "challenge",
    [
        'Basic realm="r", Bearer realm="http://{registry}/token",service="s"',
        'Bearer realm="http://{registry}/token",service="s", Basic realm="r"',
        'Basic realm="r"\nBearer realm="http://{registry}/token"',
        'Negotiate, Bearer realm="http://{registry}/token", Basic realm="a, Bearer realm=b"',
        'Negotiate YWJj==, BEARER Realm="http://{registry}/token"',
        "Bearer realm=http://{registry}/token",
    ],
)
def test_a_bearer_challenge_among_others_is_answered(
    look_up: Callable[..., Asked], registry: Server, challenge: str
) -> None:
    registry.answer = with_token(challenge.format(registry=registry.host))
    assert look_up().found
    assert [authorization for _, authorization in registry.seen] == ["", LOGIN, f"Bearer {TOKEN}"]


def test_basic_is_used_where_the_bearer_realm_is_not_allowed(
    look_up: Callable[..., Asked], registry: Server, other: Server
) -> None:
    challenge = f'Bearer realm="http://{other.host}/token", Basic realm="r"'
    registry.answer = lambda handler: (
        says(200, MANIFEST) if handler.headers.get("Authorization") == LOGIN else says(401, WWW_Authenticate=challenge)
    )(handler)
    assert look_up().found
    assert other.seen == []


@pytest.mark.parametrize("token", ["a\r\nX: y", "a b", "", 7, "\u00fc", ["a"]])
def test_a_token_that_is_none_is_not_sent(look_up: Callable[..., Asked], registry: Server, token: Any) -> None:
    body = json.dumps({"token": token}).encode()
    bearer = with_token(f'Bearer realm="http://{registry.host}/token"')
    registry.answer = lambda handler: (says(200, body) if handler.path.startswith("/token") else bearer)(handler)
    assert not look_up().found
    assert registry.logins() == [LOGIN]


ASK_FOR_DIGEST = f"""
import asyncio, json, logging, sys
sys.path.append({str(CHART / "files")!r})
from traitlets.config import Config
from binderhub_service.registry.docker_registry import RegistryUnknown, ServiceDockerRegistry
logging.basicConfig()
config = Config()
config.ServiceDockerRegistry.update(json.loads(sys.argv[1]))
registry = ServiceDockerRegistry(config=config)
try:
    print("digest", asyncio.run(registry.digest("group/image", "tag")))
except RegistryUnknown as unknown:
    print("unknown", unknown)
"""


@pytest.fixture
def digest(binderhub: Installed, registry: Server, tmp_path: Path) -> Callable[..., tuple[str, str]]:
    """What `digest` says about an image, and what it logs."""

    def call(**traits: Any) -> tuple[str, str]:
        given = {"url": f"http://{registry.host}", "username": USER, "password": PASSWORD, "timeout": 5, **traits}
        command = [str(binderhub.python), "-c", ASK_FOR_DIGEST, json.dumps(given)]
        env = {"PYTHONPATH": str(binderhub.packages), "DOCKER_CONFIG": str(tmp_path), "PATH": "/usr/bin:/bin"}
        done = subprocess.run(command, env=env, capture_output=True, text=True, timeout=60, check=True)
        assert PASSWORD not in done.stdout + done.stderr
        return done.stdout.strip(), done.stderr

    return call


COMPUTED = f"sha256:{hashlib.sha256(MANIFEST).hexdigest()}"


@pytest.mark.parametrize("told", ["", COMPUTED, "sha512:" + "a" * 128, "sha256:" + "a" * 64, "sha256:short"])
def test_the_digest_is_that_of_the_manifest(
    digest: Callable[..., tuple[str, str]], registry: Server, told: str
) -> None:
    registry.answer = says(200, MANIFEST, **({"Docker_Content_Digest": told} if told else {}))
    said, log = digest()
    assert said == f"digest {COMPUTED}"
    assert ("but its manifest is" in log) == (told == "sha256:" + "a" * 64)


def test_no_digest_where_the_tag_is_not_found(digest: Callable[..., tuple[str, str]], registry: Server) -> None:
    registry.answer = with_token(f'Bearer realm="http://{registry.host}/token"', says(404))
    assert digest()[0] == "digest None"


@pytest.mark.parametrize("status", [401, 403])
def test_no_digest_where_a_token_does_not_open_what_is_not_there(
    digest: Callable[..., tuple[str, str]], registry: Server, status: int
) -> None:
    registry.answer = with_token(f'Bearer realm="http://{registry.host}/token"', says(status))
    assert digest(not_found_401=True)[0] == "digest None"
    assert digest()[0].startswith(f"unknown {registry.host} refuses access (HTTP {status})")


@pytest.mark.parametrize(
    "body", [b"<html>", b"[]", b"{}", b'{"schemaVersion": "2"}', DEEP], ids=["html", "list", "empty", "text", "deep"]
)
def test_the_digest_of_something_else_than_a_manifest_is_unknown(
    digest: Callable[..., tuple[str, str]], registry: Server, body: bytes
) -> None:
    registry.answer = says(200, body)
    assert digest()[0].startswith(f"unknown {registry.host} answer")


def test_a_registry_that_recovers_tells_the_digest(digest: Callable[..., tuple[str, str]], registry: Server) -> None:
    registry.answer = lambda handler: (says(503) if len(registry.seen) < 3 else says(200, MANIFEST))(handler)
    assert digest()[0] == f"digest {COMPUTED}"
    assert len(registry.seen) == 3


@pytest.mark.parametrize("status", [429, 500, 502, 503])
def test_a_registry_that_fails_is_asked_three_times(
    digest: Callable[..., tuple[str, str]], registry: Server, status: int
) -> None:
    registry.answer = says(status, b"\x1b[2Jcanary")
    assert digest()[0] == f"unknown {registry.host} answers with HTTP {status}. Try again later."
    assert len(registry.seen) == 3


def test_the_digest_is_unknown_where_nobody_listens(digest: Callable[..., tuple[str, str]]) -> None:
    host = f"127.0.0.1:{free_port()}"
    said, _ = digest(url=f"http://{host}")
    assert said.startswith(f"unknown {host} does not answer: ")
    assert "\n" not in said


def test_the_digest_is_unknown_where_the_realm_is_another_host(
    digest: Callable[..., tuple[str, str]], registry: Server, other: Server
) -> None:
    registry.answer = with_token(f'Bearer realm="http://{other.host}/token"')
    assert digest()[0].endswith(f"If {other.host} belongs to the registry, add it to registry.tokenHosts.")
    assert other.seen == []


def test_a_login_goes_over_tls_where_the_registry_does(digest: Callable[..., tuple[str, str]], other: Server) -> None:
    said, _ = digest(url="https://registry.example", token_url=f"http://{other.host}/token", token_hosts=[other.host])
    assert said.startswith(f"unknown registry.example wants its login sent to {other.host} without TLS")
    assert other.seen == []


@pytest.mark.parametrize(
    ("url", "place"),
    [
        ("https://r.example", ("r.example", 443)),
        ("HTTPS://R.Example:443/token?a=b", ("r.example", 443)),
        ("http://r.example:5000/a", ("r.example", 5000)),
        ("http://[::1]:5000/", ("[::1]", 5000)),
        ("https://u@r.example/", None),
        ("https://r.example\\@evil.example/", None),
        ("https://r.example/\\evil", None),
        ("https://r.example/#x", None),
        ("https://r.example:99999/", None),
        ("https://r.example:0/", None),
        ("https://r%2eexample/", None),
        ("https://r.example/\u00fc", None),
        ("https://r.example/ x", None),
        ("https://r.example/\n", None),
        ("ftp://r.example/", None),
        ("//r.example/", None),
        ("", None),
    ],
)
def test_an_address_is_one_that_every_client_reads_alike(url: str, place: tuple[str, int] | None) -> None:
    found = address(url)
    assert (found.place if found else None) == place


@pytest.mark.parametrize(
    ("registry", "realm", "hosts", "may"),
    [
        ("https://r.example", "https://r.example/token", [], True),
        ("https://r.example", "https://r.example:443/token", [], True),
        ("https://r.example", "https://r.example:8443/token", [], False),
        ("https://r.example", "http://r.example:443/token", [], False),
        ("https://r.example", "https://auth.r.example/token", [], False),
        ("https://r.example", "https://auth.example/token", ["Auth.Example"], True),
        ("https://r.example", "https://auth.example:8443/token", ["auth.example"], False),
        ("https://r.example", "https://auth.example:8443/token", ["auth.example:8443"], True),
        ("https://r.example", "http://auth.example/token", ["auth.example", "auth.example:80"], False),
        ("http://r.example:5000", "http://auth.example/token", ["auth.example"], True),
        ("https://registry-1.docker.io", "https://auth.docker.io/token", [], True),
        ("https://registry.gitlab.com", "https://gitlab.com/jwt/auth", [], True),
        ("https://registry.gitlab.com:8443", "https://gitlab.com/jwt/auth", [], False),
        ("https://registry.digitalocean.com", "https://api.digitalocean.com/v2/registry/auth", [], True),
        ("https://r.example", "https://auth.docker.io/token", [], False),
    ],
)
def test_realms_that_may_receive_the_login(registry: str, realm: str, hosts: list[str], may: bool) -> None:
    asking, asked = address(registry), address(realm)
    assert asking
    assert asked
    assert may_receive_login(asked, asking, "", hosts) == may


def test_a_long_header_costs_little() -> None:
    pieces = ('"', '"\\"', ",", "a=", "a ", 'Bearer realm="', " ")
    start = time.perf_counter()
    for piece in pieces:
        challenges([piece * (8192 // len(piece)), "Bearer " + piece * 100_000])
    assert time.perf_counter() - start < 1
