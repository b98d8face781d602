"""Words in blocks that readers replace with their own: declared once, shown to readers, filled in a run."""

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path

import yaml

from documentation.blocks import Block, Page
from documentation.error import Complaint

FILE = "placeholders.yaml"
_WORD = re.compile(r"\bYOUR_[A-Z0-9_]+\b")


@dataclass(frozen=True)
class Placeholder:
    """A word to replace: what it means, an example for readers, the value that a run on the lab fills in."""

    name: str
    meaning: str
    example: str
    value: str | None


def declared(folder: Path) -> tuple[dict[str, Placeholder], list[Complaint]]:
    """The placeholders declared in `folder`/placeholders.yaml, by name, and what is wrong with the declaration."""
    file = folder / FILE
    if not file.exists():
        return {}, []
    content = yaml.safe_load(file.read_text()) or {}
    found, complaints = {}, []
    for name, entry in content.items():
        keys = set(entry) if isinstance(entry, dict) else set()
        if not _WORD.fullmatch(name) or not {"meaning", "example"} <= keys <= {"meaning", "example", "value"}:
            line = next((i for i, text in enumerate(file.read_text().splitlines(), 1) if text.startswith(name)), 1)
            what = f"`{name}` is not declared right. Name it YOUR_…, with `meaning`, `example` and perhaps `value`."
            complaints.append(Complaint(str(file), line, what))
        else:
            found[name] = Placeholder(name, entry["meaning"], entry["example"], entry.get("value"))
    return found, complaints


def used(block: Block) -> dict[str, int]:
    """The placeholders in a block: name to the first line of the page (from 1) that has it."""
    found: dict[str, int] = {}
    for offset, line in enumerate(block.text.splitlines(), 1):
        for name in _WORD.findall(line):
            found.setdefault(name, block.line + offset)
    return found


def complaints(folder: Path, pages: Iterable[Page]) -> list[Complaint]:
    """What is wrong between the declaration in `folder` and all its pages: undeclared words, and words nobody uses."""
    known, wrong = declared(folder)
    seen: set[str] = set()
    for page in pages:
        for block in page.blocks:
            for name, line in used(block).items():
                seen.add(name)
                if name not in known:
                    what = f"The placeholder {name} is not declared. Add it to {FILE}."
                    wrong.append(Complaint(page.name, line, what))
    for name in known.keys() - seen:
        lines = (folder / FILE).read_text().splitlines()
        line = next(i for i, text in enumerate(lines, 1) if text.startswith(name))
        wrong.append(Complaint(str(folder / FILE), line, f"No page uses the placeholder {name}. Remove it."))
    return wrong


def fill(text: str, values: Mapping[str, str]) -> str:
    """`text` with each placeholder replaced by its value; one without a value stays as it is."""
    return _WORD.sub(lambda found: values.get(found.group(), found.group()), text)
