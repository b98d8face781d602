"""A command that uses the local cluster keeps others from removing it. None of this needs a cluster."""

import os
import shutil
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from common.errors import UserError
from common.paths import SCRIPTS
from local_cluster import cluster, cluster_users, git_repositories, go_tools, image_mirror, layout

# A command of a clone: it does what it reads, line by line, and says how that went. It ends with its input.
COMMAND = """
import sys
from pathlib import Path
from local_cluster import layout, cluster_users
from common.errors import UserError

layout.LOCKS = Path({locks!r})
for line in sys.stdin:
    try:
        exec(line)
        print("done", flush=True)
    except UserError as problem:
        print(" ".join(str(problem).split()), flush=True)
"""
USE = "with cluster_users.alone(): cluster_users.use()"
LEAVE = "with cluster_users.alone(): cluster_users.leave()"
REMOVE = "with cluster_users.alone(): cluster_users.refuse_others('remove it', force=False)"
FORCE = "with cluster_users.alone(): cluster_users.refuse_others('remove it', force=True)"


class Running:
    """A command that runs in a process of its own."""

    def __init__(self, clone: Path, *arguments: str) -> None:
        self.clone = clone
        self.process = subprocess.Popen(
            [sys.executable, clone / "scripts" / "demo", *arguments],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )

    def does(self, line: str) -> str:
        """What it says of doing so."""
        assert self.process.stdin
        assert self.process.stdout
        print(line, file=self.process.stdin, flush=True)
        return self.process.stdout.readline().strip()

    def ends(self, how: signal.Signals | None = None) -> None:
        if how:
            self.process.send_signal(how)
        self.process.communicate(timeout=30)


