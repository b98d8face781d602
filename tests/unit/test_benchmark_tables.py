"""From numbers to tables, and which bounds are missed."""

from pathlib import Path

import pytest
from benchmarking import result as results
from benchmarking import run
from benchmarking.result import ImageCheck, Memory, Pushes, Result
from benchmarking.tables import Line, tables
from common.errors import UserError
from support.benchmark_results import result


def lines(found: Result) -> dict[str, Line]:
    return {line.cells[0]: line for table in tables(found) for line in table.lines}


def line(found: Result, words: str) -> Line:
    (one,) = [line for title, line in lines(found).items() if words in title]
    return one


def test_a_row_shows_both_medians_and_the_ratio_of_the_turns() -> None:
    _title, *cells = line(result(), "One build").cells
    assert cells == ["5.00 s (4.00 to 9.00)", "6.00 s (5.00 to 8.00)", "1.00 (0.50 to 1.50)", "ratio ≤ 1", "yes"]


def test_a_difference_has_a_bound_of_its_own_and_no_ratio() -> None:
    _title, *cells = line(result(), "by hand").cells
    assert cells == ["0.20 s (0.10 to 0.30)", "1.00 s (1.00 to 1.00)", "", "≤ 0.5 s", "yes"]


def test_a_stream_that_was_cut_says_so() -> None:
    assert line(result(), "step of the Dockerfile").cells[2:] == ("1.2 s", "open after 60 s", "≤ 10 s", "yes")


def test_memory() -> None:
    assert line(result(), "200 builds and 500").cells[1:] == ("100 MiB", "105 MiB", "1.05", "ratio ≤ 1.1", "yes")


def test_the_check_of_an_image_is_a_difference_in_each_turn() -> None:
    found = result(image_check=ImageCheck(without=[2.0, 9.0, 4.0], checked=[4.0, 10.0, 7.0]))
    assert line(found, "with a JupyterHub").cells[1:] == (
        "4.00 s (2.00 to 9.00)", "7.00 s (4.00 to 10.00)", "2.00 s (1.00 to 3.00)", "≤ 3 s", "yes"
    )  # fmt: skip


def test_pushes() -> None:
    found = result(pushes=Pushes(asked=3, seconds=[0.5, 0.25, 1.0], hung=[], failed=[], took=2.0))
    assert line(found, "three small layers").cells[1:] == (
        "3 of 3", "0", "0", "0.50 s (0.25 to 1.00)", "all end well", "yes"
    )  # fmt: skip


@pytest.mark.parametrize(
    ("changed", "words"),
    [
        ({"pushes": Pushes(asked=2, seconds=[0.5], hung=["docker push"], failed=[], took=2.0)}, "three small layers"),
        ({"pushes": Pushes(asked=2, seconds=[0.5], hung=[], failed=["denied"], took=2.0)}, "three small layers"),
        ({"pushes": Pushes(asked=2, seconds=[], hung=[], failed=[], took=2.0)}, "three small layers"),
        ({"rows": {"single": {"service": [1.1], "upstream": [1.0]}}}, "One build"),
        ({"rows": {"cached": {"service": [1.03], "upstream": [1.0]}}}, "in the registry"),
        ({"rows": {"overhead": {"service": [0.6], "upstream": [0.7]}}}, "by hand"),
        ({"rows": {"viewers_threads": {"service": [9.0], "upstream": [8.0]}}}, "has meanwhile"),
        ({"faults": {"pod": {"service": 10.1, "upstream": 1.0}}}, "pod is deleted"),
        ({"faults": {"pod": {"service": None, "upstream": 1.0}}}, "pod is deleted"),
        ({"image_check": ImageCheck(without=[1.0], checked=[4.1])}, "with a JupyterHub"),
        ({"memory": Memory(idle=100.0, after=111.0, builds=200, hang_ups=500)}, "200 builds"),
    ],
)
def test_a_bound_that_is_missed_is_marked(
    changed: dict[str, object], words: str, capfd: pytest.CaptureFixture[str]
) -> None:
    found = result(**changed)
    one = line(found, words)
    assert (one.held, one.cells[-1]) == (False, "NO")
    assert sum(table.missed for table in tables(found)) == 1
    run.show(found)
    shown = capfd.readouterr()
    assert "NO" in shown.out
    assert "1 bound is missed." in shown.err


def test_rows_that_were_not_measured_have_no_table() -> None:
    only = result(faults={}, memory=None)
    assert [len(table.lines) for table in tables(only)] == [3]


def test_a_result_is_read_as_it_was_written(tmp_path: Path) -> None:
    for found in (
        result(),
        result(memory=None),
        result(image_check=ImageCheck([2.0], [3.0])),
        result(pushes=Pushes(2, [0.5], ["docker push"], ["denied"], 2.0)),
    ):
        results.save(tmp_path / "r.json", found)
        assert results.load(tmp_path / "r.json") == found


@pytest.mark.parametrize("content", ["", "{}", "[]", '{"memory": null, "more": 1}'])
def test_a_file_that_is_no_result_is_refused(content: str, tmp_path: Path) -> None:
    (tmp_path / "r.json").write_text(content)
    with pytest.raises(UserError, match="holds no result"):
        results.load(tmp_path / "r.json")
