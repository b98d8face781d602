"""The files pass every check of scripts/lint, and each check can fail."""

import shutil
import subprocess
from pathlib import Path

import pytest
from common.paths import CLONE
from linting import checks


@pytest.mark.parametrize("name", checks.CHECKS)
def test_the_files_pass(name: str, capsys: pytest.CaptureFixture[str]) -> None:
    code = checks.run([name])
    assert code == 0, capsys.readouterr().err


# For each check a file that it must complain about.
WRONG = {
    "python": ("scripts/wrong.py", "import os\n"),
    "types": ("scripts/wrong.py", 'number: int = "one"\n'),
    "shell": ("scripts/wrong.sh", "#!/bin/sh\nrm -r $1/*\n"),
    "yaml": ("docs/wrong.yaml", "a: 1\na: 2\n"),
    "spelling": ("docs/wrong.md", "A sentence with \x74eh mistake.\n"),
    "chart": ("chart/templates/wrong.yaml", "a: [\n"),
    "workflows": (
        ".github/workflows/wrong.yaml",
        "on: push\njobs:\n  a:\n    runs-on: x\n    steps:\n      - runs: y\n",
    ),
}


@pytest.mark.parametrize("name", checks.CHECKS)
def test_a_check_complains_about_what_is_wrong(
    name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    clone = tmp_path / "clone"
    for file in checks.tracked():
        (clone / file).parent.mkdir(parents=True, exist_ok=True)
        shutil.copy(CLONE / file, clone / file)
    subprocess.run(["git", "init", "--quiet", clone], check=True)
    monkeypatch.setattr(checks, "CLONE", clone)
    monkeypatch.setattr(checks, "CHART", clone / "chart")
    monkeypatch.setattr(checks, "WORKFLOWS", clone / ".github" / "workflows")
    path, text = WRONG[name]
    (clone / path).write_text(text)

    assert checks.run([name]) == 1
    assert "wrong" in capsys.readouterr().err
