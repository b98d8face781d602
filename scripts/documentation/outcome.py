"""How one step of a page ended."""

from dataclasses import dataclass


@dataclass
class Outcome:
    """How one step ended: `passed`, `failed`, `skipped` (with the page's reason) or `not reached`; and its seconds."""

    line: int
    kind: str
    name: str
    outcome: str
    seconds: float
