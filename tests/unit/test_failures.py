"""Codes: each has a section, and all that is said of it is a sentence."""

import re

import pytest
from binderhub_service.failures import DOCS, FAILURES, Failure
from common.paths import CHART, CLONE


@pytest.mark.parametrize("code", FAILURES)
def test_each_code_has_its_section(code: str) -> None:
    text = (CLONE / DOCS).read_text()
    _, heading, after = text.partition(f"\n({code.lower()})=\n### {code}: {FAILURES[code].title}\n")
    assert heading
    section = " ".join(after.partition("\n### ")[0].split())
    assert f"**Next:** {FAILURES[code].next_step}" in section


def test_no_section_is_of_no_code() -> None:
    assert set(re.findall(r"^### (BHS\d+):", (CLONE / DOCS).read_text(), re.MULTILINE)) == set(FAILURES)


def test_each_code_is_used() -> None:
    sources = "".join(file.read_text() for file in (CHART / "files" / "binderhub_service").rglob("*.py"))
    assert [code for code in FAILURES if sources.count(f'"{code}"') < 2] == []


@pytest.mark.parametrize("code", FAILURES)
def test_the_event(code: str) -> None:
    event = Failure(code, {"detail": "words {of} somebody", "node": "n"}).event()
    assert event["phase"] == "failed"
    assert event["message"].startswith(f"{code}: ")
    assert event["next_step"].endswith(".")
    assert event["docs"] == f"{DOCS}#{code.lower()}"
