"""Counts of blocks by kind, and the state of each page."""

from collections import Counter
from pathlib import Path

from common.paths import CHART

from documentation import record
from documentation.blocks import Block, Kind
from documentation.page_files import complaints, pages_in
from documentation.record import State

COUNTED = {
    Kind.RUN: "run",
    Kind.BACKGROUND: "run",
    Kind.OUTPUT: "compared",
    Kind.FILE: "saved",
    Kind.VALUES: "validated",
    Kind.MANIFEST: "validated",
    Kind.SKIP: "skipped with a reason",
}


def counts(blocks: list[Block]) -> Counter[str]:
    """How many blocks there are of each sort in `COUNTED`."""
    return Counter(COUNTED[block.kind] for block in blocks)


def states(folder: Path) -> dict[str, State]:
    """The state of each page with commands, by its path relative to `folder`."""
    records, chart = record.load(folder), record.hash_of(CHART)
    found = {}
    for path, page in pages_in(folder).items():
        if page.has_commands:
            name = str(path.relative_to(folder.resolve()))
            known = records.get(name)
            found[name] = known.state(record.content(folder, path, page), chart) if known else State.NEVER
    return found


def status(folder: Path) -> int:
    """Print the counts and the states; 1 if a block is unaccounted for, else 0."""
    pages = pages_in(folder)
    wrong = complaints(folder, pages)
    total = counts([block for page in pages.values() for block in page.blocks])
    for sort in dict.fromkeys(COUNTED.values()):
        print(f"{total[sort]:5} {sort}")
    print(f"{len(wrong):5} unaccounted")
    for complaint in wrong:
        print(f"      {complaint}")
    for name, state in states(folder).items():
        print(f"{state:>15}  {folder.name}/{name}")
    return 1 if wrong else 0
