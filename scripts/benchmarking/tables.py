"""A result as lines of tables: for the terminal, and for docs/reference/performance.md."""

from dataclasses import dataclass

from benchmarking.measurements import ratios, spread
from benchmarking.result import Result
from benchmarking.rows import CUT_SECONDS, FAULTS, IMAGE_CHECK_SECONDS, MEMORY_RATIO, ROWS, SERVICE, UPSTREAM, Row

DIGITS = {"MiB": 0, "threads": 0, "ms": 1}


@dataclass(frozen=True)
class Line:
    """The cells of one line, and whether its bound was kept."""

    cells: tuple[str, ...]
    held: bool


@dataclass(frozen=True)
class Table:
    """Heads and lines, under a title."""

    title: str
    heads: tuple[str, ...]
    lines: tuple[Line, ...]

    @property
    def missed(self) -> int:
        """How many lines miss their bound."""
        return sum(not line.held for line in self.lines)


def tables(result: Result) -> list[Table]:
    """What was measured, without the tables of which nothing was."""
    every = [_compared(result), _image_check(result), _faults(result), _memory(result), _pushes(result)]
    return [table for table in every if table.lines]


def verdict(shown: list[Table]) -> str:
    """How many bounds are missed, as a sentence."""
    missed = sum(table.missed for table in shown)
    if not missed:
        return "All bounds are kept."
    return f"{missed} bound is missed." if missed == 1 else f"{missed} bounds are missed."


def _compared(result: Result) -> Table:
    lines = [
        _compare(row, result.rows[name][SERVICE], result.rows[name][UPSTREAM])
        for name, row in ROWS.items()
        if name in result.rows
    ]
    heads = ("What", "service", "upstream", "service / upstream", "Bound", "Kept")
    return Table("Median of all turns, with the least and the most", heads, tuple(lines))


def _compare(row: Row, ours: list[float], theirs: list[float]) -> Line:
    if row.most is not None:  # a difference, which has no ratio
        held = round(spread(ours).median, 2) <= row.most
        return _line(held, row.title, _text(ours, row.unit), _text(theirs, row.unit), "", f"≤ {row.most:g} {row.unit}")
    ratio = ratios(ours, theirs)
    held = round(spread(ratio).median, 2) <= row.ratio
    bound = f"ratio ≤ {row.ratio:g}"
    return _line(held, row.title, _text(ours, row.unit), _text(theirs, row.unit), _text(ratio, ""), bound)


def _image_check(result: Result) -> Table:
    lines = []
    check = result.image_check
    if check:
        added = [with_it - without for with_it, without in zip(check.checked, check.without, strict=True)]
        held = round(spread(added).median, 2) <= IMAGE_CHECK_SECONDS
        numbers = (_text(check.without, "s"), _text(check.checked, "s"), _text(added, "s"))
        lines.append(_line(held, "One build of an image with a JupyterHub", *numbers, f"≤ {IMAGE_CHECK_SECONDS} s"))
    heads = ("Check of the image, service", "without", "with", "difference", "Bound", "Kept")
    return Table("The check of an image", heads, tuple(lines))


def _faults(result: Result) -> Table:
    lines = []
    for name, fault in FAULTS.items():
        if name in result.faults:
            ours, theirs = (_end(result.faults[name][side]) for side in (SERVICE, UPSTREAM))
            seconds = result.faults[name][SERVICE]
            held = seconds is not None and seconds <= fault.most
            lines.append(_line(held, fault.title, fault.since, ours, theirs, f"≤ {fault.most:g} s"))
    heads = ("Fault", "Seconds since", "service", "upstream", "Bound", "Kept")
    return Table("From a fault to the end of the stream", heads, tuple(lines))


def _memory(result: Result) -> Table:
    lines = []
    memory = result.memory
    if memory:
        grown = memory.after / memory.idle
        what = f"After {memory.builds} builds and {memory.hang_ups} clients that hung up"
        numbers = (f"{memory.idle:.0f} MiB", f"{memory.after:.0f} MiB", f"{grown:.2f}")
        lines.append(_line(round(grown, 2) <= MEMORY_RATIO, what, *numbers, f"ratio ≤ {MEMORY_RATIO:g}"))
    heads = ("Memory of BinderHub, service", "idle", "afterwards", "afterwards / idle", "Bound", "Kept")
    return Table("Memory", heads, tuple(lines))


def _pushes(result: Result) -> Table:
    lines = []
    pushes = result.pushes
    if pushes:
        well = len(pushes.seconds)
        took = _text(pushes.seconds, "s") if pushes.seconds else ""
        numbers = (f"{well} of {pushes.asked}", str(len(pushes.hung)), str(len(pushes.failed)), took)
        lines.append(_line(well == pushes.asked, "Images of three small layers", *numbers, "all end well"))
    heads = ("Pushes through one daemon", "ended well", "hung", "failed", "seconds of each", "Bound", "Kept")
    return Table("Pushes", heads, tuple(lines))


def _line(held: bool, *cells: str) -> Line:
    return Line((*cells, "yes" if held else "NO"), held)


def _end(seconds: float | None) -> str:
    return f"open after {CUT_SECONDS} s" if seconds is None else f"{seconds:.1f} s"


def _text(values: list[float], unit: str) -> str:
    found = spread(values)
    digits = DIGITS.get(unit, 2)
    numbers = [f"{number:.{digits}f}" for number in (found.median, found.least, found.most)]
    return f"{numbers[0]}{f' {unit}' if unit else ''} ({numbers[1]} to {numbers[2]})"
