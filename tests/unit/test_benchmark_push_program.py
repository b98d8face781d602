"""The program that counts pushes, with a `docker` of this test's own."""

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from common.paths import SCRIPTS

PROGRAM = SCRIPTS / "benchmarking" / "push_program.py"
DOCKER = r"""#!/bin/sh
case "$*" in
  "push --quiet "*/bad-2:1) exec sleep 60 ;;
  "push --quiet "*/bad-3:1) echo "denied: no" >&2; exit 1 ;;
  "image rm --force "*/bad-2:1) exec sleep 60 ;;
esac
"""


def run(folder: Path, **job: object) -> list[dict[str, Any]]:
    """The lines that it prints."""
    (folder / "docker").write_text(DOCKER)
    (folder / "docker").chmod(0o755)
    given = {"prefix": "r/good-", "pushes": 5, "at_once": 2, "patience": 5, "most": 30, **job}
    command = [sys.executable, "-c", PROGRAM.read_text(), json.dumps(given)]
    environment = {**os.environ, "PATH": f"{folder}:{os.environ['PATH']}"}
    done = subprocess.run(command, env=environment, capture_output=True, text=True, check=True, timeout=30)
    return [json.loads(line) for line in done.stdout.splitlines()]


def test_each_push_is_counted(tmp_path: Path) -> None:
    found = run(tmp_path)
    assert [set(one) for one in found] == [{"seconds"}] * 5


def test_a_push_that_hangs_or_fails_is_told_and_the_others_go_on(tmp_path: Path) -> None:
    found = run(tmp_path, prefix="r/bad-")
    assert len(found) == 5
    assert [one["hung"] for one in found if "hung" in one] == ["docker push --quiet r/bad-2:1"]
    assert [one["failed"] for one in found if "failed" in one] == ["denied: no"]


@pytest.mark.parametrize("most", [0, -1])
def test_no_push_begins_after_the_time_for_all(tmp_path: Path, most: int) -> None:
    assert run(tmp_path, most=most) == []
