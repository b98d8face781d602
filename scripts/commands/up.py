"""scripts/up: raise the local cluster."""

import argparse
from pathlib import Path

from common.progress import say


def parser() -> argparse.ArgumentParser:
    """The options."""
    options = argparse.ArgumentParser(
        prog="scripts/up",
        description="Raise a real Kubernetes with two nodes, two registries and a Git server on this machine, "
        "and say how to use it. Does nothing where it runs already; replaces one that was raised differently.",
        epilog='With eval "$(./scripts/up)" the shell it runs in is ready for kubectl and helm.',
    )
    options.add_argument(
        "--binderhub-wheel",
        metavar="FILE",
        type=Path,
        help="a wheel of the real BinderHub to put into its image; without it a stand-in serves",
    )
    options.add_argument("--force", action="store_true", help="replace it even while another command uses it")
    return options


def check(options: argparse.Namespace) -> None:
    """Raise UserError if the machine or the wheel is unsuitable."""
    from local_cluster import preconditions

    preconditions.check(options.binderhub_wheel)


def packages(_options: argparse.Namespace) -> tuple[str, ...]:
    """The groups of Debian packages that the job needs."""
    return ("lab",)


def main(options: argparse.Namespace) -> int:
    """Raise the cluster; what a shell needs goes to stdout, what a person reads to stderr."""
    from local_cluster import cluster, instructions

    cluster.up(options.binderhub_wheel, force=options.force)
    say(instructions.text())
    print(instructions.exports())
    return 0
