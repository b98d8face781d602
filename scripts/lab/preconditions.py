"""What the cluster needs of the machine, asked before anything is installed or built. Standard library only."""

from pathlib import Path

from machine import checks
from machine.paths import cache

from lab import tools
from lab.layout import HOME

# Measured: build caches, programs, images and one cluster take 16 GiB from nothing; a cluster alone takes 3.
COLD_GIB = 18
WARM_GIB = 5


def check(wheel: Path | None = None) -> None:
    """Raise Problem for: not root, no or an old Go when something is to be built, too little disk, a wrong wheel."""
    checks.root()
    if not tools.built():
        tools.check_go()
    checks.disk(cache(), WARM_GIB if tools.built() else COLD_GIB)
    checks.disk(HOME, WARM_GIB)
    if wheel:
        from lab.wheel import check_wheel

        check_wheel(wheel)