@pytest.fixture(autouse=True)
def locks(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """A folder of locks for this test and its commands."""
    monkeypatch.setattr(layout, "LOCKS", tmp_path / "locks")
    yield tmp_path / "locks"
    cluster_users.leave()


@pytest.fixture
def start(tmp_path: Path, locks: Path) -> Iterator[Callable[..., Running]]:
    """Starts a command of the clone that is named."""
    started: list[Running] = []

    def run(name: str, *arguments: str) -> Running:
        scripts = tmp_path / name / "scripts"
        if not scripts.exists():
            for package in ("local_cluster", "common"):
                shutil.copytree(SCRIPTS / package, scripts / package, ignore=shutil.ignore_patterns("go", "images"))
            (scripts / "demo").write_text(COMMAND.format(locks=str(locks)))
        started.append(Running(tmp_path / name, *arguments))
        return started[-1]

    yield run
    for one in started:
        one.ends(signal.SIGKILL)


def test_a_new_cluster_has_no_users(start: Callable[..., Running]) -> None:
    assert start("one").does(REMOVE) == "done"


def test_the_refusal_names_the_users_and_the_next_step(start: Callable[..., Running]) -> None:
    one, two = start("one", "--ref", "main"), start("two")
    assert one.does(USE) == "done"
    said = two.does(REMOVE)
    assert f"in use by `scripts/demo --ref main` (process {one.process.pid}, clone {one.clone})" in said
    assert "this command would remove it. Wait until" in said
    assert "--force" in said


def test_several_use_it_at_once_and_each_is_named(start: Callable[..., Running]) -> None:
    first, second, third = start("one"), start("one"), start("two")
    assert [first.does(USE), second.does(USE)] == ["done", "done"]
    said = third.does(REMOVE)
    assert f"process {first.process.pid}," in said
    assert f"process {second.process.pid}," in said
    # One of the two does not keep itself, but is kept by the other.
    said = first.does(REMOVE)
    assert f"process {second.process.pid}," in said
    assert f"process {first.process.pid}," not in said


def test_force_removes_it_all_the_same(start: Callable[..., Running]) -> None:
    one, two = start("one"), start("two")
    one.does(USE)
    assert two.does(FORCE) == "done"


@pytest.mark.parametrize("how", [None, signal.SIGTERM, signal.SIGKILL])
def test_a_command_that_ended_in_whatever_way_uses_nothing_and_leaves_nothing(
    how: signal.Signals | None, start: Callable[..., Running], locks: Path
) -> None:
    one, two = start("one"), start("two")
    one.does(USE)
    assert two.does(REMOVE) != "done"
    one.ends(how)
    assert two.does(REMOVE) == "done"
    assert list(locks.glob("use-*")) == []


def test_children_of_a_command_do_not_hold_the_cluster(start: Callable[..., Running]) -> None:
    """As the processes of the cluster, which outlive the command that raised it."""
    one, two = start("one"), start("two")
    one.does(USE)
    one.does("import subprocess; child = subprocess.Popen(['sleep', '60'], stdin=subprocess.DEVNULL)")
    assert one.process.stdin
    print("print(child.pid, flush=True)", file=one.process.stdin, flush=True)
    assert one.process.stdout
    child = int(one.process.stdout.readline())
    one.process.kill()
    one.process.wait()
    try:
        assert two.does(REMOVE) == "done"
    finally:
        subprocess.run(["kill", str(child)], check=True)


def test_a_command_that_left_uses_nothing(start: Callable[..., Running]) -> None:
    one, two = start("one"), start("two")
    assert [one.does(USE), one.does(USE), one.does(LEAVE), one.does(LEAVE)] == ["done"] * 4
    assert two.does(REMOVE) == "done"


def test_a_command_may_remove_what_the_command_that_started_it_uses(start: Callable[..., Running]) -> None:
    """As a test that runs ./scripts/down, or a page that does."""
    with cluster_users.alone():
        cluster_users.use()
    assert start("one").does(REMOVE) == "done"


def test_a_second_up_or_down_is_refused_and_names_the_first(start: Callable[..., Running]) -> None:
    one, two = start("one"), start("two")
    assert one.does("held = cluster_users.alone(); held.__enter__()") == "done"
    said = two.does(FORCE)
    assert said.startswith(f"`scripts/demo` (process {one.process.pid}, clone {one.clone}) is raising or removing")
    one.ends(signal.SIGKILL)
    assert two.does(FORCE) == "done"


@pytest.fixture
def done(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """A cluster that is there, of another clone; gives what is done to it."""
    found: list[str] = []
    monkeypatch.setattr(cluster, "present", lambda: "remove" not in found)
    monkeypatch.setattr(cluster, "_unfit", lambda _wanted: "it is of another clone")
    monkeypatch.setattr(cluster, "_remove", lambda: found.append("remove"))
    monkeypatch.setattr(cluster, "_raise", lambda *_: found.append("raise"))
    monkeypatch.setattr(go_tools, "build", lambda: found.append("build"))
    monkeypatch.setattr(image_mirror, "fill", lambda _images: found.append("fill"))
    monkeypatch.setattr(git_repositories, "make", lambda: found.append("repositories"))
    return found


def test_down_leaves_a_cluster_that_another_uses(start: Callable[..., Running], done: list[str]) -> None:
    start("one").does(USE)
    with pytest.raises(UserError, match="would remove it"):
        cluster.down()
    assert done == []
    cluster.down(force=True)
    assert done == ["remove"]


def test_up_leaves_a_cluster_that_another_uses_and_says_so_before_it_builds(
    start: Callable[..., Running], done: list[str]
) -> None:
    start("one").does(USE)
    with pytest.raises(UserError, match="would replace it, since it is of another clone"):
        cluster.up()
    assert done == []
    cluster.up(force=True)
    assert done == ["build", "fill", "remove", "raise"]


def test_up_beside_another_user_uses_a_cluster_that_fits(
    start: Callable[..., Running], done: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(cluster, "_unfit", lambda _wanted: "")
    one = start("one")
    one.does(USE)
    cluster.up()
    assert done == ["build", "fill", "repositories"]
    assert (layout.LOCKS / f"use-{os.getpid()}").exists()


def test_down_ends_the_use_of_the_command_that_removes(done: list[str]) -> None:
    with cluster_users.alone():
        cluster_users.use()
    cluster.down()
    assert done == ["remove"]
    assert list(layout.LOCKS.glob("use-*")) == []


def test_down_without_a_cluster_refuses_nobody(
    start: Callable[..., Running], done: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    start("one").does(USE)
    monkeypatch.setattr(cluster, "present", lambda: False)
    cluster.down()
    assert done == ["remove"]


SCRIPT = """
import sys
from pathlib import Path
from local_cluster import cluster, layout
from common import entry_point

layout.LOCKS = Path({locks!r})
cluster.present = lambda: True
cluster._remove = lambda: print("removed")
sys.exit(entry_point.run("down"))
"""


@pytest.mark.parametrize(("options", "code", "printed"), [([], 1, ""), (["--force"], 0, "removed\n")])
def test_the_command_ends_with_a_code_and_a_sentence(
    options: list[str], code: int, printed: str, start: Callable[..., Running], locks: Path
) -> None:
    start("one").does(USE)
    ended = subprocess.run(
        [sys.executable, "-c", SCRIPT.format(locks=str(locks)), *options],
        env={**os.environ, "PYTHONPATH": str(SCRIPTS)},
        capture_output=True,
        text=True,
        check=False,
        timeout=60,
    )
    assert (ended.returncode, ended.stdout) == (code, printed), ended.stderr
    assert ("The local cluster is in use by" in ended.stderr) is bool(code)
