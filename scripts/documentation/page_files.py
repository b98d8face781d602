"""All pages of a folder."""

from collections.abc import Mapping
from pathlib import Path

from documentation import chain, placeholders
from documentation.blocks import Page, read
from documentation.error import Complaint


def pages_in(folder: Path) -> dict[Path, Page]:
    """Every Markdown page below `folder`, read, by its absolute path; folders that begin with `_` hold none."""
    folder = folder.resolve()
    found = {}
    for file in sorted(folder.rglob("*.md")):
        inside = file.relative_to(folder)
        if not any(part.startswith(("_", ".")) for part in inside.parts):
            found[file] = read(f"{folder.name}/{inside}", file.read_bytes())
    return found


def complaints(folder: Path, pages: Mapping[Path, Page]) -> list[Complaint]:
    """What is wrong in all of `pages` of `folder`, placeholders as well, in the order of pages and lines."""
    wrong = [complaint for page in pages.values() for complaint in page.complaints]
    wrong += chain.complaints(folder.resolve().name, pages.values())
    return sorted(wrong + placeholders.complaints(folder, pages.values()))
