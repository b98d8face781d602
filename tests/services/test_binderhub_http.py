"""What BinderHub answers over HTTP: routes, the order and the words of its refusals, refs, names."""

import base64
import hashlib
import hmac
import http.server
import json
import threading
import time
from pathlib import Path
from typing import Any
from urllib.parse import quote

import pytest
from support.binderhub import PREFIX, Installed, Repository, Service, new_ref, running

URL = "https://git.example/group/project"
BUILT = ("status", "BUILT")


def spec(ref: str, url: str = URL) -> str:
    return f"{quote(url, safe='')}/{ref}"


def failed(message: str, status: int | None = None) -> list[dict[str, Any]]:
    return [{"phase": "failed", **({"status_code": status} if status else {}), "message": f"{message}\n"}]


def test_versions_tell_what_runs(service: Service, binderhub: Installed) -> None:
    answer = service.get("/versions")
    assert answer.status_code == 200
    assert answer.headers["access-control-allow-origin"] == "*"
    told = answer.json()
    assert told["builder_info"] == {}
    assert told["binderhub"] == binderhub.version


def test_only_the_stand_in_says_that_it_is_one(service: Service, binderhub: Installed) -> None:
    assert ("stand_in" in service.get("/versions").json()) == binderhub.is_standin
    assert ("stand-in for BinderHub" in service.log.read_text()) == binderhub.is_standin


@pytest.mark.parametrize("path", ["/", "/v2/git/x/main", "/repo/a/b", "/badge.svg", "/build", "/build/git", "/nothing"])
def test_everything_else_is_not_found(service: Service, path: str) -> None:
    assert service.get(path).status_code == 404


def test_metrics(service: Service) -> None:
    text = service.get("/metrics").text
    for name in ("binderhub_build_time_seconds", "binderhub_build_count", "binderhub_inprogress_builds"):
        assert f"# TYPE {name}" in text


def test_providers(service: Service) -> None:
    assert {"git", "gh"} <= {provider["id"] for provider in service.get("/api/repoproviders").json()}


def test_health_is_bad_without_a_hub(service: Service) -> None:
    answer = service.get("/health")
    assert answer.status_code == 503
    told = answer.json()
    assert told["ok"] is False
    assert {check["service"]: check["ok"] for check in told["checks"]} == {
        "Docker registry": True,
        "JupyterHub API": False,
    }


@pytest.mark.parametrize("base_url", ["/services/binder/", "services/binder"])
def test_all_routes_lie_below_base_url(binderhub: Installed, tmp_path: Path, base_url: str) -> None:
    with running(binderhub, tmp_path, f"c.BinderHub.base_url = {base_url!r}\n") as service:
        assert service.get("/services/binder/versions").status_code == 200
        assert service.get("/versions").status_code == 404
        ref = service.script([BUILT])
        answer = service.get(
            f"/services/binder/build/git/{spec(ref)}?build_only=true", headers={"Accept": "text/event-stream"}
        )
        assert '"phase": "waiting"' in answer.text


@pytest.mark.parametrize("accept", ["text/event-stream", "text/html; text/event-stream", "Text/Event-Stream;q=1"])
def test_clients_that_read_event_streams_are_served(service: Service, accept: str) -> None:
    ref = service.script([BUILT])
    events = service.events(spec(ref), headers={"Accept": accept})
    assert [event["phase"] for event in events] == ["waiting", "ready"]


@pytest.mark.parametrize("accept", ["*/*", "text/event-stream, application/json", "application/json", ""])
def test_clients_that_do_not_say_so_are_refused(service: Service, accept: str) -> None:
    ref = service.script([BUILT])
    refused = failed("Missing Accept header: text/event-stream", 400)
    assert service.events(spec(ref), headers={"Accept": accept}) == refused
    assert service.notes(ref) == []


def test_an_unknown_provider(service: Service) -> None:
    assert service.events("x/y/z", provider="nope") == failed("No provider found for prefix nope")


def test_a_scheme_that_is_not_allowed(service: Service) -> None:
    (event,) = service.events(spec("main", "file:///srv/secret"))
    assert event["phase"] == "failed"
    assert event["message"].startswith("Unsupported git url file:///srv/secret, protocol file not in ")


def test_a_spec_without_a_ref(service: Service) -> None:
    (event,) = service.events("https%3A%2F%2Fgit.example%2Fx", provider="git")
    assert event["phase"] == "failed"


@pytest.mark.parametrize("short", ["owner/name", "owner"])
def test_a_github_spec_with_too_few_parts(service: Service, short: str) -> None:
    (event,) = service.events(short, provider="gh")
    assert event["message"].startswith(f'Spec is not of the form "user/repo/ref", provided: "{short}".')


