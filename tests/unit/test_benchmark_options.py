"""What is asked of scripts/benchmark, and what it says before anything is installed."""

import subprocess
from pathlib import Path

import pytest
from benchmarking import result as results
from benchmarking.rows import CHOICES, EXTRA
from commands import benchmark
from common.paths import SCRIPTS
from support.benchmark_results import result


def run(*arguments: str | Path) -> subprocess.CompletedProcess[str]:
    command = [SCRIPTS / "benchmark", *arguments]
    return subprocess.run(command, capture_output=True, text=True, check=False, timeout=60)


def test_the_choices_of_only_are_the_rows() -> None:
    assert benchmark.CHOICES == CHOICES
    assert benchmark.EXTRA == EXTRA


def test_rows_and_pairs() -> None:
    options = benchmark.parser().parse_args(["--only", "single", "--only", "faults", "--pairs", "3"])
    assert (options.only, options.pairs) == (["single", "faults"], 3)
    assert benchmark.parser().parse_args([]).pairs == 9


@pytest.mark.parametrize(
    ("arguments", "code", "words"),
    [
        (["--pairs", "0"], 1, "--pairs is 0"),
        (["--only", "everything"], 2, "invalid choice"),
        (["--write", "--only", "single"], 1, "--write is for a whole run"),
        (["--context", "mine"], 1, "needs a registry to push to"),
        (["--show", "/nonexistent"], 1, "holds no result"),
    ],
)
def test_wrong_options(arguments: list[str], code: int, words: str) -> None:
    done = run(*arguments)
    assert done.returncode == code, done.stderr
    assert words in done.stderr


def test_a_file_is_shown_and_what_it_misses_does_not_change_the_exit_code(tmp_path: Path) -> None:
    results.save(tmp_path / "r.json", result(faults={"pod": {"service": 99.0, "upstream": 1.0}}))
    done = run("--show", tmp_path / "r.json")
    assert done.returncode == 0
    assert "99.0 s" in done.stdout
    assert "1 bound is missed." in done.stderr
