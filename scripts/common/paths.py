"""Where things are kept: the clone, and the cache that outlives it."""

import os
import shutil
import time
from pathlib import Path

CLONE = Path(__file__).resolve().parents[2]
SCRIPTS = CLONE / "scripts"
CHART = CLONE / "chart"
LOCK_FILE = CLONE / "requirements.lock"


def cache() -> Path:
    """The folder that outlives a clone (`$XDG_CACHE_HOME`, else ~/.cache): environments, binaries, images."""
    base = os.environ.get("XDG_CACHE_HOME") or str(Path.home() / ".cache")
    return Path(base) / "binderhub-service"


KEPT_SECONDS = 14 * 24 * 3600
"""How long a folder of the cache stays that nothing uses."""


def is_complete(folder: Path) -> bool:
    """Whether a folder of the cache was made to its end; asking counts as use."""
    mark = folder / "complete"
    if not mark.exists():
        return False
    mark.touch()
    return True


def mark_complete(folder: Path, siblings: str) -> None:
    """Say that `folder` is whole, and remove those of the cache that match `siblings` and have long not been used."""
    (folder / "complete").touch()
    for other in cache().glob(siblings):
        mark = other / "complete"
        if mark.exists() and time.time() - mark.stat().st_mtime > KEPT_SECONDS:
            shutil.rmtree(other, ignore_errors=True)
