"""How the scripts meet a person: help first, sentences for what is wrong, nothing half-made."""

import os
import shutil
import subprocess
import tempfile
import time
import zipfile
from collections.abc import Iterator
from pathlib import Path

import pytest
from common import debian_packages, paths, virtual_environment
from common.errors import UserError
from common.paths import LOCK_FILE, SCRIPTS

NAMES = sorted(path.name for path in SCRIPTS.iterdir() if path.is_file() and os.access(path, os.X_OK))


def run(*command: str | Path, **environment: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        command,
        env={**os.environ, **environment},
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        check=False,
        timeout=60,
    )


def system_python() -> str:
    """The interpreter that the environment was made with: it has none of the environment's packages."""
    return virtual_environment.base_interpreter()


def test_the_scripts_that_the_readme_names_are_there() -> None:
    assert {"demo", "test", "up", "down"} <= set(NAMES)


@pytest.mark.parametrize("name", NAMES)
def test_help_comes_before_anything_is_installed(name: str, tmp_path: Path) -> None:
    done = run(system_python(), SCRIPTS / name, "--help", XDG_CACHE_HOME=str(tmp_path))
    assert done.returncode == 0
    assert done.stdout.startswith(f"usage: scripts/{name}")
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("name", sorted({*NAMES} - {"test"}))
def test_an_unknown_option_is_refused_and_nothing_is_made(name: str, tmp_path: Path) -> None:
    job = {"docs": ["status"], "build-image": ["https://git.example/r"]}.get(name, [])
    done = run(system_python(), SCRIPTS / name, *job, "--no-such-option", XDG_CACHE_HOME=str(tmp_path))
    assert done.returncode == 2
    assert "--no-such-option" in done.stderr
    assert list(tmp_path.iterdir()) == []


def test_further_arguments_of_test_reach_pytest() -> None:
    done = run(SCRIPTS / "test", "--no-such-option")
    assert done.returncode == 4  # pytest's code for a wrong command line
    assert "unrecognized arguments: --no-such-option" in done.stderr


def test_a_file_that_an_option_of_test_names_is_no_test(tmp_path: Path) -> None:
    """Pytest by itself would look for tests in the file, and not know the option."""
    values = tmp_path / "mine.yaml"
    values.write_text("")
    done = run(SCRIPTS / "test", "--context", "mine", "--values", values, "--collect-only", "-q", "-k", "demo")
    assert done.returncode == 0, done.stderr
    assert "test_demo.py" in done.stdout


@pytest.fixture
def readable_scripts() -> Iterator[Path]:
    """A copy of the scripts where anybody can read it, as a clone below /root is not."""
    with tempfile.TemporaryDirectory() as folder:
        Path(folder).chmod(0o755)
        shutil.copytree(SCRIPTS, Path(folder) / "scripts")
        yield Path(folder) / "scripts"


NOBODY = ["setpriv", "--reuid=65534", "--regid=65534", "--clear-groups"]


@pytest.mark.parametrize("name", ["up", "down", "demo", "test"])
def test_commands_that_need_root_refuse_other_users(name: str, readable_scripts: Path, tmp_path: Path) -> None:
    done = run(*NOBODY, "/usr/bin/python3", "-B", readable_scripts / name, XDG_CACHE_HOME=str(tmp_path))
    assert done.returncode == 1, done.stderr
    assert "needs root" in done.stderr
    assert list(tmp_path.iterdir()) == []


def test_a_cache_that_cannot_be_made_is_told(readable_scripts: Path) -> None:
    done = run(*NOBODY, "/usr/bin/python3", "-B", readable_scripts / "lint", XDG_CACHE_HOME="/nonexistent/cache")
    assert done.returncode == 1
    assert "Set XDG_CACHE_HOME" in done.stderr
    assert "Traceback" not in done.stderr


def test_an_empty_context_is_refused() -> None:
    done = run(SCRIPTS / "demo", "--context=")
    assert done.returncode == 1
    assert "--context is empty" in done.stderr


