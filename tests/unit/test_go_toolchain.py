"""Which Go builds the programs, on a machine that has none, an old one, or one that will do."""

import os
import subprocess
import sys
from pathlib import Path

import pytest
from common import virtual_environment
from common.errors import UserError
from common.paths import SCRIPTS
from local_cluster import go_toolchain


@pytest.fixture
def registry(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> list[Path]:
    """Stands for PyPI; gives the lock files that were installed from."""
    asked: list[Path] = []
    program = tmp_path / "venv" / "lib" / "python3.11" / "site-packages" / "go" / "bin" / "go"
    program.parent.mkdir(parents=True)
    program.touch()

    def make(lock_file: Path, _purpose: str) -> Path:
        asked.append(lock_file)
        return tmp_path / "venv"

    monkeypatch.setattr(virtual_environment, "make", make)
    return asked


def write_go(folder: Path, script: str) -> Path:
    folder.mkdir()
    program = folder / "go"
    program.write_text(f"#!/bin/sh\n{script}\n")
    program.chmod(0o755)
    return program


def above(version: tuple[int, ...], step: int) -> str:
    major, minor, patch = version
    return f"go{major}.{minor + step}.{patch}"


def test_the_machines_own_go_is_used_where_it_is_new_enough(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, registry: list[Path]
) -> None:
    for name, script in {
        "same": f"echo {above(go_toolchain.needed(), 0)}",
        "newer": f"echo {above(go_toolchain.needed(), 1)}",
    }.items():
        own = write_go(tmp_path / name, script)
        monkeypatch.setenv("PATH", f"{tmp_path / name}:/usr/bin:/bin")
        assert go_toolchain.find_go() == str(own)
    assert registry == []


@pytest.mark.parametrize(
    "script",
    [f"echo {above(go_toolchain.needed(), -1)}", "echo go1.19.8", "echo devel", "exit 1"],
    ids=["one release older", "Debian 12", "no version", "broken"],
)
def test_a_go_that_is_too_old_or_does_not_tell_is_passed_over(
    script: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, registry: list[Path]
) -> None:
    own = write_go(tmp_path / "old", script)
    monkeypatch.setenv("PATH", f"{own.parent}:/usr/bin:/bin")
    assert go_toolchain.find_go() == str(tmp_path / "venv/lib/python3.11/site-packages/go/bin/go")
    assert registry == [go_toolchain.LOCK_FILE]


def test_every_go_mod_can_be_built_with_the_go_that_is_needed() -> None:
    asked = [
        line.removeprefix("go ").split(".")
        for file in go_toolchain.GO.glob("*/go.mod")
        for line in file.read_text().splitlines()
        if line.startswith("go ")
    ]
    assert max(tuple(map(int, words)) for words in asked) == go_toolchain.needed()


def test_the_lock_file_has_a_go_that_is_new_enough() -> None:
    (pin,) = [line for line in go_toolchain.LOCK_FILE.read_text().splitlines() if "==" in line]
    version = pin.split("==")[1].split()[0]
    assert tuple(map(int, version.split("."))) >= go_toolchain.needed()


def test_the_variables_of_the_machines_go_do_not_reach_another_one(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    own, other = write_go(tmp_path / "own", 'echo "$GOROOT"'), write_go(tmp_path / "other", 'echo "$GOROOT"')
    monkeypatch.setenv("PATH", f"{own.parent}:/usr/bin:/bin")
    monkeypatch.setenv("GOROOT", "/usr/local/go")
    said = []
    for program in (own, other):
        monkeypatch.setattr(go_toolchain, "find_go", lambda program=program: str(program))
        said.append(go_toolchain.go("env", cwd=tmp_path))
    assert said == ["/usr/local/go\n", "\n"]


def test_a_build_that_fails_is_told_with_what_go_says(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    program = write_go(tmp_path / "go", "echo no such module >&2; exit 1")
    monkeypatch.setattr(go_toolchain, "find_go", lambda: str(program))
    with pytest.raises(UserError, match=r"(?s)`go build` failed.*no such module"):
        go_toolchain.go("build", cwd=tmp_path)


def test_without_a_go_one_is_installed_that_builds_a_program_that_runs(tmp_path: Path) -> None:
    """In a fresh cache, with nothing on the search path: all that a bare machine has is Python."""
    (tmp_path / "cache" / "binderhub-service").mkdir(parents=True)
    (tmp_path / "empty").mkdir()
    program = tmp_path / "hello"
    source = tmp_path / "source"
    source.mkdir()
    (source / "go.mod").write_text(f"module hello\n\ngo {'.'.join(map(str, go_toolchain.needed()))}\n")
    (source / "main.go").write_text('package main\n\nfunc main() { print("built") }\n')
    script = (
        "import sys; from pathlib import Path; from local_cluster import go_toolchain; "
        f"go_toolchain.go('build', '-o', {str(program)!r}, '.', cwd=Path({str(source)!r}))"
    )
    done = subprocess.run(
        [sys.executable, "-c", script],
        env={
            **{name: value for name, value in os.environ.items() if not name.startswith("GO")},
            "PATH": str(tmp_path / "empty"),
            "PYTHONPATH": str(SCRIPTS),
            "XDG_CACHE_HOME": str(tmp_path / "cache"),
        },
        capture_output=True,
        text=True,
        check=False,
        timeout=300,
    )
    assert done.returncode == 0, done.stderr
    assert subprocess.run([program], capture_output=True, text=True, check=True).stderr == "built"
