"""What BinderHub itself refuses, before there is a build: each refusal has a code and a next step."""

from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from threading import Thread
from typing import Any
from urllib.parse import quote

import pytest
from binderhub_service.failures import FAILURES
from common.paths import CHART
from support.binderhub import Installed, Repository, Service, new_ref, running
from support.git_servers import serving

CONFIG = f"""
import sys
sys.path.append({str(CHART / "files")!r})
from binderhub_service import request
request.add_codes()
c.GitRepoProvider.banned_specs = [".*forbidden.*"]
"""
SOME = quote("https://git.example/group/project", safe="")


class GitHub(BaseHTTPRequestHandler):
    """GitHub's API for somebody whose token is wrong or who has reached a limit; the repository's name says which."""

    def do_GET(self) -> None:
        """Refuse."""
        if "/too-many/" in self.path:
            self.send_response(429)
        elif "/bad-token/" in self.path:
            self.send_response(401)
        else:
            self.send_response(403)
            self.send_header("x-ratelimit-remaining", "0")
            self.send_header("x-ratelimit-limit", "60")
            self.send_header("x-ratelimit-reset", "4000000000")
        self.send_header("Content-Length", "0")
        self.end_headers()

    do_HEAD = do_GET  # noqa: N815 - http.server's name

    def log_message(self, *_: Any) -> None:
        """Say nothing."""


@pytest.fixture(scope="module")
def github() -> Iterator[str]:
    with ThreadingHTTPServer(("127.0.0.1", 0), GitHub) as server:
        Thread(target=server.serve_forever, daemon=True).start()
        yield f"http://127.0.0.1:{server.server_port}"
        server.shutdown()


@pytest.fixture(scope="module")
def service(binderhub: Installed, github: str, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Service]:
    more = f'c.GitHubRepoProvider.api_base_path = "{github}"\n'
    with running(binderhub, tmp_path_factory.mktemp("service"), CONFIG + more) as started:
        yield started


def refused(events: list[Any], code: str) -> str:
    """What BinderHub says, of a stream whose only event is a failure with this code."""
    (event,) = events
    kind = FAILURES[code]
    assert (event["phase"], event["code"], event["next_step"]) == ("failed", code, kind.next_step)
    assert event["message"] == f"{code}: {event['what']}\n{kind.next_step}\n"
    assert event["docs"].endswith(f"#{code.lower()}")
    return str(event["what"])


def test_a_request_without_the_header_of_event_streams(service: Service) -> None:
    events = service.events(f"{SOME}/{new_ref()}", headers={"Accept": "text/html"})
    assert "text/event-stream" in refused(events, "BHS903")
    assert events[0]["status_code"] == 400


def test_a_provider_that_does_not_exist(service: Service) -> None:
    assert "nowhere" in refused(service.events("a/b/main", provider="nowhere"), "BHS903")


@pytest.mark.parametrize("provider", ["git", "gh"])
def test_an_address_that_cannot_be_read(service: Service, provider: str) -> None:
    refused(service.events("no-ref", provider=provider), "BHS903")


def test_a_repository_that_is_banned(service: Service) -> None:
    asked = quote("https://git.example/forbidden/project", safe="")
    assert "not allowed to launch" in refused(service.events(f"{asked}/{new_ref()}"), "BHS907")


def test_a_ref_that_does_not_exist(service: Service, repository: Repository) -> None:
    assert "Could not resolve ref" in refused(service.events(repository.spec("none-such")), "BHS904")


def test_a_host_that_does_not_answer(service: Service) -> None:
    events = service.events(f"{quote('http://127.0.0.1:1/r', safe='')}/main")
    assert "Error resolving ref" in refused(events, "BHS905")


def by_refs_of_git(service: Service, tmp_path: Path, login: str | None) -> list[Any]:
    """The events of a request for a branch of a repository that is not there, at a host that wants this login."""
    with serving(tmp_path / "git", "127.0.0.1", login) as git:
        return service.events(f"{quote(f'http://{git.host}/missing', safe='')}/main")


@pytest.mark.parametrize(("login", "says"), [(None, "not found"), ("", "could not read Username")])
def test_a_repository_that_does_not_exist_or_is_private(
    service: Service, tmp_path: Path, login: str | None, says: str
) -> None:
    assert says in refused(by_refs_of_git(service, tmp_path, login), "BHS904")


def test_a_token_that_githubs_api_refuses(service: Service) -> None:
    refused(service.events("group/bad-token/main", provider="gh"), "BHS909")


@pytest.mark.parametrize("repository", ["too-many", "limited"])
def test_the_limit_of_githubs_api(service: Service, repository: str) -> None:
    refused(service.events(f"group/{repository}/main", provider="gh"), "BHS906")


def test_more_requests_than_the_limit(binderhub: Installed, tmp_path: Path) -> None:
    with running(binderhub, tmp_path, CONFIG + "c.RateLimiter.limit = 1\n") as limited:
        events = [limited.events("a/b/main", provider="nowhere") for _ in range(3)]
        refused(events[0], "BHS903")
        refused(events[-1], "BHS902")
        assert events[-1][0]["status_code"] == 429


def test_a_request_without_a_login(binderhub: Installed, tmp_path: Path) -> None:
    hub = {"JUPYTERHUB_API_URL": "http://127.0.0.1:1/hub/api", "JUPYTERHUB_API_TOKEN": "token"}
    with running(binderhub, tmp_path, CONFIG + "c.BinderHub.auth_enabled = True\n", hub) as closed:
        events = closed.events(f"{SOME}/{new_ref()}")
        refused(events, "BHS901")
        assert events[0]["status_code"] == 403


def test_a_build_that_fails_keeps_its_own_words(service: Service) -> None:
    ref = service.script([("line", '{"phase": "failed", "message": "as it was", "code": "OWN"}')])
    with service.build(f"{SOME}/{ref}") as stream:
        events = [stream.event(), stream.event()]
    assert events[-1] == {"phase": "failed", "message": "as it was", "code": "OWN"}


OTHER_ERRORS = """
from binderhub.builder import BuildHandler
def send_error(self, status_code, **_options):
    self.write(f"HTTP {status_code}")
    self.finish()
BuildHandler.send_error = send_error
"""


def test_an_error_in_another_form_is_sent_as_it_is(binderhub: Installed, tmp_path: Path) -> None:
    """A later BinderHub may write its errors differently."""
    with running(binderhub, tmp_path, OTHER_ERRORS + CONFIG) as service:
        assert service.get(f"/build/git/{SOME}/{new_ref()}", headers={"Accept": "text/html"}).text == "HTTP 400"
        assert "so it has no code" in service.log.read_text()
