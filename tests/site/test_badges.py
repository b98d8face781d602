"""What readers are told of the record, for each state that a page can be in."""

import json
import re
from collections.abc import Callable
from pathlib import Path
from subprocess import CompletedProcess

import pytest
from common.paths import CHART
from documentation.record import hash_of

Build = Callable[[Path, Path], CompletedProcess[str]]
PAGE = "tutorials/your-first-image.md"
RUN = {
    "chart": "",
    "date": "2026-11-24",
    "commit": "0123456789abcdef",
    "versions": {
        "kubernetes": "1.37.2",
        "helm": "4.3.1",
        "chart": "0.1.0",
        "engine": "docker",
        "binderhub": "stand-in",
    },
    "where": "lab with substitutes",
    "seconds": 61.5,
    "blocks": [{"line": 18, "kind": "run", "name": "clone", "outcome": "passed", "seconds": 1.5}],
}
STATES = {
    "Verified.": {"outcome": "passed"},
    "Failed.": {"outcome": "failed"},
    "Changed since.": {"outcome": "passed", "content": "another page"},
    "Changed since. ": {"outcome": "passed", "chart": "another chart"},
}


def words(html: Path) -> str:
    return " ".join(re.sub(r"<[^>]+>", " ", html.read_text()).split())


@pytest.mark.parametrize("state", STATES)
def test_a_badge_says_the_state_and_with_what_it_was_run(state: str, copy: Path, build: Build) -> None:
    run = {**RUN, "content": hash_of(copy / PAGE), "chart": hash_of(CHART), **STATES[state]}
    (copy / "verification.json").write_text(json.dumps({PAGE: run}))
    assert build(copy, copy.parent / "html").returncode == 0
    page = words(copy.parent / "html" / PAGE.replace(".md", ".html"))
    assert state.strip() in page
    versions = "Kubernetes 1.37.2 · Helm 4.3.1 · chart 0.1.0 · engine docker · BinderHub stand-in"
    assert f"2026-11-24 · {versions} · lab with substitutes" in page
    verification = words(copy.parent / "html" / "reference" / "verification.html")
    assert "18 run clone passed 1.5" in verification
    assert "62 of 2400" in verification
    assert "commit 0123456" in verification


def test_a_page_without_a_record_says_so_and_one_without_commands_says_nothing(copy: Path, build: Build) -> None:
    (copy / "verification.json").unlink(missing_ok=True)
    assert build(copy, copy.parent / "html").returncode == 0
    assert "Not yet run." in words(copy.parent / "html" / PAGE.replace(".md", ".html"))
    assert "badge-line" not in (copy.parent / "html" / "explanation" / "architecture.html").read_text()