def test_folders_of_the_cache_that_nothing_uses_go(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    folders = [paths.cache() / f"bin-{name}" for name in ("new", "used", "old", "unfinished")]
    for folder in folders:
        folder.mkdir(parents=True)
    long_ago = time.time() - paths.KEPT_SECONDS - 60
    for folder in folders[1:3]:
        (folder / "complete").touch()
        os.utime(folder / "complete", (long_ago, long_ago))
    assert paths.is_complete(folders[1])

    paths.mark_complete(folders[0], "bin-*")

    assert [folder.name for folder in folders if folder.exists()] == ["bin-new", "bin-used", "bin-unfinished"]


def test_too_little_disk_is_told_before_anything_is_made(tmp_path: Path) -> None:
    script = (
        'mount -t tmpfs -o size=16m tmpfs "$XDG_CACHE_HOME" && "$0" "$1"; code=$?; ls "$XDG_CACHE_HOME"; exit $code'
    )
    done = run(
        "unshare", "--mount", "sh", "-c", script, system_python(), SCRIPTS / "up", XDG_CACHE_HOME=str(tmp_path)
    )  # fmt: skip
    assert done.returncode == 1
    assert "GiB free, and" in done.stderr
    assert done.stdout == ""


@pytest.mark.parametrize("name", ["up", "demo", "test", "benchmark"])
def test_a_wheel_of_something_else_is_refused(name: str, tmp_path: Path) -> None:
    wheel = tmp_path / "other-1.0-py3-none-any.whl"
    with zipfile.ZipFile(wheel, "w") as archive:
        archive.writestr("other-1.0.dist-info/METADATA", "Metadata-Version: 2.1\nName: other\nVersion: 1.0\n")
    done = run(SCRIPTS / name, "--binderhub-wheel", wheel)
    assert done.returncode == 1
    assert "is a wheel of other, not of binderhub" in done.stderr


@pytest.mark.parametrize(
    ("arguments", "sentence"),
    [
        (["--context", "mine"], "needs a registry to push to"),
        (["--registry", "quay.io/me"], "has its own registry"),
        (["--context", "mine", "--registry", "r", "--binderhub-wheel", "w"], "is for the local cluster"),
    ],
)
def test_options_of_demo_that_contradict_each_other_are_refused(arguments: list[str], sentence: str) -> None:
    done = run(SCRIPTS / "demo", *arguments)
    assert done.returncode == 1
    assert sentence in done.stderr


def test_a_context_needs_a_login_and_must_be_known() -> None:
    command: list[str | Path] = [SCRIPTS / "demo", "--context", "no-such-context", "--registry", "quay.io/me"]
    kubectl = {"PATH": f"{_programs()}:{os.environ['PATH']}", "KUBECONFIG": "/nonexistent"}
    without = run(*command, **kubectl)
    assert (without.returncode, "REGISTRY_USERNAME is not set" in without.stderr) == (1, True)
    unknown = run(*command, **kubectl, REGISTRY_USERNAME="me", REGISTRY_PASSWORD="secret")  # noqa: S106
    assert (unknown.returncode, "has no context no-such-context" in unknown.stderr) == (1, True)


def test_an_environment_that_cannot_be_made_leaves_nothing_that_looks_finished(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    (tmp_path / "binderhub-service").mkdir()
    lock = tmp_path / "wrong.lock"
    lock.write_text(f"pyyaml==6.0.2 --hash=sha256:{'0' * 64}\n")
    with pytest.raises(UserError, match=r"HASHES|hash"):
        virtual_environment.make(lock, "wrong")
    assert not list(tmp_path.glob("binderhub-service/venv-*/complete"))


def test_packages_that_are_missing_are_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(debian_packages.GROUPS, "python", ("bash", "no-such-package"))
    assert debian_packages.missing(("python",)) == ["no-such-package"]


def test_the_lock_file_pins_what_pyproject_asks_for() -> None:
    import tomllib

    groups = tomllib.loads((LOCK_FILE.parent / "pyproject.toml").read_text())["dependency-groups"]
    asked = {word.split(">")[0].split("=")[0].split("<")[0].lower() for group in groups.values() for word in group}
    pinned = {line.split("==")[0] for line in LOCK_FILE.read_text().splitlines() if "==" in line and line[0].isalnum()}
    assert asked - pinned == set()


def _programs() -> Path:
    from local_cluster import go_tools

    return go_tools.folder()
