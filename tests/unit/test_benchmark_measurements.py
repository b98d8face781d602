import pytest
from benchmarking.measurements import Spread, order, ratios, spread


@pytest.mark.parametrize(
    ("values", "found"),
    [([3.0, 1.0, 2.0], Spread(2, 1, 3)), ([1.0, 2.0, 3.0, 10.0], Spread(2.5, 1, 10)), ([7.0], Spread(7, 7, 7))],
)
def test_the_middle_and_the_ends(values: list[float], found: Spread) -> None:
    assert spread(values) == found


def test_a_ratio_is_of_one_turn() -> None:
    """The middle of the ratios, 1, is not the ratio of the middles, 2: a slow minute counts in both halves."""
    assert ratios([2.0, 1.0, 9.0], [1.0, 1.0, 9.0]) == [2, 1, 1]
    assert spread(ratios([2.0, 1.0, 9.0], [1.0, 1.0, 9.0])).median == 1


def test_turns_that_do_not_belong_together_are_refused() -> None:
    with pytest.raises(ValueError, match="shorter"):
        ratios([1.0, 2.0], [1.0])


def test_each_is_first_as_often_as_last() -> None:
    assert [order(["A", "B"], turn) for turn in range(4)] == [["A", "B"], ["B", "A"], ["A", "B"], ["B", "A"]]
    assert [order(["A", "B", "C"], turn) for turn in range(2)] == [["A", "B", "C"], ["C", "B", "A"]]
