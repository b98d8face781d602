"""The programs of the three containers, with something in place of repo2docker and of the daemon that does as told."""

import base64
import contextlib
import fcntl
import json
import os
import signal
import socket
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest
from binderhub_service.programs import BUILD, FETCH, PUSH, command, credential_helper
from binderhub_service.programs.build import NO_DAEMON, NO_PERMISSION
from binderhub_service.programs.check_image import CHECK_FAILED
from binderhub_service.programs.fetch import AUTHORITIES, LINK_LEAVES, REFUSED_ARGUMENTS, TOO_LARGE, link_that_leaves
from binderhub_service.programs.push import DOCKER_HUB, Logins, registry_of
from binderhub_service.programs.shared import DAEMON_LOST, DAEMON_SILENT

REPO2DOCKER = """
import argparse, json, os, pathlib, subprocess, sys, time
class Repo2Docker: pass
class App:
    repo, ref = "repo", "ref"
    def initialize(self): pass
    def fetch(self, repo, ref, path):
        if "--broken" in sys.argv:
            sys.exit(3)
        if "--endless" in sys.argv:
            pathlib.Path("endless").touch()
            time.sleep(600)
        path = pathlib.Path(path)
        if "--link" in sys.argv:
            (path / "runtime.txt").symlink_to("/etc/passwd")
        if "--large" in sys.argv:
            (path / "large").write_bytes(bytes(3 << 20))
        trusted = {name: os.environ.get(name) for name in ("GIT_SSL_CAINFO", "REQUESTS_CA_BUNDLE", "SSL_CERT_FILE")}
        print(json.dumps(trusted), flush=True)
def get_argparser():
    parser = argparse.ArgumentParser()
    parser.add_argument("--build-memory-limit", help=argparse.SUPPRESS)
    return parser
def make_r2d(arguments):
    if "--build-memory-limit" in arguments:
        sys.exit("it is refused")
    if "--no-such" in arguments:
        print("usage: -c [-h]\\n-c: error: unrecognized arguments: --no-such", file=sys.stderr)
        sys.exit(2)
    return App()
def main():
    print("built", *sys.argv, flush=True)
    how = sys.argv[1]
    if how == "--wait":
        pathlib.Path("building").touch()
        while not pathlib.Path("done").exists():
            time.sleep(0.02)
    if how == "--raise":
        raise RuntimeError("one line\\nERROR: another")
    if how == "--kill":
        os.kill(os.getpid(), 9)
    if how == "--exit":
        os._exit(int(sys.argv[2]))
    if how == "--login":
        subprocess.run(["docker-credential-binderhub-service", sys.argv[2]], input=sys.argv[3].encode())
        print(os.environ["DOCKER_CONFIG"])
    sys.exit({"--fail": 7, "--text": "a sentence"}.get(how))
"""


@dataclass
class Daemon:
    """A daemon that answers pings, keeps streams of events open, and says of pushes what a test wants."""

    path: Path
    lines: list[Any] = field(default_factory=list)
    status: int = 200
    cut: bool = False
    silent: bool = False
    """Whether it accepts connections and answers none."""
    then: list[list[Any]] = field(default_factory=list)
    """The lines of further pushes."""
    pushed: list[tuple[str, dict[str, str]]] = field(default_factory=list)
    """Path and login of each push."""
    _streams: list[socket.socket] = field(default_factory=list)
    _listening: socket.socket = field(default_factory=lambda: socket.socket(socket.AF_UNIX))

    def start(self) -> None:
        self._listening.bind(str(self.path))
        self._listening.listen()
        threading.Thread(target=self._serve, daemon=True).start()

    def end(self) -> None:
        """End as a process does: all its connections are closed."""
        self._listening.close()
        self.path.unlink(missing_ok=True)
        for stream in self._streams:
            with contextlib.suppress(OSError):  # the other end may be gone
                stream.shutdown(socket.SHUT_RDWR)
            stream.close()

    def _serve(self) -> None:
        while True:
            try:
                caller, _ = self._listening.accept()
            except OSError:
                return
            request = b""
            while b"\r\n\r\n" not in request and (piece := caller.recv(4096)):
                request += piece
            if not request:
                caller.close()
                continue
            if self.silent:
                self._streams.append(caller)
                continue
            head, *headers = request.decode().split("\r\n")
            _, target, _ = head.split(" ")
            if target == "/_ping":
                caller.sendall(b"HTTP/1.0 200 OK\r\n\r\nOK")
                caller.close()
            elif target.startswith("/events"):
                caller.sendall(b"HTTP/1.0 200 OK\r\n\r\n")
                self._streams.append(caller)
            else:
                self._push(caller, target, headers)

    def _push(self, caller: socket.socket, target: str, headers: list[str]) -> None:
        (login,) = (line.partition(": ")[2] for line in headers if line.lower().startswith("x-registry-auth:"))
        self.pushed.append((target, json.loads(base64.urlsafe_b64decode(login))))
        self.lines = self.then.pop(0) if self.then else self.lines
        lines = [(line if isinstance(line, bytes) else json.dumps(line).encode()) + b"\r\n" for line in self.lines]
        body = b"".join(f"{len(line):x}\r\n".encode() + line + b"\r\n" for line in lines)
        with caller, contextlib.suppress(OSError):  # a client that does not understand a line ends the connection
            caller.sendall(f"HTTP/1.1 {self.status} X\r\nTransfer-Encoding: chunked\r\n\r\n".encode() + body)
            if not self.cut:
                caller.sendall(b"0\r\n\r\n")


