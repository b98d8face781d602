"""Where things are kept: the clone, and the cache that outlives it."""

import os
from pathlib import Path

CLONE = Path(__file__).resolve().parents[2]
SCRIPTS = CLONE / "scripts"
CHART = CLONE / "chart"
LOCK_FILE = CLONE / "requirements.lock"


def cache() -> Path:
    """The folder that outlives a clone (`$XDG_CACHE_HOME`, else ~/.cache): environments, binaries, images."""
    base = os.environ.get("XDG_CACHE_HOME") or str(Path.home() / ".cache")
    return Path(base) / "binderhub-service"
