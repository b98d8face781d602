"""The provider `git`: logins in addresses, protocols, the time of `git ls-remote`, and whose builds get credentials."""

import json
import os
import shutil
import socket
import subprocess
import threading
from collections.abc import Iterator
from contextlib import closing
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any
from urllib.parse import quote

import pytest
from binderhub_service.repo_providers import git_address
from common.paths import CHART
from support.binderhub import Installed, Repository, Service, new_ref, running, until
from support.git_servers import GitServer, serving

CANARY = "canary7f3a"
CREDENTIALS = f"username=robot\\npassword={CANARY}"
CONFIG = f"""
import sys
sys.path.append({str(CHART / "files")!r})
from binderhub_service import service_log
service_log.mask_logins()
from binderhub_service import repo_providers
c.BinderHub.repo_providers = repo_providers.repo_providers()
c.ServiceGitRepoProvider.ls_remote_timeout = 20
"""


@pytest.fixture(scope="module")
def service(binderhub: Installed, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Service]:
    """BinderHub with the provider as it is by default."""
    with running(binderhub, tmp_path_factory.mktemp("service"), CONFIG) as started:
        yield started


@pytest.fixture
def git(tmp_path: Path) -> Iterator[GitServer]:
    """A Git server that wants no login."""
    with serving(tmp_path / "git", "127.0.0.1", None) as started:
        yield started


def spec(url: str, ref: str = "main") -> str:
    return f"{quote(url, safe='')}/{ref}"


def failure(service: Service, asked: str) -> str:
    """What the one event says."""
    (event,) = service.events(asked)
    assert event["phase"] == "failed"
    return str(event["message"])


WITH_LOGIN = [
    f"https://user:{CANARY}@git.example/repo",
    f"https://{CANARY}@git.example/repo",
    f"HTTPS://user:{CANARY}@git.example/repo",
    f"https://a@{CANARY}@git.example/repo",
    f"https://{CANARY}%40git.example/repo",
    f"https://{CANARY}%3Ax%40git.example/repo",
    f"https://user:{CANARY}\\@git.example/repo",
    f"https://user:{CANARY}\t@git.example/repo",
    f"https://user:{CANARY}\n@git.example/repo",
    f"https://user:{CANARY}\uff20git.example/repo",
    f"https:user:{CANARY}@git.example/repo",
    f"https:/user:{CANARY}@git.example/repo",
    f"//user:{CANARY}@git.example/repo",
    f"user:{CANARY}@git.example:repo",
    f" https://user:{CANARY}@git.example/repo",
    f"ssh://user:{CANARY}@git.example/repo",
    f"https://:{CANARY}@git.example/repo",
]


@pytest.mark.parametrize("ref", ["main", new_ref()], ids=["branch", "commit"])
@pytest.mark.parametrize("url", WITH_LOGIN)
def test_a_login_in_an_address_is_refused_and_stands_nowhere(service: Service, url: str, ref: str) -> None:
    message = failure(service, spec(url, ref))
    assert message.strip() == git_address.LOGIN_IN_ADDRESS
    assert CANARY not in service.log.read_text()
    assert CANARY not in service.get("/metrics").text
    assert not service.notes(ref, "made")


@pytest.mark.parametrize(
    "encoded",
    [
        f"https%3A%2F%2Fuser%3A{CANARY}%40git.example%2Frepo/main",
        f"https%253A%252F%252Fuser%253A{CANARY}%2540git.example%252Frepo/main",
        f"https%25253A%25252F%25252Fuser%25253A{CANARY}%252540git.example%25252Frepo/main",
        f"https:%2F%2Fuser:{CANARY}@git.example%2Frepo/main",
        f"https%3a%2f%2fuser%3a{CANARY}%40git.example%2frepo/main",
        f"https%3A%2F%2Fuser%3Apa%2F{CANARY}%40git.example%2Frepo/main",
        f"{CANARY}@git.example:repo/main",
        f"{CANARY}%40git.example%3Arepo/main",
    ],
)
def test_no_log_shows_a_login_however_it_is_encoded(service: Service, encoded: str) -> None:
    message = failure(service, encoded)
    assert CANARY not in message
    assert CANARY not in service.log.read_text()