@dataclass
class Pod:
    """The folders that the containers share, and their programs."""

    folder: Path
    daemon: Daemon
    started: list[subprocess.Popen[str]] = field(default_factory=list)

    @property
    def source(self) -> Path:
        return self.folder / "src" / "repository"

    @property
    def handover(self) -> Path:
        return self.folder / "handover"

    def fetch(self, *options: str, limit: int = 0) -> subprocess.Popen[str]:
        return self._start(FETCH, "word-fetch", "word-fetched", str(self.source), str(limit), *options, "repo")

    def build(
        self,
        *options: str,
        patience: float = 10,
        helper: bool = False,
        silence: float = 0,
        user: int = 0,
        proxy: str = "",
        check: dict[str, Any] | None = None,
    ) -> subprocess.Popen[str]:
        settings = {
            "word": "word-build",
            "fetched": "word-fetched",
            "source": str(self.source),
            "handover": str(self.handover),
            "folder": str(self.folder / "tmp"),
            "socket": str(self.daemon.path),
            "timeout": patience,
            "silence": silence,
            "helper": credential_helper().replace("/run/handover", str(self.handover)) if helper else "",
            "proxy": proxy,
            "no_proxy": "a,.b",
            "image": "r.example/i:1",
            "check": check or {},
        }
        return self._start(BUILD, json.dumps(settings), "jupyter-repo2docker", *options, user=user)

    def push(self, silence: float = 0) -> subprocess.Popen[str]:
        settings = {
            "word": "word-push",
            "handover": str(self.handover),
            "socket": str(self.daemon.path),
            "image": "r.example:5000/a/i:1",
            "logins": str(self.folder / "logins"),
            "silence": silence,
        }
        return self._start(PUSH, json.dumps(settings))

    def _start(self, container: str, *arguments: str, user: int = 0) -> subprocess.Popen[str]:
        interpreter, isolated, option, program = command(container)
        assert (interpreter, isolated, option) == ("python3", "-I", "-c")
        # What stands for repo2docker cannot come in by PYTHONPATH, which -I is there to ignore.
        program = program.replace("PING_SECONDS = 5.0", "PING_SECONDS = 0.2")
        if user:  # once the standard library is loaded, which may be root's
            main = 'if __name__ == "__main__":'
            program = program.replace(main, f"import os, subprocess\nos.setuid({user})\n{main}")
        program = f"import sys; sys.path.insert(0, {str(self.folder / 'packages')!r})\n{program}"
        self.started.append(
            subprocess.Popen(
                [sys.executable, isolated, option, program, *arguments],
                cwd=self.folder / "src",
                text=True,
                stdout=subprocess.PIPE,
                stderr=subprocess.PIPE,
            )
        )
        return self.started[-1]

    def end(self) -> None:
        """End what a test has left."""
        for process in self.started:
            process.kill()
            process.communicate()
        self.daemon.end()


@pytest.fixture
def pod() -> Iterator[Pod]:
    # Not tmp_path: the path of a socket is 107 characters at most.
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        package = folder / "packages" / "repo2docker"
        package.mkdir(parents=True)
        (package / "__init__.py").touch()
        (package / "__main__.py").write_text(REPO2DOCKER)
        (package / "app.py").write_text("class Repo2Docker: pass\n")
        for one in ("src", "handover", "tmp", "logins", "daemon"):
            (folder / one).mkdir()
        daemon = Daemon(folder / "daemon" / "docker-api.sock")
        daemon.start()
        made = Pod(folder, daemon)
        yield made
        made.end()


@pytest.fixture
def fetched(pod: Pod) -> Pod:
    (pod.folder / "src" / "fetched").write_text("word-fetched")
    return pod


