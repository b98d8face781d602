"""The programs of a build pod on hostile repositories, with the real repo2docker and git, and with no cluster.

In docker's place a script records what it was given, and runs git on it as buildx does.
"""

import json
import os
import secrets
import socket
import subprocess
import tempfile
import threading
from collections.abc import Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from binderhub_service.docker_engine import DockerEngine
from binderhub_service.log_analysis import LogAnalysis
from binderhub_service.manifests import GIT_FILE, HANDOVER, SOURCE, BuildSpec, make_pod
from binderhub_service.pod_logs import log_event
from binderhub_service.programs import BUILD, FETCH, FETCHED, read_report, report_word
from binderhub_service.programs.fetch import LINK_LEAVES, TOO_LARGE, link_that_leaves
from common import virtual_environment
from local_cluster.binderhub_wheel import IMAGE
from support.git_servers import WHO
from support.hostile_repositories import BUILT, FAILED, LARGE, LEFT, MARKER, REPOSITORIES, RUN_MARKER, Fill, Hostile

pytestmark = pytest.mark.together

REPO2DOCKER = IMAGE.parent / "repo2docker"
ENGINE = DockerEngine("/run/binderhub-service/0123456789/docker-api.sock", True)
WORD = "word-of-the-pod"
SIZE_LIMIT = 8 << 20
BY_PROCESS = ("link-0", "link-in-binder", "link-long", "link-loop", "link-odd-name")
"""Of the links that leave, those that go through git and the program; for the others, its function is asked."""
WITHOUT_FETCH = ("link-0", "link-long")

# Arguments and context stay where the test can look; BUILDX_GIT_INFO is read as build/git.go of buildx reads it.
DOCKER = """#!/bin/sh
test "$1 $2" = "buildx build" || exit 0
for context; do :; done
printf '%s\\n' "$@" > "$HOSTILE_MARKS/arguments"
cp -a "$context" "$HOSTILE_MARKS/context"
case "$BUILDX_GIT_INFO" in
0 | f* | F*) ;;
*)
  test "$(git -C "$context" rev-parse --is-inside-work-tree)" = true &&
    git -C "$context" -c log.showSignature=false show --format=%H HEAD --quiet
  ;;
esac > "$HOSTILE_MARKS/git" 2>&1
echo "#1 [internal] load build definition"
"""


@dataclass
class Ended:
    """What one pod's containers left."""

    codes: dict[str, int]
    outputs: dict[str, str]
    """Standard output and error, in one."""
    marks: Path
    canaries: list[str]

    def report(self, container: str) -> dict[str, Any] | None:
        """Of a container, its last line, if that is its report."""
        lines = self.outputs[container].splitlines()
        return read_report(lines[-1], report_word(WORD, container)) if lines else None

    def code_ran(self) -> bool:
        """Whether code of the repository has run: it prints, and leaves a file."""
        return (self.marks / MARKER).exists() or any(
            MARKER in line and "RUN" not in line for text in self.outputs.values() for line in text.splitlines()
        )

    def leaked(self) -> list[str]:
        """The canaries that an output, the recorded context or docker's arguments have."""
        seen = [text.encode() for text in self.outputs.values()]
        for path in self.marks.rglob("*"):
            if path.is_file() and not path.is_symlink():
                seen.append(path.read_bytes())
            elif path.is_symlink():
                seen.append(os.fsencode(path.readlink()))
        return [canary for canary in self.canaries if any(canary.encode() in text for text in seen)]


