"""What the workflows run is there, and takes the options that they give it."""

import importlib
import re
import shlex
from collections.abc import Iterator
from pathlib import Path

import pytest
import yaml
from common.paths import CLONE
from documentation.placeholders import declared
from linting.checks import WORKFLOWS

FILES = sorted(WORKFLOWS.glob("*.yaml"))


def steps() -> Iterator[tuple[str, dict[str, object]]]:
    """Every step of every workflow."""
    for file in FILES:
        for job in yaml.safe_load(file.read_text())["jobs"].values():
            for step in job["steps"]:
                yield file.stem, step


def commands() -> list[str]:
    """Every line that a step runs."""
    return [line for _, step in steps() for line in str(step.get("run", "")).splitlines() if line.strip()]


def test_workflows_have_commands() -> None:
    assert {"./scripts/test", "./scripts/lint"} <= {shlex.split(line)[-1] for line in commands()}


@pytest.mark.parametrize("line", commands())
def test_a_command_is_one_script_with_options_that_it_has(line: str) -> None:
    words = shlex.split(line)
    if words[0] == "sudo":
        words = [word for word in words[1:] if not word.startswith("--preserve-env=")]
    folder, name = words[0].rsplit("/", 1)
    assert folder == "./scripts"
    assert (CLONE / "scripts" / name).is_file()
    command = importlib.import_module(f"commands.{name}")
    options = command.parser().parse_args(words[1:])  # exits where it does not know an option
    command.check(options)


def test_the_placeholders_that_a_workflow_fills_are_declared() -> None:
    known, wrong = declared(CLONE / "docs")
    assert not wrong
    for workflow, step in steps():
        given = step.get("env") or {}
        assert isinstance(given, dict)
        names = {name for name in given if name.startswith("YOUR_")}
        assert names <= known.keys(), workflow


def test_every_action_is_pinned_by_its_commit() -> None:
    used = [str(step["uses"]) for _, step in steps() if "uses" in step]
    assert used
    assert [name for name in used if not re.fullmatch(r"[\w-]+/[\w-]+@[0-9a-f]{40}", name)] == []


def test_an_actions_version_stands_beside_its_commit() -> None:
    lines = [line for file in FILES for line in file.read_text().splitlines() if "uses:" in line]
    assert [line for line in lines if not re.search(r"@[0-9a-f]{40} # v\d+(\.\d+)*$", line)] == []


@pytest.mark.parametrize("file", FILES, ids=lambda file: file.stem)
def test_no_job_has_a_token_or_a_secret_that_foreign_code_could_write_with(file: Path) -> None:
    """Each job runs actions, packages or images of others, and these can read all that its job can."""
    workflow = yaml.safe_load(file.read_text())
    assert workflow["permissions"] == {}
    for name, job in workflow["jobs"].items():
        assert job["permissions"].items() <= {"contents": "read"}.items(), name
    assert not re.search(r"\bsecrets\b|github\.token", file.read_text())


@pytest.mark.parametrize("file", FILES, ids=lambda file: file.stem)
def test_no_workflow_runs_code_of_a_pull_request_with_the_rights_of_the_repository(file: Path) -> None:
    # YAML 1.1 reads the key `on` as a boolean.
    events = yaml.safe_load(file.read_text())[True]
    assert not {"pull_request_target", "workflow_run", "issue_comment"} & set(events)