def test_other_providers_log_no_login(service: Service) -> None:
    service.events(f"https%3A%2F%2Fuser%3A{CANARY}%40github.com", provider="gh")
    assert CANARY not in service.log.read_text()


@pytest.mark.parametrize(
    "url",
    [
        "https://git.example/a b",
        "https://git.example\\repo",
        "https://git.example/repo\n",
        "https://git%2eexample/repo",
        "https://git.example:0/repo",
        "https://git.example:port/repo",
        "https:///repo",
        "https:git.example/repo",
        "repo",
        "ext::sh -c id",
        "-upload-pack=id",
        "https://git.example/repo?private_token=a",
    ],
)
def test_a_malformed_address_is_refused(service: Service, url: str) -> None:
    assert failure(service, spec(url)).strip() == git_address.MALFORMED_ADDRESS


@pytest.mark.parametrize(
    "url", ["git://git.example/r", "ssh://git.example/r", "git@git.example:r", "file:///etc", "ftp://git.example/r"]
)
@pytest.mark.parametrize("ref", ["main", new_ref()], ids=["branch", "commit"])
def test_protocols_other_than_http_are_refused(service: Service, url: str, ref: str) -> None:
    assert "Use an address with one of: http, https." in failure(service, spec(url, ref))
    assert not service.notes(ref, "made")


@pytest.mark.parametrize(
    "url",
    [
        "https://git.example/@user/repo",
        "https://git.example:8443/~user/repo.git",
        "HTTP://git.example/r",
        "https://[::1]/r",
    ],
)
def test_an_address_without_a_login_is_taken(service: Service, url: str) -> None:
    ref = service.script([("status", "BUILT")])
    assert service.events(spec(url, ref))[-1]["phase"] == "ready"
    assert service.notes(ref, "made")[0]["given"]["repo_url"].lower() == url.lower()


def test_configuration_can_allow_other_protocols(binderhub: Installed, tmp_path: Path) -> None:
    more = "c.GitRepoProvider.allowed_protocols = {'ssh', 'https'}"
    with running(binderhub, tmp_path, CONFIG + more) as service:
        ref = service.script([("status", "BUILT")])
        assert service.events(spec("git@git.example:group/repo", ref))[-1]["phase"] == "ready"
        assert service.notes(ref, "made")[0]["given"]["repo_url"] == "ssh://git@git.example/group/repo"
        assert "with one of: https, ssh." in failure(service, spec("http://git.example/repo", ref))


def commit_of(service: Service, asked: str, commit: str) -> str:
    """The commit that is built, where `commit` is one whose build succeeds."""
    (service.folder / f"{commit}.json").write_text(json.dumps({"submit": [("status", "BUILT")]}))
    return str(service.events(asked)[-1].get("imageName", "")).rpartition(":")[2]


@pytest.mark.parametrize("ref", ["main", "v1/first", "HEAD", "refs/heads/main"])
def test_a_ref_becomes_a_commit(service: Service, repository: Repository, ref: str) -> None:
    assert commit_of(service, repository.spec(ref), repository.commit) == repository.commit


@pytest.fixture
def similar_refs(git: GitServer) -> tuple[str, dict[str, str]]:
    """A repository whose refs end alike, each at a commit of its own; its URL, and the commits."""
    git.repository("similar")
    bare, work = git.folder / "similar", git.folder / "similar.work"
    commits = {}
    for name in ["heads/dev/main", "heads/main", "heads/both", "tags/both", "tags/dev/v1", "tags/v1", "pull/7/head"]:
        in_work = ["git", "-C", str(work), "-c", "user.name=T", "-c", "user.email=t@example.com"]
        subprocess.run([*in_work, "commit", "--quiet", "--allow-empty", "-m", name], check=True)
        subprocess.run([*in_work, "push", "--quiet", "--force", "origin", f"HEAD:refs/{name}"], check=True)
        listed = subprocess.run(["git", "-C", str(bare), "rev-parse", f"refs/{name}"], check=True, capture_output=True)
        commits[name] = listed.stdout.decode().strip()
    return f"http://{git.host}/similar", commits


