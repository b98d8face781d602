"""What a run has measured, as it is kept in docs/performance.json."""

import json
from collections.abc import Callable
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from common.errors import UserError


@dataclass
class Memory:
    """BinderHub's resident memory in MiB, before and after."""

    idle: float
    after: float
    builds: int
    hang_ups: int


@dataclass
class ImageCheck:
    """Seconds of builds, turn by turn, without and with the check of the image."""

    without: list[float]
    checked: list[float]


@dataclass
class Pushes:
    """What came of many pushes through one daemon."""

    asked: int
    seconds: list[float]
    """Of each that ended well."""
    hung: list[str]
    """The command of each that did not end."""
    failed: list[str]
    """Docker's last words of each."""
    took: float
    """Seconds for all."""


@dataclass
class Result:
    """All numbers of one run, and what they were measured on."""

    date: str
    commit: str
    where: str
    machine: str
    versions: dict[str, str]
    pairs: int
    rows: dict[str, dict[str, list[float]]] = field(default_factory=dict)
    """Of each row (see measure.rows) what each side took, turn by turn, in the row's unit."""
    faults: dict[str, dict[str, float | None]] = field(default_factory=dict)
    """Of each fault the seconds of each side; None where the stream was cut."""
    image_check: ImageCheck | None = None
    memory: Memory | None = None
    pushes: Pushes | None = None


def save(file: Path, result: Result) -> None:
    """Write it as JSON."""
    file.write_text(json.dumps(asdict(result), indent=2) + "\n")


def load(file: Path) -> Result:
    """Read what `save` wrote. Raises UserError where it is something else."""
    try:
        content = json.loads(file.read_text())
        parts: dict[str, Callable[..., Any]] = {"image_check": ImageCheck, "memory": Memory, "pushes": Pushes}
        for name, kind in parts.items():
            if content.get(name):
                content[name] = kind(**content[name])
        return Result(**content)
    except (OSError, ValueError, TypeError, AttributeError) as wrong:
        raise UserError(
            f"{file} holds no result of scripts/benchmark: {wrong}.", "Write it anew with ./scripts/benchmark --write."
        ) from wrong
