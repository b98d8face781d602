"""How turns are taken, the client in the pod, and the Git server, without a cluster."""

import base64
import json
import subprocess
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any, cast

import pytest
from benchmarking import client_in_pod, comparison, failures, git_server
from benchmarking.release import Release, merged
from benchmarking.setup import KINDS, Bench


class Scripted:
    """Stands in for a release: answers builds with seconds, and remembers that it was asked."""

    def __init__(self, name: str, asked: list[str], seconds: list[float]) -> None:
        self.executor, self.asked, self.seconds = name, asked, seconds

    def build(self, *urls: str) -> tuple[list[float], dict[str, Any]]:
        self.asked.append(f"{self.executor} {len(urls)} {len(set(urls))}")
        return self.seconds[: len(urls)], {"threads": 9, "memory": 99.0}

    def pods(self) -> list[Any]:
        return []


@pytest.fixture
def asked() -> list[str]:
    return []


@pytest.fixture
def bench(asked: list[str]) -> Bench:
    releases = {"service": Scripted("A", asked, [1.0] * 50), "upstream": Scripted("B", asked, [2.0, *[3.0] * 49])}
    made = Bench(cast("Any", None), cast("Any", None), "benchmark-1", "node1", "image")
    made.releases = cast("dict[str, Release]", releases)
    return made


def test_turns_alternate_and_every_build_is_another_one(bench: Bench, asked: list[str]) -> None:
    rows = comparison.eight(bench, 3)
    assert asked == ["A 8 8", "B 8 8", "B 8 8", "A 8 8", "A 8 8", "B 8 8"]
    assert rows == {"eight": {"service": [1.0] * 3, "upstream": [3.0] * 3}}
    assert bench.builds == 24


def test_viewers_want_one_build_and_the_last_one_counts(bench: Bench, asked: list[str]) -> None:
    rows = comparison.viewers(bench, 1)
    assert asked == ["A 50 1", "B 50 1"]
    assert rows["viewers"] == {"service": [1.0], "upstream": [3.0]}
    assert rows["viewers_threads"] == {"service": [9], "upstream": [9]}


def test_values_of_a_fault_leave_the_others() -> None:
    assert merged({"a": {"b": 1, "c": 2}, "d": 3}, {"a": {"b": 4}, "e": 5}) == {"a": {"b": 4, "c": 2}, "d": 3, "e": 5}


class Release2:
    """A release whose stream has these lines, and ends or is cut."""

    executor = "service"

    def __init__(self, messages: list[str], **end: Any) -> None:
        self.messages, self.end = messages, {"phase": "failed", "message": "", "cut": False, **end}

    def tell(self, _url: str, _patience: float, told: Any) -> dict[str, Any]:
        for message in self.messages:
            told({"message": message})
        return self.end


def stream(release: Release2, pattern: Any = failures.STEP, do: Any = None) -> failures.Stream:
    return failures.Stream(cast("Release", release), "url", pattern, do)


def test_a_fault_is_brought_once_at_its_line() -> None:
    done: list[str] = []
    one = stream(Release2(["second 1", "second 2", "second 2"]), failures.SPEAKS, lambda: done.append("deleted"))
    assert one.end() is not None
    assert done == ["deleted"]


def test_a_stream_that_is_cut_has_no_seconds() -> None:
    assert stream(Release2(["exit code: 3"], cut=True)).end() is None


@pytest.mark.parametrize("release", [Release2(["exit code: 3"], phase="ready"), Release2(["all is well"])])
def test_a_build_that_does_not_fail_as_it_should_is_told(release: Release2) -> None:
    with pytest.raises(Exception, match="that was to fail"):
        stream(release).end()


@contextmanager
def serving(handler: type[BaseHTTPRequestHandler]) -> Iterator[int]:
    server = ThreadingHTTPServer(("127.0.0.1", 0), handler)
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    try:
        yield server.server_port
    finally:
        server.shutdown()
        thread.join()
        server.server_close()


class Events(BaseHTTPRequestHandler):
    """A stream of a build that is as a path says: `ready`, or open until the client goes."""

    def do_GET(self) -> None:
        self.send_response(200)
        self.end_headers()
        self.wfile.write(b'data: {"phase": "building", "message": "on it"}\n\n')
        if "open" in self.path:
            self.rfile.read(1)
        else:
            self.wfile.write(b'data: {"phase": "ready", "message": "Done"}\n\n')

    def log_message(self, *_words: Any) -> None:
        pass


def test_the_client_tells_the_end_of_each_stream(
    monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(client_in_pod, "process", lambda: (100.0, 7))
    with serving(Events) as port:
        monkeypatch.setattr(client_in_pod, "PORT", port)
        client_in_pod.builds({"urls": ["http://g/ready.git", "http://g/open.git"], "patience": 1.5, "loud": False})
    said = [json.loads(line) for line in capfd.readouterr().out.splitlines()]
    ready, cut = sorted(said[:-1], key=lambda one: int(one["number"]))
    assert (ready["phase"], ready["cut"]) == ("ready", False)
    assert (cut["phase"], cut["cut"]) == ("building", True)
    assert said[-1] == {"memory": 100.0, "threads": 7}


def test_the_client_finds_the_process_that_is_binderhub() -> None:
    words = "import sys; print('runs', flush=True); sys.stdin.read()"
    command = [sys.executable, "-c", words, "binderhub"]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as other:
        # A process that was only just made has no words in /proc yet.
        assert other.stdout
        assert other.stdout.readline() == "runs\n"
        memory, threads = client_in_pod.process()
        assert memory > 1
        assert threads >= 1
        other.communicate()


@pytest.mark.parametrize("kind", KINDS)
def test_every_repository_of_the_git_server_is_another(
    kind: str, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setattr(git_server, "FOLDER", tmp_path / "served")
    monkeypatch.setattr(git_server, "KINDS", KINDS)
    monkeypatch.setattr(git_server.Handler, "log_message", lambda *_words: None)
    with serving(git_server.Handler) as port:
        for name in ("one", "two", "one"):
            clone = ["git", "clone", "--quiet", f"http://127.0.0.1:{port}/{kind}/{name}.git", str(tmp_path / name)]
            if not (tmp_path / name).exists():
                subprocess.run(clone, check=True)
        missing = subprocess.run(
            ["git", "ls-remote", f"http://127.0.0.1:{port}/none-such/one.git"], capture_output=True, check=False
        )
    files = [(tmp_path / name / "Dockerfile").read_text() for name in ("one", "two")]
    assert files == [KINDS[kind].replace("NUMBER", name) for name in ("one", "two")]
    assert missing.returncode


def test_a_wrong_login_is_under_the_same_key_for_the_same_user() -> None:
    def encoded(text: str) -> str:
        return base64.b64encode(text.encode()).decode()

    right = {"auths": {"r.example": {"auth": encoded("me:right")}}}
    wrong = json.loads(base64.b64decode(failures._wrong({"data": {"config.json": encoded(json.dumps(right))}})))
    assert wrong == {"auths": {"r.example": {"auth": encoded("me:wrong")}}}