@pytest.mark.parametrize(
    ("ref", "name"),
    [
        ("main", "heads/main"),
        ("dev/main", "heads/dev/main"),
        ("v1", "tags/v1"),
        ("both", "heads/both"),
        ("tags/both", "tags/both"),
        ("refs/tags/both", "tags/both"),
        ("pull/7/head", "pull/7/head"),
        ("refs/pull/7/head", "pull/7/head"),
    ],
)
def test_a_ref_is_the_one_with_exactly_this_name(
    service: Service, similar_refs: tuple[str, dict[str, str]], ref: str, name: str
) -> None:
    url, commits = similar_refs
    assert len(set(commits.values())) == len(commits)
    assert commit_of(service, spec(url, ref), commits[name]) == commits[name]


@pytest.mark.parametrize("ref", ["mai*", "mai?", "[m]ain", "*", "head", "7/head", "ain", "main..dev", "main^", "v1~1"])
def test_a_part_of_a_name_and_a_pattern_are_no_ref(
    service: Service, similar_refs: tuple[str, dict[str, str]], ref: str
) -> None:
    assert failure(service, spec(similar_refs[0], quote(ref, safe=""))).startswith("Could not resolve ref for git:")


def test_a_branch_of_a_private_repository_is_found_with_the_credentials(
    binderhub: Installed, tmp_path: Path, git: GitServer
) -> None:
    commit = git.repository("private")
    git.login = f"robot:{CANARY}"
    more = (
        f"c.GitRepoProvider.git_credentials = {CREDENTIALS!r}\n"
        f"c.ServiceGitRepoProvider.credential_hosts = ['http://{git.host}']\n"
    )
    with running(binderhub, tmp_path, CONFIG + more) as service:
        assert commit_of(service, spec(f"http://{git.host}/private"), commit) == commit
        assert CANARY not in service.log.read_text()
    assert git.logins()
    assert set(git.logins()) == {git.login}


def test_a_ref_that_is_not_there(service: Service, repository: Repository) -> None:
    assert failure(service, repository.spec("none-such")).startswith("Could not resolve ref for git:")


@pytest.mark.parametrize("ref", ["--upload-pack=touch%20/tmp/x", "-h"])
def test_a_ref_is_no_option(service: Service, repository: Repository, ref: str) -> None:
    assert failure(service, repository.spec(ref)).strip() == git_address.MALFORMED_REF


@pytest.mark.parametrize(
    "url",
    [
        "-oProxyCommand=id",
        "-oProxyCommand=id@git.example:repo",
        "git@-oProxyCommand=id:repo",
        "ssh://-oProxyCommand=id@git.example/repo",
        "ssh://git@-oProxyCommand/repo",
        "https://-h/repo",
    ],
)
def test_no_part_of_an_address_is_an_option(url: str) -> None:
    """Also where ssh is allowed."""
    with pytest.raises(ValueError, match="The repository's address"):
        git_address.validated(url, "main")


def test_a_repository_that_is_not_there(service: Service, repository: Repository) -> None:
    said = failure(service, spec(f"{repository.url}.missing"))
    assert "The repository cannot be read: " in said
    assert "not found" in said
    assert said.count("\n") == 1


def test_a_repository_that_wants_a_login(service: Service, git: GitServer) -> None:
    git.login = ""
    said = failure(service, spec(f"http://{git.host}/private"))
    assert "The repository cannot be read: it does not exist, or it is private" in said


@pytest.fixture
def impatient(binderhub: Installed, tmp_path: Path) -> Iterator[Service]:
    """BinderHub that gives `git ls-remote` one second."""
    folder = tmp_path / "impatient"
    folder.mkdir()
    with running(binderhub, folder, CONFIG + "c.ServiceGitRepoProvider.ls_remote_timeout = 1") as started:
        yield started


