"""When a record still speaks of what is there."""

from pathlib import Path

import pytest
from documentation.record import Record, State, hash_of


def record(outcome: str = "passed", chart: str | None = "chart") -> Record:
    return Record("page", chart, "2026-11-24", "0123456", {}, "no cluster", outcome, 1.0, ())


@pytest.mark.parametrize(
    ("known", "content", "chart", "state"),
    [
        (record(), "page", "chart", State.VERIFIED),
        (record("failed"), "page", "chart", State.FAILED),
        (record(), "other", "chart", State.CHANGED),
        (record(), "page", "other", State.CHANGED),
        (record("failed"), "other", "chart", State.CHANGED),
        (record(chart=None), "page", "other", State.VERIFIED),
    ],
)
def test_a_record_goes_stale_by_itself(known: Record, content: str, chart: str, state: State) -> None:
    assert known.state(content, chart) is state


def test_the_hash_of_a_folder_is_of_names_and_contents_and_not_of_caches(tmp_path: Path) -> None:
    (tmp_path / "a").write_text("x")
    first = hash_of(tmp_path)
    (tmp_path / "__pycache__").mkdir()
    (tmp_path / "__pycache__" / "a.pyc").write_text("compiled")
    assert hash_of(tmp_path) == first
    (tmp_path / "a").write_text("y")
    changed = hash_of(tmp_path)
    (tmp_path / "a").rename(tmp_path / "b")
    assert len({first, changed, hash_of(tmp_path)}) == 3
