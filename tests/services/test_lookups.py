"""Look-ups of repositories: their number for each requester, the length of answers, the names of archives' images."""

import gzip
import queue
import subprocess
import threading
import zlib
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from urllib.parse import quote

import httpx
import pytest
from binderhub_service.repo_providers import git_address
from common.paths import CHART
from support.binderhub import PATIENCE_SECONDS, Installed, Service, new_ref, running, until

CONFIG = f"""
import sys
sys.path.append({str(CHART / "files")!r})
from binderhub_service import repo_providers
c.BinderHub.repo_providers = repo_providers.repo_providers()
"""
LOOKUPS = 4
MIB = 2**20
LONGEST = 16 * MIB


@dataclass
class Host:
    """A server that answers each request as the test says."""

    url: str
    asked: "queue.Queue[str]" = field(default_factory=queue.Queue)
    """The headers of each request, as it comes."""
    sent: int = 0


@contextmanager
def host(answer: Callable[[BaseHTTPRequestHandler, Host], None]) -> Iterator[Host]:
    """A host whose GET requests `answer` handles."""

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            found.asked.put(str(self.headers))
            answer(self, found)

        def log_message(self, *_words: object) -> None:
            """Say nothing."""

    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        server.daemon_threads = True
        found = Host(f"http://127.0.0.1:{server.server_port}")
        threading.Thread(target=server.serve_forever, daemon=True).start()
        yield found
        server.shutdown()


def head(handler: BaseHTTPRequestHandler, **headers: str) -> None:
    """Answer 200 with these headers, whose names have _ for -."""
    handler.send_response(200)
    for name, value in headers.items():
        handler.send_header(name.replace("_", "-"), value)
    handler.end_headers()


@contextmanager
def asking(binderhub: Installed, folder: Path, github: str = "") -> Iterator[Service]:
    """BinderHub, which takes the server at this address for GitHub's API."""
    more = f"c.GitHubRepoProvider.api_base_path = {github!r}\n" if github else ""
    with running(binderhub, folder, CONFIG + more) as service:
        yield service


def git(url: str) -> str:
    return f"{quote(f'{url}/repository', safe='')}/main"


@pytest.mark.parametrize("told", [False, True], ids=["without a length", "with its length"])
def test_the_answer_of_a_providers_host_is_bounded(binderhub: Installed, tmp_path: Path, told: bool) -> None:
    def endless(handler: BaseHTTPRequestHandler, to: Host) -> None:
        head(handler, **({"Content_Length": str(1024 * MIB)} if told else {}))
        while to.sent < 1024 * MIB:
            handler.wfile.write(b" " * MIB)
            to.sent += MIB

    with host(endless) as github, asking(binderhub, tmp_path, github.url) as service:
        (event,) = service.events("owner/name/main", provider="gh")
    assert event["phase"] == "failed"
    assert github.sent <= 2 * LONGEST


def test_a_packed_answer_is_neither_asked_for_nor_unpacked(binderhub: Installed, tmp_path: Path) -> None:
    packed = gzip.compress(b'{"sha": "' + b"1" * 40 + b'"}')

    def answer(handler: BaseHTTPRequestHandler, _to: Host) -> None:
        head(handler, Content_Encoding="gzip", Content_Length=str(len(packed)))
        handler.wfile.write(packed)

    with host(answer) as github, asking(binderhub, tmp_path, github.url) as service:
        (event,) = service.events("owner/name/main", provider="gh")
        assert "gzip" not in github.asked.get(timeout=PATIENCE_SECONDS)
    assert event["phase"] == "failed"


def test_an_answer_of_usual_length_names_the_commit(binderhub: Installed, tmp_path: Path) -> None:
    commit = new_ref()
    body = b'{"sha": "' + commit.encode() + b'", "files": "' + b"x" * MIB + b'"}'

    def answer(handler: BaseHTTPRequestHandler, _to: Host) -> None:
        head(handler, Content_Length=str(len(body)))
        handler.wfile.write(body)

    with host(answer) as github, asking(binderhub, tmp_path, github.url) as service:
        (service.folder / f"{commit}.json").write_text('{"submit": [["status", "BUILT"]], "logs": []}')
        assert service.events("owner/name/main", provider="gh")[-1]["imageName"].endswith(f":{commit}")


