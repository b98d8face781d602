"""Codes: each has a section, and all that is said of it is a sentence."""

import re

import pytest
from binderhub_service.failures import FAILURES, PAGE, Failure
from common.paths import CHART, CLONE

TEXT = (CLONE / "docs" / f"{PAGE}.md").read_text()


@pytest.mark.parametrize("code", FAILURES)
def test_each_code_has_its_section(code: str) -> None:
    _, heading, after = TEXT.partition(f"\n({code.lower()})=\n### {code}: {FAILURES[code].title}\n")
    assert heading
    section = " ".join(after.partition("\n### ")[0].split())
    assert f"**Next:** {FAILURES[code].next_step}" in section


@pytest.mark.parametrize("code", FAILURES)
def test_the_index_has_each_code(code: str) -> None:
    kind = FAILURES[code]
    row = rf"\| {{ref}}`{code} <{code.lower()}>` \| {re.escape(kind.title)} \| [^|]+ \| (yes|no) \|"
    assert re.findall(row, TEXT) == ["yes" if kind.retryable else "no"]


def test_no_section_is_of_no_code() -> None:
    assert set(re.findall(r"^### (BHS\d+):", TEXT, re.MULTILINE)) == set(FAILURES)


def test_each_code_is_used() -> None:
    sources = "".join(file.read_text() for file in (CHART / "files" / "binderhub_service").rglob("*.py"))
    assert [code for code in FAILURES if sources.count(f'"{code}"') < 2] == []


@pytest.mark.parametrize("code", FAILURES)
def test_the_event(code: str) -> None:
    event = Failure(code, {"detail": "words {of} somebody", "node": "n"}).event()
    assert event["phase"] == "failed"
    assert event["message"].startswith(f"{code}: ")
    assert event["next_step"].endswith(".")
    url = "https://binderhub-service.readthedocs.io/en/latest/how-to/troubleshoot.html"
    assert event["docs"] == f"{url}#{code.lower()}"


def test_the_documentation_can_be_published_elsewhere(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("DOCUMENTATION_URL", "https://docs.example.org/")
    assert Failure("BHS101").event()["docs"] == "https://docs.example.org/how-to/troubleshoot.html#bhs101"
