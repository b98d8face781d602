"""Requirements on the machine, checked before anything is installed or built. Standard library only."""

from pathlib import Path

from common import preconditions
from common.errors import UserError
from common.paths import cache

from local_cluster import go_tools
from local_cluster.layout import HOME

# Measured: build caches, programs, images and one cluster take 16 GiB from nothing; a cluster alone takes 3.
COLD_GIB = 18
WARM_GIB = 5


RESOLV_CONFS = ("/etc/resolv.conf", "/run/systemd/resolve/resolv.conf")


def check(wheel: Path | None = None) -> None:
    """Raise UserError for: not root, no name server, too little disk, a wrong wheel."""
    preconditions.root()
    resolv_conf()
    preconditions.disk(cache(), WARM_GIB if go_tools.built() else COLD_GIB)
    preconditions.disk(HOME, WARM_GIB)
    if wheel:
        from local_cluster.binderhub_wheel import check_wheel

        check_wheel(wheel)


def resolv_conf() -> str:
    """The first file of name servers that a node can reach: one on loopback answers this machine alone."""
    for file in map(Path, RESOLV_CONFS):
        lines = file.read_text().splitlines() if file.exists() else []
        servers = [line.split()[1] for line in lines if line.startswith("nameserver ")]
        if servers and not any(server.startswith(("127.", "::1")) for server in servers):
            return str(file)
    raise UserError(
        "This machine's name server listens on loopback, where the cluster's nodes cannot reach it.",
        f"Write a file with a reachable name server as one of {', '.join(RESOLV_CONFS)}.",
    )
