"""Statistics of measured numbers, and the order in which they are taken."""

import statistics
from collections.abc import Sequence
from dataclasses import dataclass


@dataclass(frozen=True)
class Spread:
    """Median and range of some numbers."""

    median: float
    least: float
    most: float


def spread(values: Sequence[float]) -> Spread:
    """Median, least and most of at least one number."""
    return Spread(statistics.median(values), min(values), max(values))


def ratios(ours: Sequence[float], theirs: Sequence[float]) -> list[float]:
    """Ours by theirs, pair by pair: what disturbs the machine for a minute disturbs both halves of a pair."""
    return [one / other for one, other in zip(ours, theirs, strict=True)]


def order(names: Sequence[str], turn: int) -> list[str]:
    """In which order turn number `turn`, from 0, takes what is compared: A B, then B A, so that none is favoured."""
    return list(names) if turn % 2 == 0 else list(reversed(names))
