"""The record of runs, docs/verification.json: what was run, when, with what, and how it ended."""

import hashlib
import json
from dataclasses import asdict, dataclass
from enum import StrEnum
from pathlib import Path
from typing import Any

from documentation.blocks import Page
from documentation.outcome import Outcome

FILE = "verification.json"


class State(StrEnum):
    """What the record says of a page as it is now."""

    VERIFIED = "verified"
    CHANGED = "changed since"
    FAILED = "failed"
    NEVER = "not yet run"


@dataclass(frozen=True)
class Record:
    """The last recorded run of one page."""

    content: str
    """Hash of the page that was run, and of the pages from which it borrows blocks."""
    chart: str | None
    """Hash of the chart that was run; None where the page needs no cluster."""
    date: str
    """Of the run, UTC, as YYYY-MM-DD."""
    commit: str
    versions: dict[str, str]
    """Of kubernetes, helm, chart, engine and binderhub; empty where the page needs no cluster."""
    where: str
    outcome: str
    """`passed` or `failed`."""
    seconds: float
    blocks: tuple[Outcome, ...]

    def state(self, content: str, chart: str) -> State:
        """What this run says of a page and chart with these hashes."""
        if self.content != content or (self.chart is not None and self.chart != chart):
            return State.CHANGED
        return State.VERIFIED if self.outcome == "passed" else State.FAILED


def load(folder: Path) -> dict[str, Record]:
    """The records in `folder`/verification.json, by page relative to `folder`; none where there is no such file."""
    file = folder / FILE
    if not file.exists():
        return {}
    return {page: _record(entry) for page, entry in json.loads(file.read_text()).items()}


def save(folder: Path, new: dict[str, Record]) -> None:
    """Write `new` over the records of the same pages, and drop records of pages that are no more."""
    kept = {page: record for page, record in load(folder).items() if (folder / page).exists()}
    entries = {page: asdict(record) for page, record in sorted((kept | new).items())}
    (folder / FILE).write_text(json.dumps(entries, indent=2, ensure_ascii=False) + "\n")


def hash_of(path: Path) -> str:
    """The SHA-256 of a file, or of a folder's files with their names; Python's caches are not of the folder."""
    if path.is_file():
        return hashlib.sha256(path.read_bytes()).hexdigest()
    digest = hashlib.sha256()
    for file in sorted(file for file in path.rglob("*") if file.is_file() and "__pycache__" not in file.parts):
        name, content = str(file.relative_to(path)).encode(), file.read_bytes()
        digest.update(b"%d %s %d " % (len(name), name, len(content)) + content)
    return digest.hexdigest()


def content(folder: Path, path: Path, page: Page) -> str:
    """The hash of a page of `folder`, and of the pages from which it borrows blocks."""
    others = sorted({name.partition("#")[0] for name in page.settings.borrowed})
    if not others:
        return hash_of(path)
    hashes = [hash_of(file) for file in (path, *(folder / other for other in others))]
    return hashlib.sha256("".join(hashes).encode()).hexdigest()


def _record(entry: dict[str, Any]) -> Record:
    return Record(**{**entry, "blocks": tuple(Outcome(**block) for block in entry["blocks"])})