def running_git(address: str) -> list[str]:
    """The processes whose arguments have the address."""
    found = []
    for one in Path("/proc").glob("[0-9]*/cmdline"):
        try:
            words = one.read_bytes().replace(b"\0", b" ").decode(errors="replace")
        except OSError:
            continue
        if address in words:
            found.append(words)
    return found


def test_a_host_that_never_answers_is_left(impatient: Service) -> None:
    with closing(socket.create_server(("127.0.0.1", 0))) as silent:
        address = f"http://127.0.0.1:{silent.getsockname()[1]}/repo"
        with impatient.build(spec(address)) as stream:
            until(lambda: running_git(address), "git to ask")
            event = stream.event()
        assert "did not answer within 1 s" in event["message"]
        until(lambda: not running_git(address), "git and its helpers to end")


def test_the_output_of_git_is_bounded_and_one_line(service: Service) -> None:
    """The server's words come with the escape sequences of a terminal, and without an end."""

    class Loud(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            body = b"\x1b[2J\x1b]0;title\x07 http://u:" + CANARY.encode() + b"@h/ " + b"x" * 200_000
            self.send_response(500)
            self.send_header("Content-Type", "text/plain")
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, *_words: Any) -> None:
            """Say nothing."""

    with ThreadingHTTPServer(("127.0.0.1", 0), Loud) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        said = failure(service, spec(f"http://127.0.0.1:{server.server_port}/repo"))
        server.shutdown()
    assert "The repository cannot be read: " in said
    assert len(said) < 800
    assert said.rstrip("\n").isprintable()
    assert CANARY not in said


def test_the_first_redirect_is_followed_by_http_alone(service: Service, git: GitServer, tmp_path: Path) -> None:
    commit = git.repository("one.git")
    git.redirects["moved"] = f"http://{git.host}"
    assert commit_of(service, spec(f"http://{git.host}/moved/one.git"), commit) == commit
    git.redirects["away"] = f"file://{tmp_path}/git"
    assert "The repository cannot be read: " in failure(service, spec(f"http://{git.host}/away/one.git"))


def test_git_uses_no_protocol_that_is_not_allowed(binderhub: Installed, tmp_path: Path, git: GitServer) -> None:
    """Also where Git's own configuration, or a helper, leads elsewhere."""
    git.repository("one.git")
    rewrites = {
        "GIT_CONFIG_COUNT": "1",
        "GIT_CONFIG_KEY_0": f"url.file://{tmp_path}/git/.insteadOf",
        "GIT_CONFIG_VALUE_0": "http://rewritten.example/",
    }
    folder = tmp_path / "service"
    folder.mkdir()
    with running(binderhub, folder, CONFIG, rewrites) as service:
        said = failure(service, spec("http://rewritten.example/one.git"))
    assert "The repository cannot be read: transport 'file' not allowed." in said


def credentials_of(service: Service, url: str) -> str:
    """The credentials that a build of this repository gets."""
    ref = service.script([("status", "BUILT")])
    assert service.events(spec(url, ref))[-1]["phase"] == "ready"
    return str(service.notes(ref, "made")[0]["given"]["git_credentials"])


@pytest.fixture(scope="module")
def with_credentials(binderhub: Installed, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Service]:
    """BinderHub with credentials for three hosts."""
    hosts = ["git.example.org", "Other.Example.org:8443", "http://plain.example.org", "strasse.example.org"]
    more = (
        f"c.GitRepoProvider.git_credentials = {CREDENTIALS!r}\nc.ServiceGitRepoProvider.credential_hosts = {hosts!r}\n"
    )
    with running(binderhub, tmp_path_factory.mktemp("with-credentials"), CONFIG + more) as started:
        yield started


@pytest.mark.parametrize(
    "url",
    [
        "https://git.example.org/group/repo",
        "HTTPS://GIT.example.ORG/group/repo",
        "https://other.example.org:8443/repo",
        "http://plain.example.org/repo",
        "https://plain.example.org/repo",
    ],
)
def test_a_listed_host_gets_the_credentials(with_credentials: Service, url: str) -> None:
    assert credentials_of(with_credentials, url) == CREDENTIALS


