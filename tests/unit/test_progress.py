"""What a person sees while a step is at work, on a terminal and elsewhere, and how long a series still takes."""

import os
import pty
import re
import subprocess
import sys
from pathlib import Path

import pytest
from common.paths import SCRIPTS
from common.time_estimate import PRIOR_SECONDS, Estimate
from local_cluster import go_tools, substitute_images

SCRIPT = """
import time
from common import progress
from common.time_estimate import Estimate

progress.TICK_SECONDS = 0.05
estimate = Estimate([300, 300])
with progress.step("first", estimate):
    time.sleep(0.5)
with progress.step("second", estimate):
    time.sleep(0.5)
with progress.step("third"):
    raise ValueError
"""
COMMAND = [sys.executable, "-c", SCRIPT]
ENVIRONMENT = {**os.environ, "PYTHONPATH": str(SCRIPTS)}


def test_elsewhere_than_on_a_terminal_a_step_has_a_line_at_its_start_and_one_at_its_end() -> None:
    done = subprocess.run(COMMAND, env=ENVIRONMENT, capture_output=True, text=True, check=False, timeout=60)
    lines = done.stderr.partition("Traceback")[0].splitlines()
    assert [re.sub(r"[\d.]+ s$", "N s", line) for line in lines] == [
        "  … first (about 10 min left)",
        "  ✓ first: done in N s",
        "  … second (about 1 min left)",
        "  ✓ second: done in N s",
        "  … third",
        "  ✗ third: failed in N s",
    ]


def test_on_a_terminal_the_line_counts_seconds_and_says_what_remains(tmp_path: Path) -> None:
    ours, theirs = pty.openpty()
    with (tmp_path / "said").open("wb") as said:
        process = subprocess.Popen(COMMAND, env=ENVIRONMENT, stderr=theirs)
        os.close(theirs)
        while True:
            try:
                said.write(os.read(ours, 4096))
            except OSError:  # its end was closed
                break
    process.wait()
    os.close(ours)
    text = (tmp_path / "said").read_bytes().decode()
    assert text.count("\r\033[K  … first (0 s, about 10 min left)") > 1
    assert "\r\033[K  ✓ first: done in" in text


class Clock:
    """Stands for the time that passes."""

    now = 1000.0

    def __call__(self) -> float:
        return self.now

    def passes(self, seconds: float) -> None:
        self.now += seconds


def test_at_the_usual_pace_the_rest_takes_its_usual_seconds() -> None:
    clock = Clock()
    estimate = Estimate([100, 200, 300], clock)
    assert estimate.seconds() == pytest.approx(600)
    clock.passes(40)
    assert estimate.seconds() == pytest.approx(560)
    clock.passes(60)
    estimate.step_done()
    assert estimate.seconds() == pytest.approx(500)


def test_a_machine_that_is_half_as_fast_needs_nearly_twice_as_long_for_the_rest() -> None:
    clock = Clock()
    estimate = Estimate([540, 100], clock)
    clock.passes(1080)
    estimate.step_done()
    pace = (1080 + PRIOR_SECONDS) / (540 + PRIOR_SECONDS)  # 1.9
    assert estimate.seconds() == pytest.approx(100 * pace)


def test_a_warm_cache_shortens_the_estimate() -> None:
    clock = Clock()
    estimate = Estimate([600, 100], clock)
    clock.passes(6)
    estimate.step_done()
    assert estimate.seconds() < 20


def test_a_step_that_takes_longer_than_it_should_lengthens_the_rest_before_it_ends() -> None:
    clock = Clock()
    estimate = Estimate([60, 120], clock)
    clock.passes(180)
    assert estimate.seconds() == pytest.approx(240)


def test_after_the_last_step_nothing_remains() -> None:
    clock = Clock()
    estimate = Estimate([60], clock)
    clock.passes(500)
    assert estimate.seconds() == 0
    estimate.step_done()
    assert estimate.seconds() == 0
    assert str(estimate) == "less than a minute left"


@pytest.mark.parametrize(
    ("seconds", "words"),
    [
        (0, "less than a minute left"),
        (20, "less than a minute left"),
        (70, "about 1 min left"),
        (365, "about 6 min left"),
    ],
)
def test_minutes_are_said_in_words(seconds: float, words: str) -> None:
    assert str(Estimate([seconds], Clock())) == words


@pytest.mark.parametrize("module", go_tools.MODULES, ids=lambda module: module.folder)
def test_every_program_has_usual_seconds(module: go_tools.Module) -> None:
    assert module.seconds > 0


@pytest.mark.parametrize("image", substitute_images.images(), ids=lambda image: image.folder)
def test_every_substitute_has_usual_seconds(image: substitute_images.Image) -> None:
    assert image.seconds > 0
