"""The program that bounds the steps of builds, on folders that stand for control groups of both versions."""

import os
import subprocess
import threading
import time
from pathlib import Path

import pytest
from common.paths import CHART

PROGRAM = CHART / "files" / "docker-api-limits.sh"


def run(cgroups: Path, processes: str = "100", memory: str = "", parent: str = "docker") -> tuple[int, str]:
    """Its exit code, and what it says."""
    settings = {"PROCESSES": processes, "STEPS_MEMORY": memory, "PARENT": parent, "CGROUPS": str(cgroups)}
    # Given as the chart gives it, not as a file; with a `sleep` that does not take a tenth of a second each.
    quick = cgroups.parent / "bin"
    quick.mkdir(exist_ok=True)
    (quick / "sleep").write_text("#!/bin/sh\nexec /bin/sleep 0.01\n")
    (quick / "sleep").chmod(0o755)
    (quick / "tee").write_text("#!/bin/sh\nexec cat\n")  # the log of the pod is that of process 1
    (quick / "tee").chmod(0o755)
    environment = {**os.environ, **settings, "PATH": f"{quick}:{os.environ['PATH']}"}
    command = ["sh", "-c", PROGRAM.read_text()]
    done = subprocess.run(command, env=environment, capture_output=True, text=True, check=False, timeout=30)
    return done.returncode, done.stdout + done.stderr


@pytest.fixture
def v1(tmp_path: Path) -> Path:
    """A hierarchy for each controller."""
    for name in ("pids", "memory"):
        (tmp_path / "cgroup" / name).mkdir(parents=True)
    return tmp_path / "cgroup"


@pytest.fixture
def v2(tmp_path: Path) -> Path:
    """One hierarchy."""
    (tmp_path / "cgroup").mkdir()
    (tmp_path / "cgroup" / "cgroup.controllers").write_text("cpu memory pids\n")
    return tmp_path / "cgroup"


def test_v1_has_a_group_for_each_bound(v1: Path) -> None:
    assert run(v1, "100", "2147483648") == (0, "")
    assert (v1 / "pids/docker/buildkit/pids.max").read_text() == "100\n"
    assert (v1 / "memory/docker/buildkit/memory.limit_in_bytes").read_text() == "2147483648\n"


def test_v2_has_one_group_for_all_and_delegates_to_it(v2: Path) -> None:
    assert run(v2, "100", "2147483648", "/a/b") == (0, "")
    assert (v2 / "a/b/buildkit/pids.max").read_text() == "100\n"
    assert (v2 / "a/b/buildkit/memory.max").read_text() == "2147483648\n"
    for folder in (v2, v2 / "a", v2 / "a/b"):
        assert (folder / "cgroup.subtree_control").read_text() == "+memory\n"  # the last of the two
    assert not (v2 / "a/b/buildkit/cgroup.subtree_control").exists()


@pytest.mark.parametrize(("processes", "memory"), [("0", "1000000"), ("100", "")])
def test_steps_without_a_limit_are_not_limited(v1: Path, processes: str, memory: str) -> None:
    assert run(v1, processes, memory) == (0, "")
    assert (v1 / "pids/docker").exists() == (processes != "0")
    assert (v1 / "memory/docker").exists() == (memory != "")


def test_v2_waits_until_the_root_has_no_processes_left(v2: Path) -> None:
    busy = v2 / "cgroup.subtree_control"
    busy.mkdir()  # cannot be written to

    def move_away() -> None:
        while not (v2 / "docker/buildkit").exists():
            time.sleep(0.01)
        busy.rmdir()

    mover = threading.Thread(target=move_away)
    mover.start()
    assert run(v2) == (0, "")
    mover.join()
    assert busy.read_text() == "+pids\n"
    assert (v2 / "docker/buildkit/pids.max").read_text() == "100\n"


def test_no_pod_becomes_ready_without_its_bounds(v2: Path) -> None:
    (v2 / "cgroup.subtree_control").mkdir()
    code, said = run(v2)
    assert code == 1
    assert "pids cannot be given" in said
    assert "set dockerApi.maxProcesses to 0" in said


def test_a_file_in_the_place_of_the_groups_is_told(v1: Path) -> None:
    (v1 / "pids/docker").touch()
    code, said = run(v1)
    assert code == 1
    assert "cannot be made; is the container privileged" in said