@pytest.mark.parametrize(
    "url",
    [
        "https://evil.example/git.example.org",
        "https://git.example.org.evil.example/repo",
        "https://evilgit.example.org/repo",
        "https://git.example.org:8443/repo",
        "https://other.example.org/repo",
        "https://git.example.org./repo",
        "http://git.example.org/repo",
        "https://stra\u00dfe.example.org/repo",
        "https://g\u0131t.example.org/repo",
        "https://\uff47it.example.org/repo",
    ],
)
def test_another_host_gets_no_credentials(with_credentials: Service, url: str) -> None:
    assert credentials_of(with_credentials, url) == ""


def test_nobody_gets_credentials_without_a_list(binderhub: Installed, tmp_path: Path) -> None:
    with running(binderhub, tmp_path, CONFIG + f"c.GitRepoProvider.git_credentials = {CREDENTIALS!r}") as service:
        assert credentials_of(service, "https://git.example.org/repo") == ""


def test_malformed_credentials_are_given_to_nobody_and_not_shown(binderhub: Installed, tmp_path: Path) -> None:
    more = (
        f"c.GitRepoProvider.git_credentials = {CANARY!r}\nc.ServiceGitRepoProvider.credential_hosts = ['git.example']"
    )
    with running(binderhub, tmp_path, CONFIG + more) as service:
        assert credentials_of(service, "https://git.example/repo") == ""
        log = service.log.read_text()
    assert "git_credentials is malformed" in log
    assert CANARY not in log


def test_malformed_credentials_end_binderhub_when_it_starts(binderhub: Installed, tmp_path: Path) -> None:
    check = "from binderhub_service.repo_providers import git_address\ngit_address.refuse_malformed_credentials(c)\n"
    file = tmp_path / "config.py"
    file.write_text(f"c = get_config()\n{CONFIG}c.GitRepoProvider.git_credentials = {CANARY!r}\n{check}")
    command = [str(binderhub.python), "-m", "binderhub", "--config", str(file)]
    env = {**os.environ, "PYTHONPATH": str(binderhub.packages)}
    ended = subprocess.run(command, env=env, cwd=tmp_path, capture_output=True, text=True, check=False, timeout=60)
    assert ended.returncode == 1
    assert "config.GitRepoProvider.git_credentials is malformed. Write it as lines" in ended.stderr
    assert CANARY not in ended.stdout + ended.stderr


def test_the_charts_configuration_sets_the_provider_and_the_masks(binderhub: Installed, tmp_path: Path) -> None:
    files = tmp_path / "mounted"
    shutil.copytree(CHART / "files", files)
    values = {
        "buildPods": {"executor": "service", "gitCredentialHosts": ["git.example.org"]},
        "config": {"GitRepoProvider": {"git_credentials": CREDENTIALS}},
        # The rest is that of the tests: no cluster, and builds that end at once.
        "extraConfig": {
            "tests": "c.BinderHub.build_class = 'recording.ScriptedExecutor'\n"
            "c.BinderHub.build_cleaner_class = None\n"
            "c.BinderHub.registry_class = 'recording.RecordingRegistry'\n"
        },
    }
    (files / "chart-config.yaml").write_text(json.dumps(values))
    loads = f"load_subconfig('binderhub_config.py', path={str(files)!r})\n"
    with running(binderhub, tmp_path, loads) as service:
        assert credentials_of(service, "https://git.example.org/repo") == CREDENTIALS
        assert credentials_of(service, "https://evil.example/repo") == ""
        url = f"https://user:{CANARY}@git.example.org/repo"
        assert failure(service, spec(url)).startswith("BHS903: ")
        assert git_address.LOGIN_IN_ADDRESS in failure(service, spec(url))
        service.events(f"https%3A%2F%2F{CANARY}%40github.com", provider="gh")
        assert CANARY not in service.log.read_text()