def test_github_names_and_urls(binderhub: Installed, tmp_path: Path) -> None:
    """The API is asked for the commit; the file server below gives what it would."""
    commit = new_ref()
    file = tmp_path / "repos" / "Owner" / "Name" / "commits" / "main"
    file.parent.mkdir(parents=True)
    file.write_text(json.dumps({"sha": commit}))

    class Files(http.server.SimpleHTTPRequestHandler):
        def __init__(self, *arguments: Any) -> None:
            super().__init__(*arguments, directory=str(tmp_path))

        def log_message(self, *_words: Any) -> None:
            """Say nothing."""

    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), Files) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        config = f'c.GitHubRepoProvider.api_base_path = "http://127.0.0.1:{server.server_address[1]}"\n'
        with running(binderhub, tmp_path, config) as service:
            (tmp_path / f"{commit}.json").write_text(json.dumps({"submit": [BUILT]}))
            ready = service.events("Owner/Name.git/main", provider="gh")[-1]
            assert service.events("Owner/Name/gone", provider="gh") == failed(
                "Could not resolve ref for gh:Owner/Name/gone. Double check your URL and that your repo is public."
            )
            (made,) = service.notes(commit, "made")
        server.shutdown()
    assert ready["imageName"] == image_name("Owner-Name", commit)
    assert made["given"]["repo_url"] == "https://github.com/Owner/Name"


@pytest.mark.parametrize("ref", ["main", "HEAD", "v1%2Ffirst", "v1/first"])
def test_refs_are_resolved_by_git(service: Service, repository: Repository, ref: str) -> None:
    (service.folder / f"{repository.commit}.json").write_text(json.dumps({"submit": [BUILT]}))
    ready = service.events(repository.spec(ref))[-1]
    assert ready["phase"] == "ready"
    assert ready["imageName"].endswith(f":{repository.commit}")


def test_a_ref_that_is_not_there(service: Service, repository: Repository) -> None:
    (event,) = service.events(repository.spec("no-such-branch"))
    assert event["phase"] == "failed"
    key = f"git:{repository.spec('no-such-branch')}"
    assert event["message"] == (
        f"Could not resolve ref for {key}. Double check your URL and that your repo is public.\n"
    )


def test_a_repository_that_is_not_there(service: Service, repository: Repository) -> None:
    missing = spec("main", f"{repository.url}.missing")
    (event,) = service.events(missing)
    assert event["phase"] == "failed"
    assert event["message"].startswith(f"Error resolving ref for git:{missing}: Unable to run git ls-remote")
    assert "not found" in event["message"]


def test_a_commit_is_taken_as_it_is(service: Service) -> None:
    ref = service.script([BUILT])
    url = "http://127.0.0.1:9/unreachable"
    assert service.events(spec(ref, url))[-1]["phase"] == "ready"


def test_banned_and_allowed_specs(binderhub: Installed, tmp_path: Path) -> None:
    config = """
c.GitRepoProvider.banned_specs = [r"^https%3A%2F%2Fbad\\.example.*"]
c.GitRepoProvider.allowed_specs = [r"^https%3A%2F%2F(bad|good)\\.example.*"]
"""
    with running(binderhub, tmp_path, config) as service:
        for url, phases in {
            "https://bad.example/x": ["failed"],
            "https://BAD.example/x": ["failed"],
            "https://other.example/x": ["failed"],
            "https://good.example/x": ["waiting", "ready"],
            "https://GOOD.example/x": ["waiting", "ready"],
        }.items():
            events = service.events(spec(service.script([BUILT]), url))
            assert [event["phase"] for event in events] == phases, url
        (event,) = service.events(spec(ref := new_ref(), "https://bad.example/x"))
    banned = spec(ref, "https://bad.example/x")
    assert event["message"] == f"Sorry, {banned} is not allowed to launch. Please contact admins for more info!"


def test_build_only_needs_the_api_only_mode(binderhub: Installed, tmp_path: Path) -> None:
    with running(binderhub, tmp_path, "c.BinderHub.enable_api_only_mode = False\n") as service:
        (event,) = service.events(spec(service.script([BUILT])))
    assert (event["phase"], event["status_code"]) == ("failed", 400)
    assert event["message"].startswith("Building but not launching is not permitted")


@pytest.mark.parametrize("there", [True, False])
def test_without_build_only_the_image_is_launched_which_fails_without_a_hub(
    binderhub: Installed, tmp_path: Path, there: bool
) -> None:
    with running(binderhub, tmp_path, "c.Launcher.retries = 1\n") as service:
        ref = service.script([BUILT])
        if there:
            service.let(ref, "pushed")
        events = service.events(spec(ref), query="")
    built = "Found built image, launching...\n" if there else "Built image, launching...\n"
    assert [event["phase"] for event in events] == [*([] if there else ["waiting"]), "built", "launching", "failed"]
    assert {"phase": "built", "message": built, "imageName": image_name(URL, ref)} in events
    assert events[-1]["status_code"] == 500


def escaped(text: str) -> str:
    return "".join(c if c.isascii() and c.isalnum() else "".join(f"-{byte:02x}" for byte in c.encode()) for c in text)


def digest(text: str) -> str:
    return hashlib.sha256(text.encode()).hexdigest()


def image_name(slug: str, ref: str) -> str:
    """The rule: prefix, escaped slug, six digits of its hash, ref; without `_` and capitals; 255 before the ref."""
    room = 255 - len(PREFIX) - len("-123456")
    return f"{PREFIX}{escaped(slug)[:room]}-{digest(slug)[:6]}:{ref}".replace("_", "-").lower()


