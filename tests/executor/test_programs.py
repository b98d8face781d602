"""The programs of the two containers, with something in place of repo2docker that does as it is told."""

import fcntl
import json
import os
import subprocess
import sys
import time
from pathlib import Path

import pytest
from bhs_programs import AUTHORITIES, BUILD_PROGRAM, END, FETCH_PROGRAM

REPO2DOCKER = """
import json, os, pathlib, sys, time
class App:
    repo, ref = "repo", "ref"
    def initialize(self): pass
    def fetch(self, repo, ref, path):
        if "--broken" in sys.argv:
            sys.exit(3)
        if "--endless" in sys.argv:
            pathlib.Path("endless").touch()
            time.sleep(600)
        pathlib.Path(path).mkdir()
        trusted = {name: os.environ.get(name) for name in ("GIT_SSL_CAINFO", "REQUESTS_CA_BUNDLE", "SSL_CERT_FILE")}
        print(json.dumps(trusted), flush=True)
def make_r2d(arguments): return App()
def main():
    print("built", *sys.argv, flush=True)
    if sys.argv[1] == "--wait":
        pathlib.Path("building").touch()
        while not pathlib.Path("done").exists():
            time.sleep(0.02)
    sys.exit({"--fail": 7, "--zero": 0}.get(sys.argv[1]))
"""


@pytest.fixture
def source(tmp_path: Path) -> Path:
    """Where the repository will be, in a folder with the package."""
    package = tmp_path / "packages" / "repo2docker"
    package.mkdir(parents=True)
    (package / "__init__.py").touch()
    (package / "__main__.py").write_text(REPO2DOCKER)
    (tmp_path / "src").mkdir()
    return tmp_path / "src" / "repository"


def start(source: Path, program: str, *arguments: str) -> subprocess.Popen[str]:
    packages = str(source.parents[1] / "packages")
    command = [sys.executable, "-c", program, *arguments]
    return subprocess.Popen(
        command,
        env={**os.environ, "PYTHONPATH": packages},
        cwd=source.parent,
        text=True,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
    )


def build(source: Path, *options: str, engine: str = "") -> subprocess.Popen[str]:
    command = [sys.executable, "-c", f"import os\n{engine}\nos.execvp('cat', ['cat'])"]
    return start(source, BUILD_PROGRAM, json.dumps(command), str(source), "jupyter-repo2docker", *options)


def ended(process: subprocess.Popen[str]) -> tuple[int, str, str]:
    out, err = process.communicate(timeout=30)
    return process.returncode, out, err


def test_the_builder_begins_when_the_repository_is_there(source: Path) -> None:
    with build(source, "--ref=1", "/src/repository") as builder:
        with pytest.raises(subprocess.TimeoutExpired):
            builder.wait(0.5)
        code, _, err = ended(start(source, FETCH_PROGRAM, str(source), "--ref=1", "repo"))
        assert (code, err) == (0, f"{END}\n")
        assert ended(builder) == (0, "built jupyter-repo2docker --ref=1 /src/repository\n", f"{END}\n")


@pytest.mark.parametrize(("option", "code", "end"), [("--fail", 7, ""), ("--zero", 0, f"{END}\n")])
def test_the_builder_ends_as_repo2docker_does(source: Path, option: str, code: int, end: str) -> None:
    (source.parent / "fetched").touch()
    returned, _, err = ended(build(source, option))
    assert (returned, err) == (code, end)


def test_what_cannot_be_fetched_is_not_built(source: Path) -> None:
    builder = build(source, "--ref=1")
    assert ended(start(source, FETCH_PROGRAM, str(source), "--broken")) == (3, "", "")
    assert ended(builder) == (1, "", "")


def test_who_fetches_can_be_killed(source: Path) -> None:
    """For its memory, say: nobody but the kernel tells the builder."""
    builder = build(source, "--ref=1")
    fetch = start(source, FETCH_PROGRAM, str(source), "--endless")
    while not (source.parent / "endless").exists():
        assert fetch.poll() is None
        time.sleep(0.02)
    with pytest.raises(subprocess.TimeoutExpired):
        builder.wait(0.5)
    fetch.kill()
    fetch.communicate()
    assert ended(builder) == (1, "", "")


OWN = Path("/etc/ssl/certs/ca-certificates.crt")


def test_authorities_are_trusted_beside_those_of_the_image(source: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    given, named = source.parent / "given", source.parent / "named"
    given.write_text("of the Git host\n")
    named.write_text("named by somebody\n")
    for name in ("REQUESTS_CA_BUNDLE", "SSL_CERT_FILE"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("GIT_SSL_CAINFO", str(named))
    monkeypatch.setenv(AUTHORITIES, str(given))
    _, out, _ = ended(start(source, FETCH_PROGRAM, str(source), "repo"))
    (file,) = set(json.loads(out).values())
    trusted = Path(file).read_bytes()
    assert OWN.read_bytes() in trusted
    assert trusted.endswith(b"\nnamed by somebody\n\nof the Git host\n")


def test_authorities_that_were_taken_away_meanwhile_are_no_failure(
    source: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv(AUTHORITIES, str(source.parent / "none"))
    code, out, _ = ended(start(source, FETCH_PROGRAM, str(source), "repo"))
    (file,) = set(json.loads(out).values())
    assert (code, OWN.read_bytes() in Path(file).read_bytes()) == (0, True)


def test_without_authorities_the_image_decides_whom_to_trust(source: Path) -> None:
    _, out, _ = ended(start(source, FETCH_PROGRAM, str(source), "repo"))
    told = json.loads(out)
    assert told == {name: os.environ.get(name) for name in told}


def test_a_daemon_that_does_not_come_ends_the_builder_with_its_code(source: Path) -> None:
    (source.parent / "fetched").touch()
    assert ended(build(source, "--zero", engine="raise SystemExit(75)")) == (75, "", "")


def test_the_daemon_is_waited_for_after_the_fetch(source: Path) -> None:
    """So that one that is replaced while a large repository comes is no failure."""
    marker = source.parent / "asked"
    builder = build(source, "--zero", engine=f"open({str(marker)!r}, 'w')")
    time.sleep(0.5)
    assert not marker.exists()
    (source.parent / "fetched").touch()
    assert ended(builder)[0] == 0
    assert marker.exists()


def test_what_the_engine_runs_goes_on_as_long_as_the_builder(source: Path) -> None:
    """An engine may hold something by it, a lock say."""
    (source.parent / "fetched").touch()
    lock = source.parent / "lock"
    lock.touch()
    engine = (
        f"import fcntl\nfile = os.open({str(lock)!r}, os.O_RDONLY)\nfcntl.flock(file, fcntl.LOCK_EX)\n"
        "os.set_inheritable(file, True)"
    )
    builder = build(source, "--wait", engine=engine)
    while not (source.parent / "building").exists():
        assert builder.poll() is None
        time.sleep(0.02)
    with lock.open() as file:
        with pytest.raises(BlockingIOError):
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        (source.parent / "done").touch()
        assert ended(builder)[0] == 0
        fcntl.flock(file, fcntl.LOCK_EX)
