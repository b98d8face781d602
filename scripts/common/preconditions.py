"""Checks before anything is installed."""

import os
import shutil
from pathlib import Path

from common.errors import UserError

GIB = 1 << 30


def root() -> None:
    """Raise UserError unless this process may make namespaces, bridges and mounts."""
    if os.geteuid() != 0:
        raise UserError(
            "The local cluster needs root: it makes network namespaces, a bridge and mounts.",
            "Run this as root, or use your own cluster with --context NAME if the command has that option.",
        )


def disk(folder: Path, needed: int) -> None:
    """Raise UserError unless the disk of `folder`, or of the nearest parent that exists, has `needed` GiB free."""
    while not folder.exists():
        folder = folder.parent
    free = shutil.disk_usage(folder).free / GIB
    if free < needed:
        raise UserError(
            f"The disk of {folder} has {free:.1f} GiB free, and {needed} GiB are needed.",
            "Free some, or point XDG_CACHE_HOME at a larger disk, then run this again.",
        )
