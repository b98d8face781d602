"""A mistake at a line of a page."""

from dataclasses import dataclass


@dataclass(frozen=True, order=True)
class Complaint:
    """A sentence or two about one line (from 1) of one page; the page is named as a person would open it."""

    page: str
    line: int
    what: str

    def __str__(self) -> str:
        """`page:line: what`, the form that editors make a link of."""
        return f"{self.page}:{self.line}: {self.what}"