class Pods:
    """Runs the commands of build pods, with this machine's paths."""

    def __init__(self, folder: Path, python: Path) -> None:
        """`python` has repo2docker; all goes below `folder`, whose name must be short: it has a socket."""
        self._folder, self._python = folder, python
        programs = folder / "programs"
        programs.mkdir()
        (programs / "docker").write_text(DOCKER)
        (programs / "docker").chmod(0o755)
        (programs / "python3").symlink_to(python)

    def run(self, url: str, *, fetched: Fill | None = None, isolated: bool = True) -> Ended:
        """Fetch `url` and build it; or build what `fetched` fills the folder with."""
        own = Path(tempfile.mkdtemp(dir=self._folder))
        for name in ("src", "handover", "tmp", "home", "marks"):
            (own / name).mkdir()
        canaries = [f"canary-{secrets.token_hex(8)}" for _ in range(2)]
        (own / "credential").write_text(f"username=x\npassword={canaries[0]}\n")
        pod = make_pod(self._wanted(url, canaries[1]), ENGINE, "p", "s", WORD)
        paths = {
            SOURCE: str(own / "src" / "repository"),
            HANDOVER: str(own / "handover"),
            GIT_FILE: str(own / "credential"),
            "/run/docker-api": str(self._folder / "daemon"),
            '"/tmp"': json.dumps(str(own / "tmp")),
        }

        def placed(text: str) -> str:
            for inside, here in paths.items():
                text = text.replace(inside, here)
            return text

        if fetched:
            Path(paths[SOURCE]).mkdir()
            fetched(Path(paths[SOURCE]))
            (own / "src" / "fetched").write_text(report_word(WORD, FETCHED))
        started = {}
        for container in pod["spec"]["containers"]:
            name = container["name"]
            if name not in (FETCH, BUILD) or (fetched and name == FETCH):
                continue
            interpreter, *arguments = container["args"]
            assert interpreter == "python3"
            assert arguments[:2] == ["-I", "-c"]
            program = arguments[2:3]
            started[name] = subprocess.Popen(
                [
                    str(self._python),
                    *(arguments[:2] if isolated else ["-c"]),
                    *program,
                    *(placed(one) for one in arguments[3:]),
                ],
                cwd=REPO2DOCKER,  # with the configuration that the image has
                env={
                    "PATH": f"{self._folder / 'programs'}:{os.environ['PATH']}",
                    "HOME": str(own / "home"),
                    "TMPDIR": str(own / "tmp"),
                    "HOSTILE_MARKS": str(own / "marks"),
                    "HTTPS_PROXY": "http://127.0.0.1:9",  # repo2docker asks hosts on the internet for versions
                    **{one["name"]: placed(one["value"]) for one in container["env"]},
                },
                stdin=subprocess.DEVNULL,
                stdout=subprocess.PIPE,
                stderr=subprocess.STDOUT,
            )
        ended = {name: process.communicate(timeout=120)[0] for name, process in started.items()}
        codes = {name: process.returncode for name, process in started.items()}
        outputs = {name: text.decode("utf-8", "replace") for name, text in ended.items()}
        return Ended(codes, outputs, own / "marks", canaries)

    @staticmethod
    def _wanted(url: str, canary: str) -> BuildSpec:
        return BuildSpec(
            name="build-x",
            owner="0123456789",
            namespace="n",
            repo=url,
            ref="main",
            image_name="r.example/i:1",
            # As BinderHub: get_r2d_cmd_options.
            repo2docker=[
                "jupyter-repo2docker", "--ref=main", "--image=r.example/i:1", "--no-clean", "--no-run", "--json-logs",
                "--user-name=jovyan", "--user-id=1000",
            ],
            build_image="r2d:1",
            start_seconds=30,
            size_limit=SIZE_LIMIT,
            git_credentials="username=x\\npassword=y",
            push_secret="push",  # noqa: S106 - a name
            extra_env=[{"name": "HOSTILE_CANARY", "value": canary}],
        )  # fmt: skip


@contextmanager
def daemon(path: Path) -> Iterator[None]:
    """Answers pings, and keeps streams of events open."""
    path.parent.mkdir()
    listening = socket.socket(socket.AF_UNIX)
    listening.bind(str(path))
    listening.listen(128)
    kept: list[socket.socket] = []

    def serve() -> None:
        while True:
            try:
                asked, _ = listening.accept()
            except OSError:
                return
            if b"_ping" in asked.recv(4096):
                with asked:
                    asked.sendall(b"HTTP/1.0 200 OK\r\n\r\nOK")
            else:
                kept.append(asked)

    thread = threading.Thread(target=serve)
    thread.start()
    yield
    listening.shutdown(socket.SHUT_RDWR)
    thread.join()
    for one in (listening, *kept):
        one.close()


@pytest.fixture(scope="module")
def folder() -> Iterator[Path]:
    """A folder with a short name."""
    made = Path(tempfile.mkdtemp(prefix="hostile-"))
    yield made
    subprocess.run(["rm", "-rf", str(made)], check=True)  # it takes long paths


@pytest.fixture(scope="module")
def pods(folder: Path) -> Iterator[Pods]:
    python = virtual_environment.make(REPO2DOCKER / "requirements.lock", "repo2docker") / "bin" / "python"
    with daemon(folder / "daemon" / "docker-api.sock"):
        yield Pods(folder, python)


def git(where: Path, *arguments: str, given: str = "") -> str:
    """What git prints, run in `where`."""
    command = ["git", "-c", "core.fsync=none", *WHO, "-C", str(where), *arguments]
    return subprocess.run(command, check=True, capture_output=True, text=True, input=given).stdout.strip()


def committed(tree: Path) -> str:
    """The address of a repository with what is in `tree`."""
    git(tree, "init", "--quiet", "--initial-branch=main")
    git(tree, "add", "--all", "--force", ".")
    if (tree / ".gitmodules").exists():
        git(tree, "update-index", "--add", "--cacheinfo", f"160000,{'1' * 40},sub")
    git(tree, "commit", "--quiet", "--message", "Hostile")
    return f"file://{tree}"


