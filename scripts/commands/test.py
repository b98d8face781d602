"""scripts/test: all tests, on the local cluster or another."""

import argparse
import subprocess
import sys

from machine.paths import CLONE

FORWARDS = True


def parser() -> argparse.ArgumentParser:
    """The options; what is not known here goes to pytest."""
    options = argparse.ArgumentParser(
        prog="scripts/test",
        description="Run the tests. The local cluster is raised when the first test asks for it, and removed at the "
        "end unless it ran before. All further arguments go to pytest: ./scripts/test tests/chart -k labels",
        epilog="With --context, the tests that install the chart need --registry HOST/PATH and, in the environment, "
        "REGISTRY_USERNAME and REGISTRY_PASSWORD; --values FILE adds what the chart needs there, "
        "--repository URL is what is built.",
        allow_abbrev=False,
    )
    options.add_argument(
        "--context",
        metavar="NAME",
        help="run on the cluster of this kubeconfig context; tests of the local one are skipped",
    )
    return options


def check(options: argparse.Namespace) -> None:
    """Raise Problem where this machine cannot have the local cluster."""
    if not options.context:
        from lab import preconditions

        preconditions.check()


def packages(_options: argparse.Namespace) -> tuple[str, ...]:
    """The groups of Debian packages that the job needs."""
    return ("browser", "docs", "lab")


def main(options: argparse.Namespace) -> int:
    """Run pytest and return its code."""
    from lab import mirror, substitutes, tools

    tools.build()  # before pytest, where it would be silent, and counted as a test's time
    if not options.context:
        mirror.fill(substitutes.images())
    context = [f"--context={options.context}"] if options.context else []
    return subprocess.run(
        [sys.executable, "-m", "pytest", *context, *options.further], cwd=CLONE, check=False
    ).returncode