@pytest.fixture
def built(pod: Pod) -> Pod:
    (pod.handover / "built").touch()
    return pod


def ended(process: subprocess.Popen[str]) -> tuple[int, list[str], list[str]]:
    """Exit code, lines of standard output, and lines of standard error."""
    out, err = process.communicate(timeout=30)
    return process.returncode, out.splitlines(), err.splitlines()


def reported(word: str, **particulars: Any) -> str:
    return json.dumps({"binderhub-service": word, **particulars})


def until(condition: Any, process: subprocess.Popen[str]) -> None:
    while not condition():
        assert process.poll() is None
        time.sleep(0.02)


def may_be_cleaned(pod: Pod) -> bool:
    """Whether the cleaner gets the lock that it removes images under."""
    opened = os.open(pod.daemon.path.parent, os.O_RDONLY)
    try:
        fcntl.flock(opened, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    finally:
        os.close(opened)
    return True


def test_each_program_waits_for_the_one_before_it(pod: Pod) -> None:
    pod.daemon.lines = [{"aux": {"Tag": "1", "Digest": "sha256:d"}}]
    push, build = pod.push(), pod.build("--ref=1")
    with pytest.raises(subprocess.TimeoutExpired):
        build.wait(0.5)
    assert push.poll() is None
    code, _, err = ended(pod.fetch("--ref=1"))
    assert (code, err) == (0, [reported("word-fetch")])
    assert ended(build) == (0, ["built jupyter-repo2docker --ref=1"], [reported("word-build")])
    assert ended(push) == (0, [], [reported("word-push", digest="sha256:d")])
    assert pod.daemon.pushed == [("/images/r.example:5000/a/i/push?tag=1", {"serveraddress": "r.example:5000"})]


def test_an_argument_that_repo2docker_refuses_is_reported(pod: Pod) -> None:
    code, _, err = ended(pod.fetch("--no-such"))
    assert code == REFUSED_ARGUMENTS
    assert err[-1] == reported("word-fetch", refused="unrecognized arguments: --no-such")


def test_a_memory_limit_that_repo2docker_no_longer_has_is_left_out(pod: Pod) -> None:
    limit = ("--build-memory-limit", "2147483648")
    code, out, _ = ended(pod.fetch(*limit))
    assert code == 0
    assert any("does not know --build-memory-limit" in line for line in out)
    assert "built jupyter-repo2docker --text" in " ".join(ended(pod.build("--text", *limit))[1])


def silences(lines: list[str]) -> list[str]:
    """What lines in repo2docker's form say about waiting."""
    events = [json.loads(line) for line in lines if line.startswith("{")]
    return [event["message"] for event in events if event["phase"] == "waiting"]


def test_a_daemon_that_stops_answering_ends_the_build(fetched: Pod) -> None:
    build = fetched.build("--wait", silence=1.5)
    until((fetched.folder / "src" / "building").exists, build)
    fetched.daemon.silent = True
    code, out, err = ended(build)
    report = json.loads(err[-1])
    assert (code, report["binderhub-service"]) == (DAEMON_SILENT, "word-build")
    assert report["silent"] >= 1
    assert silences(out)[0].startswith("Waiting for the daemon, which has not answered for ")


def test_a_daemon_that_answers_again_is_used(fetched: Pod) -> None:
    build = fetched.build("--wait", silence=60)
    until((fetched.folder / "src" / "building").exists, build)
    fetched.daemon.silent = True
    assert build.stdout
    printed = iter(build.stdout.readline, "")
    assert any("Waiting for the daemon" in line for line in printed)
    fetched.daemon.silent = False
    assert any("The daemon answers again." in line for line in printed)
    (fetched.folder / "src" / "done").touch()
    assert build.wait(10) == 0


def test_a_daemon_that_stops_answering_ends_the_push(built: Pod) -> None:
    built.daemon.silent = True
    code, out, err = ended(built.push(silence=1.0))
    assert code == DAEMON_SILENT
    assert json.loads(err[-1])["silent"] >= 1
    assert silences(out)


@pytest.mark.skipif(os.geteuid() != 0, reason="another user is needed, who may not open the socket")
def test_a_socket_that_may_not_be_opened_is_reported(fetched: Pod) -> None:
    fetched.daemon.path.chmod(0o600)
    for one in (fetched.folder, *fetched.folder.rglob("*")):
        if not one.is_socket():
            one.chmod(0o777)
    code, _, err = ended(fetched.build(user=65534))
    assert code == NO_PERMISSION
    assert "Permission denied" in json.loads(err[-1])["denied"]


PUSHED = {"id": "layer-1", "status": "Pushed"}
UNAUTHORIZED = {"errorDetail": {"message": "unauthorized: authentication required"}, "error": "unauthorized"}


def test_a_push_whose_token_expires_is_tried_once_more(built: Pod) -> None:
    built.daemon.then = [[PUSHED, UNAUTHORIZED], [{"aux": {"Tag": "1", "Digest": "sha256:d"}}]]
    code, out, err = ended(built.push())
    assert (code, err) == (0, [reported("word-push", digest="sha256:d")])
    assert len(built.daemon.pushed) == 2
    assert any("no longer accepts the token" in line for line in out)


@pytest.mark.parametrize("status", ["Pushing", "Layer already exists", "Mounted from library/debian"])
def test_a_token_that_expires_during_the_only_new_layer_is_replaced(built: Pod, status: str) -> None:
    layer = {"id": "0a", "status": status}
    built.daemon.then = [[layer, UNAUTHORIZED], [{"aux": {"Tag": "1", "Digest": "sha256:d"}}]]
    assert ended(built.push())[0] == 0
    assert len(built.daemon.pushed) == 2


@pytest.mark.parametrize(
    "lines",
    [[UNAUTHORIZED], [PUSHED, {"errorDetail": {"message": "denied: requested access to the resource is denied"}}]],
    ids=["at once", "another reason"],
)
def test_a_push_that_the_registry_refuses_is_not_tried_again(built: Pod, lines: list[Any]) -> None:
    built.daemon.then = [lines, [{"aux": {"Tag": "1", "Digest": "sha256:d"}}]]
    assert ended(built.push())[0] == 1
    assert len(built.daemon.pushed) == 1


@pytest.mark.parametrize(
    ("option", "code", "says"),
    [
        ("--fail", 7, []),
        ("--text", 1, ["a sentence"]),
        ("--raise", 1, ["RuntimeError: one line\\nERROR: another"]),
        ("--kill", 137, []),
    ],
)
def test_the_builder_ends_as_repo2docker_does(fetched: Pod, option: str, code: int, says: list[str]) -> None:
    push, build = fetched.push(), fetched.build(option)
    returned, _, err = ended(build)
    assert returned == code
    assert json.loads(err[-1])["exit_code"] == (-signal.SIGKILL if option == "--kill" else code)
    assert len(err) == len(says) + 1
    assert all(said in line for said, line in zip(says, err, strict=False))
    assert ended(push) == (1, [], [])
    assert not fetched.daemon.pushed


@pytest.mark.parametrize("code", [DAEMON_LOST, NO_DAEMON])
def test_an_exit_code_of_repo2docker_is_never_taken_for_one_of_the_program(fetched: Pod, code: int) -> None:
    assert ended(fetched.build("--exit", str(code))) == (
        code,
        [f"built jupyter-repo2docker --exit {code}"],
        [reported("word-build", exit_code=code)],
    )


def test_a_failed_fetch_is_not_built(pod: Pod) -> None:
    push, build = pod.push(), pod.build("--ref=1")
    assert ended(pod.fetch("--broken"))[0] == 3
    assert ended(build) == (1, [], [])
    assert ended(push) == (1, [], [])


def test_a_fetch_that_is_killed_ends_the_others(pod: Pod) -> None:
    push, build, fetch = pod.push(), pod.build("--ref=1"), pod.fetch("--endless")
    until((pod.folder / "src" / "endless").exists, fetch)
    fetch.kill()
    fetch.communicate()
    assert ended(build) == (1, [], [])
    assert ended(push) == (1, [], [])


def test_a_builder_that_is_killed_ends_the_push(fetched: Pod) -> None:
    push, build = fetched.push(), fetched.build("--wait")
    until((fetched.folder / "src" / "building").exists, build)
    children = subprocess.run(["pgrep", "--parent", str(build.pid)], capture_output=True, text=True, check=True)
    build.kill()
    os.kill(int(children.stdout), signal.SIGKILL)  # as the kernel does with all processes of the container
    build.communicate()
    assert ended(push) == (1, [], [])
    assert not fetched.daemon.pushed


def test_a_file_of_a_repository_does_not_pass_for_the_end_of_the_fetch(pod: Pod) -> None:
    (pod.folder / "src" / "fetched").write_text("another word")
    build = pod.build("--ref=1")
    with pytest.raises(subprocess.TimeoutExpired):
        build.wait(0.5)
    assert ended(pod.fetch("--broken"))[0] == 3
    assert ended(build) == (1, [], [])


def test_a_link_that_leaves_is_refused(pod: Pod) -> None:
    code, _, err = ended(pod.fetch("--link"))
    assert (code, err) == (LINK_LEAVES, [reported("word-fetch", link="runtime.txt")])


def test_a_repository_that_is_too_large_is_refused(pod: Pod) -> None:
    code, _, err = ended(pod.fetch("--large", limit=1 << 20))
    assert (code, err) == (TOO_LARGE, [reported("word-fetch", limit=1 << 20)])
    assert not (pod.folder / "src" / "fetched").exists()


def test_a_repository_within_the_bound_is_fetched(pod: Pod) -> None:
    assert ended(pod.fetch("--large", limit=4 << 20))[0] == 0


@pytest.mark.parametrize(
    ("links", "found"),
    [
        ({"runtime.txt": "/proc/self/environ"}, "runtime.txt"),
        ({"anything": "../outside"}, "anything"),
        ({"binder": "/etc"}, "binder"),
        ({".binder": ".."}, ".binder"),
        ({"binder/apt.txt": "/root/.docker/config.json"}, "binder/apt.txt"),
        ({"apt.txt": "a/b", "a": "/root"}, "a"),
        ({"dangling": "/there/is/none"}, "dangling"),
        ({"docs/elsewhere": "/etc/passwd"}, ""),
        ({"apt.txt": "docs/apt.txt"}, ""),
        ({"binder": "docs"}, ""),
        ({"binder": "docs", "docs/apt.txt": "/etc/passwd"}, "binder/apt.txt"),
        ({"loop": "loop"}, "loop"),
    ],
)
def test_links_where_repo2docker_reads(tmp_path: Path, links: dict[str, str], found: str) -> None:
    repository = tmp_path / "repository"
    for path, target in links.items():
        (repository / path).parent.mkdir(parents=True, exist_ok=True)
        (repository / path).symlink_to(target)
    (repository / "docs").mkdir(exist_ok=True)
    assert link_that_leaves(repository) == found


def test_links_of_a_subfolder_count_where_that_is_built(tmp_path: Path) -> None:
    (tmp_path / "r" / "sub").mkdir(parents=True)
    (tmp_path / "r" / "sub" / "apt.txt").symlink_to("/etc/passwd")
    assert link_that_leaves(tmp_path / "r") == ""
    assert link_that_leaves(tmp_path / "r", "sub") == "sub/apt.txt"
    assert link_that_leaves(tmp_path / "r", "../..") != ""


OWN = Path("/etc/ssl/certs/ca-certificates.crt")


def test_authorities_are_trusted_beside_those_of_the_image(pod: Pod, monkeypatch: pytest.MonkeyPatch) -> None:
    given, named = pod.folder / "given", pod.folder / "named"
    given.write_text("of the Git host\n")
    named.write_text("named by somebody\n")
    for name in ("REQUESTS_CA_BUNDLE", "SSL_CERT_FILE"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("GIT_SSL_CAINFO", str(named))
    monkeypatch.setenv(AUTHORITIES, str(given))
    _, out, _ = ended(pod.fetch())
    (file,) = set(json.loads(out[0]).values())
    trusted = Path(file).read_bytes()
    assert OWN.read_bytes() in trusted
    assert trusted.endswith(b"\nnamed by somebody\n\nof the Git host\n")


def test_authorities_that_are_missing_are_no_failure(pod: Pod, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(AUTHORITIES, str(pod.folder / "none"))
    code, out, _ = ended(pod.fetch())
    (file,) = set(json.loads(out[0]).values())
    assert (code, OWN.read_bytes() in Path(file).read_bytes()) == (0, True)


def test_a_daemon_that_does_not_come_ends_the_builder_with_its_code(fetched: Pod) -> None:
    fetched.daemon.end()
    assert ended(fetched.build("--zero", patience=0)) == (NO_DAEMON, [], [])


def test_a_build_that_fails_as_its_daemon_ends_has_lost_it(fetched: Pod) -> None:
    build = fetched.build("--wait")
    until((fetched.folder / "src" / "building").exists, build)
    fetched.daemon.end()
    children = subprocess.run(["pgrep", "--parent", str(build.pid)], capture_output=True, text=True, check=True)
    os.kill(int(children.stdout), signal.SIGTERM)
    code, _, err = ended(build)
    assert (code, err) == (DAEMON_LOST, [])


def test_the_cleaner_waits_for_the_builder_and_for_the_push(fetched: Pod) -> None:
    build = fetched.build("--wait")
    until((fetched.folder / "src" / "building").exists, build)
    assert not may_be_cleaned(fetched)
    push = fetched.push()
    until((fetched.handover / "login.sock").exists, push)
    (fetched.folder / "src" / "done").touch()
    assert ended(build)[0] == 0
    assert ended(push)[0] == 0
    assert may_be_cleaned(fetched)


def test_a_builder_that_is_killed_holds_no_lock(fetched: Pod) -> None:
    build = fetched.build("--wait")
    until((fetched.folder / "src" / "building").exists, build)
    children = subprocess.run(["pgrep", "--parent", str(build.pid)], capture_output=True, text=True, check=True)
    build.kill()
    os.kill(int(children.stdout), signal.SIGKILL)
    build.communicate()
    assert may_be_cleaned(fetched)


def test_a_push_tells_each_state_of_a_layer_once(built: Pod) -> None:
    built.daemon.lines = [
        {"status": "The push refers to repository [r.example:5000/a/i]"},
        {"status": "Preparing", "id": "l1"},
        *({"status": "Pushing", "id": "l1", "progress": f"{n} B"} for n in range(100)),
        {"status": "Pushed", "id": "l1"},
        {"status": f"1: digest: sha256:{'b' * 64} size: 528"},
    ]
    code, out, err = ended(built.push())
    assert [json.loads(line)["message"] for line in out] == [
        "The push refers to repository [r.example:5000/a/i]\n",
        "l1: Pushing\n",
        "l1: Pushed\n",
        f"1: digest: sha256:{'b' * 64} size: 528\n",
    ]
    assert (code, err) == (0, [reported("word-push", digest=f"sha256:{'b' * 64}")])


def test_the_registrys_error_is_reported(built: Pod) -> None:
    built.daemon.lines = [
        {"status": "Pushing", "id": "l1"},
        {"errorDetail": {"message": "denied: no"}, "error": "denied"},
    ]
    code, _, err = ended(built.push())
    assert (code, err) == (1, [reported("word-push", error="denied: no")])


def test_an_error_of_the_daemon_is_reported(built: Pod) -> None:
    built.daemon.status, built.daemon.lines = 404, [{"message": "No such image"}]
    code, _, err = ended(built.push())
    assert (code, err) == (1, [reported("word-push", error="No such image")])


def test_an_error_after_the_digest_is_an_error(built: Pod) -> None:
    built.daemon.lines = [{"aux": {"Digest": "sha256:d"}}, {"error": "unauthorized"}]
    code, _, err = ended(built.push())
    assert (code, err) == (1, [reported("word-push", error="unauthorized")])


@pytest.mark.parametrize(
    "line",
    [b"no JSON", b"[1]", b"7", b"[" * 100_000, b'{"errorDetail": "text"}', b'{"aux": [1]}'],
    ids=["text", "list", "number", "deep", "error", "aux"],
)
def test_lines_that_are_not_of_a_push_are_an_answer_that_did_not_end(built: Pod, line: bytes) -> None:
    built.daemon.lines = [line]
    code, _, err = ended(built.push())
    assert code == DAEMON_LOST, err
    (report,) = [json.loads(one) for one in err]
    assert report.keys() == {"binderhub-service", "lost"}


def test_an_answer_that_is_cut_is_a_daemon_that_was_lost(built: Pod) -> None:
    built.daemon.cut, built.daemon.lines = True, [{"status": "Pushing", "id": "l1"}]
    code, _, err = ended(built.push())
    (report,) = [json.loads(line) for line in err]
    assert (code, report.keys()) == (DAEMON_LOST, {"binderhub-service", "lost"})


def test_a_push_without_a_digest_says_so(built: Pod) -> None:
    built.daemon.lines = [{"status": "Pushed", "id": "l1"}]
    assert ended(built.push())[2] == [reported("word-push", digest="")]


def auth(user: str, password: str) -> str:
    return base64.b64encode(f"{user}:{password}".encode()).decode()


@pytest.mark.parametrize(
    ("config", "login"),
    [
        ({"auths": {"r.example:5000": {"auth": auth("u", "p:1")}}}, {"username": "u", "password": "p:1"}),
        ({"auths": {"https://r.example:5000/v2/": {"auth": auth("u", "p")}}}, {"username": "u", "password": "p"}),
        ({"auths": {"r.example:5000": {"username": "u", "password": "p"}}}, {"username": "u", "password": "p"}),
        ({"auths": {"r.example:5000": {"identitytoken": "t"}}}, {"identitytoken": "t"}),
        ({"auths": {"r.example": {"auth": auth("u", "p")}}}, {}),
        ({}, {}),
    ],
)
def test_the_push_has_the_login_of_its_registry(built: Pod, config: dict[str, Any], login: dict[str, str]) -> None:
    (built.folder / "logins" / "config.json").write_text(json.dumps(config))
    ended(built.push())
    assert built.daemon.pushed[0][1] == {"serveraddress": "r.example:5000", **login}


def test_a_login_that_was_made_for_the_build_is_used(built: Pod) -> None:
    given = {"registry": "https://r.example:5000", "username": "u", "password": "p"}
    (built.folder / "logins" / "registry-credentials").write_text(json.dumps(given))
    ended(built.push())
    assert built.daemon.pushed[0][1] == {"serveraddress": "r.example:5000", "username": "u", "password": "p"}


@pytest.mark.parametrize(
    ("image", "registry"),
    [
        ("r.example/i:1", "r.example"),
        ("localhost/i:1", "localhost"),
        ("h:5000/a/i:1", "h:5000"),
        ("org/i:1", DOCKER_HUB),
        ("docker.io/org/i:1", DOCKER_HUB),
        ("index.docker.io/org/i:1", DOCKER_HUB),
        ("i:1", DOCKER_HUB),
    ],
)
def test_the_registry_of_an_image(image: str, registry: str) -> None:
    assert registry_of(image) == registry


def test_a_helper_of_the_image_is_asked(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    helper = tmp_path / "docker-credential-cloud"
    helper.write_text('#!/bin/sh\nread server\necho "{\\"Username\\": \\"AWS\\", \\"Secret\\": \\"of $server\\"}"\n')
    helper.chmod(0o755)
    monkeypatch.setenv("PATH", f"{tmp_path}:{os.environ['PATH']}")
    assert Logins({"credHelpers": {"r.example": "cloud"}}).get("r.example") == ("AWS", "of r.example")
    assert Logins({"credHelpers": {"r.example": "cloud"}}).get("other.example") is None


def test_docker_in_the_builder_asks_the_push_for_logins(fetched: Pod) -> None:
    config = {"auths": {"r.example:5000": {"auth": auth("u", "s3cret")}}}
    (fetched.folder / "logins" / "config.json").write_text(json.dumps(config))
    push = fetched.push()
    until((fetched.handover / "login.sock").exists, push)
    _, out, _ = ended(fetched.build("--login", "get", "r.example:5000", helper=True))
    assert json.dumps({"ServerURL": "r.example:5000", "Username": "u", "Secret": "s3cret"}) in "".join(out)
    docker_config = fetched.folder / "tmp" / "docker" / "config.json"
    assert json.loads(docker_config.read_text()) == {"credsStore": "binderhub-service"}
    for path in (fetched.folder / "tmp").rglob("*"):
        assert not path.is_file() or "s3cret" not in path.read_text()
    ended(push)


@pytest.mark.parametrize("helper", [False, True])
def test_docker_in_the_builder_gives_the_steps_the_proxy(fetched: Pod, helper: bool) -> None:
    ended(fetched.build(helper=helper, proxy="http://proxy:3128"))
    config = json.loads((fetched.folder / "tmp" / "docker" / "config.json").read_text())
    given = {"httpProxy": "http://proxy:3128", "httpsProxy": "http://proxy:3128", "noProxy": "a,.b"}
    assert config.pop("proxies") == {"default": given}
    assert config == ({"credsStore": "binderhub-service"} if helper else {})


def test_a_registry_without_a_login_is_told_to_docker(fetched: Pod) -> None:
    push = fetched.push()
    until((fetched.handover / "login.sock").exists, push)
    _, out, _ = ended(fetched.build("--login", "get", "other.example", helper=True))
    assert "credentials not found in native keychain" in "".join(out)
    ended(push)


def ask(pod: Pod, question: bytes) -> bytes:
    """The answer of the push to a question that the helper does not ask."""
    with socket.socket(socket.AF_UNIX) as asks:
        asks.connect(str(pod.handover / "login.sock"))
        try:
            asks.sendall(question)
            asks.shutdown(socket.SHUT_WR)
            return asks.recv(65536)
        except OSError:
            return b""


def test_logins_are_listed_and_answered_to_known_questions_alone(fetched: Pod) -> None:
    auths = {"r.example:5000": {"auth": auth("u", "s3cret")}, "t.example": {"identitytoken": "s3cret"}}
    (fetched.folder / "logins" / "config.json").write_text(json.dumps({"auths": auths}))
    push = fetched.push()
    until(lambda: (fetched.handover / "login.sock").exists() and ask(fetched, b"list\n"), push)
    assert json.loads(ask(fetched, b"list\n")) == {"r.example:5000": "u", "t.example": "<token>"}
    for question in (
        b"",
        b"get",
        b"get\n",
        b"erase r.example:5000\n",
        b"store\n",
        b"\xff\xfe\n",
        b"get " + b"x" * 99_999,
    ):
        assert b"s3cret" not in ask(fetched, question), question
    assert b"s3cret" in ask(fetched, b"get r.example:5000\n")
    (fetched.handover / "built").touch()
    assert ended(push)[0] == 0


CHECK = {"command": ["serve", "--version"], "user": 1000, "homeDirectory": "/home/jovyan", "timeoutSeconds": 10}
PRINTED = "#5 0.312 it prints this"
DOCKER = """#!/bin/sh
case "$1" in
image) {first}; cat {folder}/config ;;
buildx) cat > {folder}/dockerfile; echo '#5 0.312 it prints this'; echo ------; echo repeated; {then} ;;
esac
"""


def docker(pod: Pod, then: str, config: dict[str, Any] | None = None, first: str = ":") -> None:
    """Put a docker on the PATH of the programs.

    `config` is the image's, `first` is what docker does before it says so, and `then` what its build does.
    """
    (pod.folder / "config").write_text(json.dumps(config or {"Entrypoint": ["/entry", "a b"]}))
    program = pod.folder / "packages" / "docker"
    program.write_text(DOCKER.format(folder=pod.folder, then=then, first=first))
    program.chmod(0o755)


def test_an_image_that_can_start_a_server_is_pushed(fetched: Pod, monkeypatch: pytest.MonkeyPatch) -> None:
    docker(fetched, "exit 0")
    monkeypatch.setenv("PATH", f"{fetched.folder / 'packages'}:{os.environ['PATH']}")
    code, out, err = ended(fetched.build("--ref=1", check=CHECK))
    assert (code, err) == (0, [reported("word-build")])
    assert (fetched.handover / "built").exists()
    assert {"phase": "building", "message": f"{PRINTED}\n"} in [json.loads(line) for line in out[1:]]
    assert (
        (fetched.folder / "dockerfile")
        .read_text()
        .endswith(
            "FROM r.example/i:1\nUSER 1000\n"
            "RUN --mount=type=bind,from=volume,source=/volume,target=/home/jovyan,rw"
            ' ["/entry", "a b", "serve", "--version"]\n'
        )
    )


@pytest.mark.parametrize(
    ("then", "seconds", "why"),
    [("exit 3", 10, {"lines": [PRINTED]}), ("sleep 60", 0.3, {"lines": [PRINTED], "seconds": 0.3})],
    ids=["it fails", "it does not end"],
)
def test_an_image_that_cannot_is_not_pushed(
    fetched: Pod, monkeypatch: pytest.MonkeyPatch, then: str, seconds: float, why: dict[str, Any]
) -> None:
    docker(fetched, then)
    monkeypatch.setenv("PATH", f"{fetched.folder / 'packages'}:{os.environ['PATH']}")
    push = fetched.push()
    code, _, err = ended(fetched.build("--ref=1", check={**CHECK, "timeoutSeconds": seconds}))
    assert (code, err) == (CHECK_FAILED, [reported("word-build", check=why)])
    assert ended(push) == (1, [], [])


def test_an_image_that_would_run_more_in_the_check_is_not_checked(
    fetched: Pod, monkeypatch: pytest.MonkeyPatch
) -> None:
    docker(fetched, "exit 3", {"OnBuild": ["RUN something"]})
    monkeypatch.setenv("PATH", f"{fetched.folder / 'packages'}:{os.environ['PATH']}")
    code, out, _ = ended(fetched.build("--ref=1", check=CHECK))
    assert code == 0
    assert "is not checked" in out[-1]


def test_a_build_image_without_docker_says_so(fetched: Pod, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", str(fetched.folder))
    code, _, err = ended(fetched.build("--ref=1", check=CHECK))
    assert code == CHECK_FAILED
    assert "'docker'" in json.loads(err[-1])["check"]["lines"][-1]


def test_a_daemon_that_stops_answering_ends_the_check(fetched: Pod, monkeypatch: pytest.MonkeyPatch) -> None:
    docker(fetched, "exit 0", first=f"touch {fetched.folder}/asked; sleep 60")
    monkeypatch.setenv("PATH", f"{fetched.folder / 'packages'}:{os.environ['PATH']}")
    build = fetched.build("--ref=1", silence=1.5, check=CHECK)
    until((fetched.folder / "asked").exists, build)
    fetched.daemon.silent = True
    code, _, err = ended(build)
    assert code == DAEMON_SILENT
    assert json.loads(err[-1])["silent"] >= 1
