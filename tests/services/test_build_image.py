"""scripts/build-image as pipelines run it: exit codes, what it prints, and what it does when the stream breaks."""

import json
import os
import signal
import subprocess
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest
from common.paths import SCRIPTS
from support.binderhub import Installed, Service, free_port, running

URL = "https://git.example/group/project"
TOKEN = "canary-t0ken"  # noqa: S105 - it opens nothing
READY = {"phase": "ready", "message": "Done\n", "imageName": "r.example/i:1"}


def command(service: str, *options: str) -> list[str]:
    return [str(SCRIPTS / "build-image"), URL, "--service-url", service, *options]


def run(service: str, *options: str, **env: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        command(service, *options),
        env={"PATH": os.environ["PATH"], **env},
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        check=False,
        timeout=60,
    )


@pytest.fixture(scope="module")
def service(binderhub: Installed, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Service]:
    with running(binderhub, tmp_path_factory.mktemp("service"), "") as started:
        yield started


def test_the_name_of_an_image_that_binderhub_builds_is_all_that_is_printed(service: Service) -> None:
    ref = service.script([("status", "BUILT")])
    done = run(service.url, "--ref", ref)
    assert done.returncode == 0, done.stderr
    assert done.stdout.endswith(f":{ref}\n")
    assert done.stdout.count("\n") == 1
    as_json = run(service.url, "--ref", service.script([("status", "BUILT")]), "--json")
    assert json.loads(as_json.stdout)["phase"] == "ready"


def test_a_build_that_fails_is_exit_code_1(service: Service) -> None:
    done = run(service.url, "--ref", service.script([("status", "FAILED")]))
    assert (done.returncode, done.stdout) == (1, "")
    assert "The build failed, and the service gives no reason." in done.stderr


def test_a_request_that_binderhub_refuses_is_exit_code_1(service: Service) -> None:
    done = run(service.url, "--provider", "gh")
    assert done.returncode == 1
    assert "failed " in done.stderr


@dataclass
class Scripted:
    """A service that plays one answer after another."""

    url: str
    answers: list[Any]
    """Of each request: its status, its events, and whether the stream ends whole."""
    asked: list[tuple[str, dict[str, str]]] = field(default_factory=list)
    location: str = ""
    """Where a redirect leads."""


@contextmanager
def playing(*answers: tuple[int, list[dict[str, Any]], bool]) -> Iterator[Scripted]:
    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def do_GET(self) -> None:
            played.asked.append((self.path, dict(self.headers)))
            status, events, whole = played.answers.pop(0)
            self.send_response(status)
            self.send_header("Content-Type", "text/event-stream")
            if played.location:
                self.send_header("Location", played.location)
            self.send_header("Transfer-Encoding", "chunked")
            self.end_headers()
            for event in events:
                data = f":keepalive\n\ndata: {json.dumps(event)}\n\n".encode()
                self.wfile.write(b"%x\r\n%s\r\n" % (len(data), data))
            if whole:
                self.wfile.write(b"0\r\n\r\n")
            self.close_connection = True

        def log_message(self, *_words: object) -> None:
            """Say nothing."""

    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        played = Scripted(f"http://127.0.0.1:{server.server_port}", list(answers))
        threading.Thread(target=server.serve_forever, daemon=True).start()
        yield played
        server.shutdown()


def line(text: str, phase: str = "building") -> dict[str, Any]:
    return {"phase": phase, "message": f"{text}\n"}


@pytest.mark.parametrize("whole", [True, False], ids=["ended", "cut"])
def test_a_stream_that_breaks_is_asked_for_again_and_no_line_is_shown_twice(whole: bool) -> None:
    first = [line("Cloning", "fetching"), line("one"), line("one")]
    with playing((200, first, whole), (200, [*first, line("two"), READY], True)) as service:
        done = run(service.url)
    assert (done.returncode, done.stdout) == (0, "r.example/i:1\n")
    shown = [text for text in done.stderr.splitlines() if not text.startswith("Asking again")]
    assert shown == ["fetching  Cloning", "building  one", "building  one", "building  two", "ready     Done"]
    assert done.stderr.count("Asking again in 1 s, the build continues meanwhile") == 1