@pytest.fixture(scope="module")
def ends(folder: Path, pods: Pods) -> Iterator[dict[str, Future[Ended]]]:
    """Of each repository how its pod ended; all run while the first test waits."""

    def run(name: str, hostile: Hostile) -> Ended:
        if hostile.archive:
            return pods.run("", fetched=hostile.fill)
        tree = folder / "trees" / name
        tree.mkdir(parents=True)
        hostile.fill(tree)
        return pods.run(committed(tree))

    with ThreadPoolExecutor(4) as threads:
        yield {name: threads.submit(run, name, REPOSITORIES[name]) for name in through_programs()}


def through_programs() -> list[str]:
    """The names of those repositories that are fetched and built by the programs."""
    return [name for name, hostile in REPOSITORIES.items() if hostile.end != LEFT or name in BY_PROCESS]


@pytest.mark.parametrize("name", through_programs())
def test_a_hostile_repository_ends_as_it_must(ends: dict[str, Future[Ended]], name: str) -> None:
    hostile, ended = REPOSITORIES[name], ends[name].result()
    shown = json.dumps(ended.outputs)[-4000:]
    assert not ended.code_ran(), shown
    assert not ended.leaked(), shown
    fetch = {LEFT: LINK_LEAVES, LARGE: TOO_LARGE, BUILT: 0, FAILED: 0}.get(hostile.end, 1)
    build = int(hostile.end != BUILT)
    codes = {BUILD: build} if hostile.archive else {FETCH: fetch, BUILD: build}
    assert ended.codes == codes, shown
    assert (ended.marks / "arguments").exists() == (hostile.end == BUILT), shown
    if hostile.end in (LEFT, LARGE):
        particulars = {"link": hostile.link} if hostile.end == LEFT else {"limit": SIZE_LIMIT}
        assert ended.report(FETCH) == {"binderhub-service": report_word(WORD, FETCH), **particulars}
    if hostile.end == BUILT:
        assert ended.report(BUILD) == {"binderhub-service": report_word(WORD, BUILD)}
    elif hostile.end == FAILED:
        assert ended.report(BUILD) == {"binderhub-service": report_word(WORD, BUILD), "exit_code": 1}
    else:
        assert ended.outputs[BUILD] == ""


@pytest.mark.parametrize("name", [name for name, hostile in REPOSITORIES.items() if hostile.end == LEFT])
def test_a_link_that_leaves_is_found(tmp_path: Path, name: str) -> None:
    REPOSITORIES[name].fill(tmp_path)
    assert link_that_leaves(tmp_path) == REPOSITORIES[name].link


def test_a_link_that_leaves_through_a_submodule_is_found(tmp_path: Path) -> None:
    (tmp_path / "binder").mkdir()
    (tmp_path / "binder" / ".git").write_text("gitdir: ../.git/modules/binder\n")
    (tmp_path / "binder" / "apt.txt").symlink_to("../../credential")
    assert link_that_leaves(tmp_path) == "binder/apt.txt"


def test_a_tree_with_a_git_folder_is_not_checked_out(folder: Path, pods: Pods) -> None:
    bare = folder / "git-in-tree"
    bare.mkdir()
    git(bare, "init", "--quiet", "--bare", "--initial-branch=main")
    content = f"[core]\n\tfsmonitor = '{RUN_MARKER}'\n"
    blob = git(bare, "hash-object", "-w", "--stdin", given=content)
    inner = git(bare, "mktree", given=f"100644 blob {blob}\tconfig\n")
    for name in (".git", ".GIT", "git~1"):
        tree = git(bare, "mktree", given=f"040000 tree {inner}\t{name}\n")
        commit = git(bare, "commit-tree", "-m", "Hostile", tree)
        git(bare, "update-ref", "refs/heads/main", commit)
        ended = pods.run(f"file://{bare}")
        assert (ended.codes, ended.code_ran()) == ({FETCH: 1, BUILD: 1}, False), name


@pytest.mark.parametrize("name", [name for name in through_programs() if REPOSITORIES[name].end == FAILED])
def test_output_that_a_repository_causes_is_no_evidence(ends: dict[str, Future[Ended]], name: str) -> None:
    output = ends[name].result().outputs[BUILD]
    log_analysis = LogAnalysis(ENGINE.output)
    for line in output.splitlines(keepends=True):
        if not read_report(line, report_word(WORD, BUILD)):
            log_analysis.add(BUILD, log_event(line.rstrip("\n"), "building"))
    log_analysis.reports[BUILD] = ends[name].result().report(BUILD) or {}
    failure = log_analysis.failure(BUILD, 1, {})
    assert (failure.code, log_analysis.daemon_error, log_analysis.digest) == ("BHS101", "", "")


def test_without_isolation_the_corpus_notices_code_that_runs(pods: Pods) -> None:
    assert pods.run("", fetched=REPOSITORIES["shadows-python"].fill, isolated=False).code_ran()


@pytest.mark.parametrize("name", WITHOUT_FETCH)
def test_without_the_look_for_links_the_corpus_notices_a_secret(pods: Pods, name: str) -> None:
    assert pods.run("", fetched=REPOSITORIES[name].fill).leaked()
