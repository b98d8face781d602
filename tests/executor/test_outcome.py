"""From lines to a code."""

from pathlib import Path

import pytest
import yaml
from bhs_engine_docker import Docker
from bhs_outcome import Transcript
from bhs_pod import BUILD, FETCH

CASES = yaml.safe_load((Path(__file__).parent / "recorded.yaml").read_text())
PARTICULARS = {"node": "node-1", "repo": "https://git.example/r", "ref": "main", "name": "r.example/i:1", "image": "i"}


@pytest.mark.parametrize("case", CASES, ids=[case["name"] for case in CASES])
def test_lines_become_a_code(case: dict[str, str]) -> None:
    transcript = Transcript(Docker.words)
    container = FETCH if case.get("container") == "fetch" else BUILD
    for line in case["lines"].splitlines():
        transcript.add(container, {"phase": "building", "message": f"{line}\n"})
    failure = transcript.failure(container, 1, PARTICULARS)
    assert failure.code == case["code"]
    assert case.get("says", "") in failure.what


def test_the_digest_of_what_was_pushed() -> None:
    transcript = Transcript(Docker.words)
    digest = "sha256:" + "a" * 64
    for line in ("#9 pushing layers", f"#9 pushing manifest for r.example/i:1@{digest} 0.1s done"):
        transcript.add(BUILD, {"phase": "building", "message": line})
    assert transcript.digest == digest


def test_an_error_before_the_push_is_none_of_it() -> None:
    transcript = Transcript(Docker.words)
    transcript.add(BUILD, {"phase": "building", "message": "ERROR: pull access denied for debian, unauthorized\n"})
    assert transcript.failure(BUILD, 1, PARTICULARS).code == "BHS101"


def test_digits_of_an_address_or_a_tag_are_no_status() -> None:
    transcript = Transcript(Docker.words)
    for line in (
        "#6 pushing r.example/429:413 with docker",
        "#6 ERROR: read tcp 10.4.1.3:413->10.4.2.9:429: read: connection reset by peer",
        "------",
        " > pushing r.example/429:413 with docker:",
    ):
        transcript.add(BUILD, {"phase": "building", "message": f"{line}\n"})
    assert transcript.failure(BUILD, 1, PARTICULARS).code == "BHS607"
