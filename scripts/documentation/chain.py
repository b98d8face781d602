"""Blocks of other pages that a page runs before and after its own: a page on builds that fail needs an installation."""

from collections.abc import Iterable

from documentation.blocks import Kind, Page, Step
from documentation.error import Complaint


def steps(folder: str, page: Page, pages: Iterable[Page]) -> tuple[Step, ...]:
    """All that is run for a page, in order. `folder` is what the names of `pages` begin with.

    Raises KeyError for a block that `complaints` complains about.
    """
    known = _named(folder, pages)
    before, afterwards = ([known[name] for name in names] for names in (page.settings.before, page.settings.afterwards))
    return (*before, *page.steps, *afterwards)


def complaints(folder: str, pages: Iterable[Page]) -> list[Complaint]:
    """A complaint for each block that is named and not there, or that is not run."""
    pages = list(pages)
    known = _named(folder, pages)
    return [
        Complaint(page.name, 1, f"`{name}` under `run` is no block that runs. Name one as `how-to/install.md#install`.")
        for page in pages
        for name in page.settings.borrowed
        if name not in known
    ]


def _named(folder: str, pages: Iterable[Page]) -> dict[str, Step]:
    return {
        f"{page.name.removeprefix(f'{folder}/')}#{step.block.name}": step
        for page in pages
        for step in page.steps
        if step.block.name and step.block.kind is not Kind.SKIP
    }