def test_another_build_after_a_break_is_shown() -> None:
    with playing((200, [line("one"), line("two")], False), (200, [line("three"), READY], True)) as service:
        done = run(service.url)
    assert "building  three" in done.stderr


def test_a_proxy_whose_service_is_replaced_is_asked_again() -> None:
    with playing((502, [], True), (200, [READY], True)) as service:
        assert run(service.url).returncode == 0


def test_a_refusal_is_told_and_not_asked_again() -> None:
    refused = {"phase": "failed", "message": "BHS901: The request is not allowed.\nAsk.\n", "code": "BHS901"}
    with playing((403, [refused], True)) as service:
        done = run(service.url, "--quiet")
        assert len(service.asked) == 1
    assert (done.returncode, done.stdout) == (1, "")
    assert done.stderr == "BHS901: The request is not allowed.\nAsk.\n"


def test_an_address_that_is_no_binderhub_is_told() -> None:
    with playing((404, [], True)) as service:
        done = run(service.url)
    assert done.returncode == 1
    assert "answers HTTP 404" in done.stderr


def test_a_token_is_not_sent_to_where_a_redirect_leads() -> None:
    with playing((200, [READY], True)) as other, playing((302, [], True)) as service:
        service.location = other.url
        done = run(service.url, "--token-env", "MINE", MINE=TOKEN)
        assert not other.asked
    assert done.returncode == 1
    assert "answers HTTP 302" in done.stderr


def test_a_service_that_is_not_there_is_exit_code_3() -> None:
    done = run(f"http://127.0.0.1:{free_port()}", "--patience", "1.5")
    assert done.returncode == 3
    assert "The service was unreachable for 1.5 s" in done.stderr


def test_the_token_comes_from_a_variable_and_is_not_shown() -> None:
    with playing((200, [READY], True)) as service:
        done = run(service.url, "--token-env", "MINE", MINE=f"{TOKEN}\n")
        ((path, headers),) = service.asked
    assert headers["Authorization"] == f"token {TOKEN}"
    assert path == "/build/git/https%3A%2F%2Fgit.example%2Fgroup%2Fproject/HEAD?build_only=true"
    assert TOKEN not in done.stdout + done.stderr


def test_a_log_cannot_control_the_terminal() -> None:
    with playing((200, [line("a\x1b[2Jb\x07"), READY], True)) as service:
        done = run(service.url)
    assert "building  a [2Jb" in done.stderr
    assert not {"\x1b", "\x07"} & set(done.stderr)


def test_without_an_address_it_says_how_to_give_one() -> None:
    done = subprocess.run([SCRIPTS / "build-image", URL], env={}, capture_output=True, text=True, check=False)
    assert done.returncode == 2
    assert "Name the address of BinderHub with --service-url or $BINDERHUB_URL." in done.stderr


def test_an_interruption_says_that_the_build_continues(service: Service) -> None:
    ref = service.script([("wait", "go"), ("status", "BUILT")])
    started = subprocess.Popen(command(service.url, "--ref", ref), stderr=subprocess.PIPE, text=True)
    try:
        service.noted(ref, "submit")
        started.send_signal(signal.SIGINT)
        said = started.communicate(timeout=20)[1]
    finally:
        service.let(ref, "go")
        started.kill()
    assert started.returncode == 130
    assert "A build that has begun continues; run the same command again to attach to it." in said


def test_the_one_file_runs_without_the_clone(tmp_path: Path) -> None:
    """It can be downloaded by itself."""
    alone = tmp_path / "build-image"
    alone.write_bytes((SCRIPTS / "commands" / "build_image.py").read_bytes())
    with playing((200, [READY], True)) as service:
        words = ["python3", "-I", str(alone), URL, "--service-url", service.url]
        done = subprocess.run(words, capture_output=True, text=True, check=False, timeout=60)
    assert (done.returncode, done.stdout) == (0, "r.example/i:1\n")