def pod_name(slug: str, ref: str) -> str:
    """The rule: at most 43 characters of the escaped slug, six digits of its hash, three characters and two digits."""
    return f"build-{escaped(slug)[:43]}-{digest(slug)[:6]}-{escaped(ref)[:3]}-{digest(ref)[:2]}".lower()


@pytest.mark.parametrize(
    "url",
    [
        URL,
        "https://git.example/Group_1/Project.Name_",
        "https://git.example/" + "x" * 300,
        "https://git.example/späte/Größe",
        "ssh://git@git.example/a/b",
    ],
)
def test_names_of_image_and_pod(service: Service, url: str) -> None:
    ref = service.script([BUILT])
    ready = service.events(spec(ref, url))[-1]
    (made,) = service.notes(ref, "made")
    assert ready["imageName"] == made["given"]["image_name"] == image_name(url, ref)
    assert made["given"]["name"] == pod_name(url, ref)
    assert len(made["given"]["name"]) <= 63
    assert len(ready["imageName"].rpartition(":")[0]) <= 255


def test_an_ssh_address_of_the_short_form(service: Service) -> None:
    ref = service.script([BUILT])
    assert service.events(spec(ref, "git@git.example:group/project"))[-1]["phase"] == "ready"
    (made,) = service.notes(ref, "made")
    assert made["given"]["repo_url"] == "ssh://git@git.example/group/project"


def test_the_prefix_is_changed_too(binderhub: Installed, tmp_path: Path) -> None:
    with running(binderhub, tmp_path, 'c.BinderHub.image_prefix = "R.example/Some_Group/"\n') as service:
        ready = service.events(spec(service.script([BUILT])))[-1]
    assert ready["imageName"].startswith("r.example/some-group/https-3a")


def test_the_rate_limit_is_per_address_and_believes_the_forwarded_one(binderhub: Installed, tmp_path: Path) -> None:
    with running(binderhub, tmp_path, "c.RateLimiter.limit = 2\nc.RateLimiter.period_seconds = 600\n") as service:
        build = spec(service.script([BUILT]))
        with service.build(build) as stream:
            assert stream.response.headers["x-ratelimit-limit"] == "2"
            assert stream.response.headers["x-ratelimit-remaining"] == "1"
            assert [event["phase"] for event in stream.rest()] == ["waiting", "ready"]
        assert len(service.events(build)) == 2
        refused = failed("Rate limit exceeded. Try again in 600 seconds.", 429)
        assert service.events(build) == refused
        other = {"X-Forwarded-For": "192.0.2.7"}
        assert len(service.events(build, headers=other)) == 2
        assert len(service.events(build, headers=other)) == 2
        assert service.events(build, headers=other) == refused


def test_banned_networks_may_ask_for_versions_alone(binderhub: Installed, tmp_path: Path) -> None:
    config = 'c.BinderHub.ban_networks = {"127.0.0.0/8": "the lab", "2001:db8::/32": "elsewhere"}\n'
    with running(binderhub, tmp_path, config) as service:
        refused = failed("Requests from the lab are not allowed", 403)
        assert service.events(spec(new_ref())) == refused
        assert service.get("/metrics").status_code == 403
        assert service.get("/versions").status_code == 200
        ref = service.script([BUILT])
        assert len(service.events(spec(ref), headers={"X-Forwarded-For": "192.0.2.7"})) == 2


SECRET = bytes(range(32))


def token(audience: str, origin: str, seconds: int = 60, secret: bytes = SECRET) -> str:
    """A build token, as BinderHub's pages make them: a JSON web token with HS256."""

    def part(content: bytes) -> bytes:
        return base64.urlsafe_b64encode(content).rstrip(b"=")

    claims = {"exp": int(time.time()) + seconds, "aud": audience, "origin": origin}
    head = b".".join(part(json.dumps(content).encode()) for content in ({"alg": "HS256", "typ": "JWT"}, claims))
    return b".".join([head, part(hmac.digest(secret, head, "sha256"))]).decode()


def test_build_tokens(binderhub: Installed, tmp_path: Path) -> None:
    config = f"c.BinderHub.build_token_secret = {SECRET.hex()!r}\nc.RateLimiter.limit = 1\n"
    with running(binderhub, tmp_path, config) as service:
        build = spec(service.script([BUILT]))
        here = service.url.removeprefix("http://")

        def ask(build_token: str) -> list[Any]:
            return service.events(build, query=f"?build_only=true&build_token={build_token}")

        good = token(f"git/{build}", here)
        assert [len(ask(good)) for _ in range(3)] == [2, 2, 2]  # the limit of one does not count
        refused = failed("Invalid build token", 403)
        assert ask("nonsense") == refused
        assert ask(token(f"git/{build}", here, secret=b"x" * 32)) == refused
        assert ask(token(f"git/{build}", here, seconds=-60)) == refused
        assert ask(token("git/another", here)) == refused
        assert ask(token(f"git/{build}", "elsewhere.example")) == refused
        assert good not in service.log.read_text()
