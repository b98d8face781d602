"""scripts/down: remove the local cluster."""

import argparse

from common import preconditions
from common.progress import step


def parser() -> argparse.ArgumentParser:
    """The options."""
    options = argparse.ArgumentParser(
        prog="scripts/down",
        description="Remove the local cluster: its processes, namespaces, links, firewall rules, control groups, "
        "files, and put the kernel's settings back. The caches stay.",
    )
    options.add_argument("--force", action="store_true", help="remove it even while another command uses it")
    return options


def check(_options: argparse.Namespace) -> None:
    """Raise UserError unless this is root."""
    preconditions.root()


def packages(_options: argparse.Namespace) -> tuple[str, ...]:
    """The groups of Debian packages that the job needs."""
    return ()


def main(options: argparse.Namespace) -> int:
    """Remove whatever is there."""
    from local_cluster import cluster

    with step("removing the cluster"):
        cluster.down(force=options.force)
    return 0