def test_git_ls_remote_takes_a_bounded_amount_of_memory(binderhub: Installed, tmp_path: Path) -> None:
    """Two MiB of an answer unpack to more than git may hold."""
    line = b"003f" + b"1" * 40 + b" refs/heads/aaaaaaa\n"
    pack = zlib.compressobj(1, wbits=31)
    start = pack.compress(b"001e# service=git-upload-pack\n0000")
    piece = line * (16 * MIB // len(line))
    body = start + b"".join(pack.compress(piece) for _ in range(96)) + pack.flush()
    assert len(body) < 32 * MIB

    def answer(handler: BaseHTTPRequestHandler, _to: Host) -> None:
        kind = "application/x-git-upload-pack-advertisement"
        head(handler, Content_Type=kind, Content_Encoding="gzip", Content_Length=str(len(body)))
        handler.wfile.write(body)

    with host(answer) as server, asking(binderhub, tmp_path) as service:
        (event,) = service.events(git(server.url))
    assert "The repository cannot be read: its list of refs is too long." in event["message"]


@pytest.mark.parametrize("provider", ["git", "gh"])
def test_a_requester_has_a_few_lookups_at_a_time(binderhub: Installed, tmp_path: Path, provider: str) -> None:
    """Others are not held up by them, and the next one's turn comes when one of them is over."""
    places: queue.Queue[threading.Event] = queue.Queue()

    def hold(_handler: BaseHTTPRequestHandler, _to: Host) -> None:
        place = threading.Event()
        places.put(place)
        place.wait(PATIENCE_SECONDS)

    with (
        host(hold) as server,
        asking(binderhub, tmp_path, server.url) as service,
        ExitStack() as clients,
    ):
        spec = git(server.url) if provider == "git" else "owner/name/main"
        url = f"{service.url}/build/{provider}/{spec}?build_only=true"

        def ask(address: str) -> None:
            client = clients.enter_context(
                httpx.Client(transport=httpx.HTTPTransport(local_address=address), timeout=PATIENCE_SECONDS)
            )
            clients.enter_context(client.stream("GET", url, headers={"Accept": "text/event-stream"}))

        for _ in range(LOOKUPS + 1):
            ask("127.0.0.1")
        held = [places.get(timeout=PATIENCE_SECONDS) for _ in range(LOOKUPS)]
        ask("127.0.0.2")
        other = places.get(timeout=PATIENCE_SECONDS)
        until(lambda: places.empty(), "no more requests")
        held[0].set()
        fifth = places.get(timeout=PATIENCE_SECONDS)
        for place in (*held, other, fifth):
            place.set()


ARCHIVE = """
from urllib.parse import unquote
from binderhub.repoproviders import RepoProvider
from binderhub_service.repo_providers.archives import named_by_address

class Archive(RepoProvider):
    display_config = {"displayName": "Archive", "id": "ckan", "spec": {"validateRegex": ".+"}, "repo": {"label": ""}}

    async def get_resolved_ref(self):
        return self.spec.rpartition("-")[2]

    async def get_resolved_spec(self):
        return self.spec

    async def get_resolved_ref_url(self):
        return self.spec

    def get_repo_url(self):
        return unquote(self.spec)

    def get_build_slug(self):
        return "ckan-1"

c.BinderHub.repo_providers = {"ckan": named_by_address(Archive)}
"""


def test_the_image_of_an_archive_is_named_by_its_address_too(binderhub: Installed, tmp_path: Path) -> None:
    """Two hosts can tell the same number of a record."""
    with running(binderhub, tmp_path, CONFIG + ARCHIVE) as service:
        ref = service.script([("status", "BUILT")])
        names = [
            service.events(f"{host}-{ref}", provider="ckan")[-1]["imageName"]
            for host in ("archive.example", "evil.example", "archive.example")
        ]
    assert names[0] != names[1]
    assert names[0] == names[2]
    assert all(name.endswith(f":{ref}") for name in names)


@pytest.mark.parametrize(
    "address",
    [
        "https://user:canary@archive.example/dataset/x",
        "https://canary%40archive.example/dataset/x",
        "https://user:canary\\@archive.example/dataset/x",
    ],
)
def test_a_login_in_the_address_of_an_archive_is_refused(binderhub: Installed, tmp_path: Path, address: str) -> None:
    masked = "from binderhub_service import service_log\nservice_log.mask_logins()\n"
    with running(binderhub, tmp_path, CONFIG + masked + ARCHIVE) as service:
        (event,) = service.events(quote(f"{address}-{new_ref()}", safe=""), provider="ckan")
        assert git_address.LOGIN_IN_ADDRESS in event["message"]
        assert "canary" not in str(event)
        assert "canary" not in service.log.read_text()


def test_binderhub_has_the_providers_of_archives(binderhub: Installed) -> None:
    if binderhub.is_standin:
        pytest.skip("the stand-in has no providers of archives; --binderhub-wheel has them")
    program = (
        "from binderhub_service.repo_providers import archives, repo_providers; found = repo_providers(); "
        "print([found[key].__module__ == archives.__name__ for key in archives.ARCHIVES])"
    )
    env = {"PYTHONPATH": f"{binderhub.packages}:{CHART / 'files'}"}
    run = subprocess.run([binderhub.python, "-c", program], env=env, capture_output=True, text=True, check=True)
    assert run.stdout.strip() == "[True, True, True, True]"
