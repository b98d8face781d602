"""A result as a run would leave it, with numbers that are easily checked in the head."""

from benchmarking.result import Memory, Result

ROWS = {
    "overhead": {"service": [0.1, 0.3, 0.2], "upstream": [1.0, 1.0, 1.0]},
    "single": {"service": [4.0, 5.0, 9.0], "hand": [3.9, 4.7, 8.8], "upstream": [8.0, 5.0, 6.0]},
    "cached": {"service": [30.0], "upstream": [40.0]},
}


def result(**changed: object) -> Result:
    """One that keeps all bounds; other fields where they are named."""
    given: dict[str, object] = {
        "date": "2026-11-24",
        "commit": "0123456789abcdef",
        "where": "lab with substitutes",
        "machine": "one machine with 2 processors and 24 GiB for all nodes",
        "versions": {"kubernetes": "1.37.2", "helm": "4.3.1", "chart": "0.1.0", "binderhub": "stand-in"},
        "pairs": 3,
        "rows": ROWS,
        "faults": {"step": {"service": 1.25, "upstream": None}, "image": {"service": 21.0, "upstream": 22.0}},
        "memory": Memory(idle=100.0, after=105.0, builds=200, hang_ups=500),
    }
    return Result(**{**given, **changed})  # type: ignore[arg-type]
