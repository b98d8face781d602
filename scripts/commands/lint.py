"""scripts/lint: everything that reads the files without running them."""

import argparse

from common.errors import UserError


def parser() -> argparse.ArgumentParser:
    """The options."""
    options = argparse.ArgumentParser(
        prog="scripts/lint",
        description="Read all files for mistakes, without running any: Python (ruff, mypy), shell in scripts and on "
        "pages (shellcheck), YAML, spelling, the chart (helm lint), workflows (actionlint, zizmor).",
    )
    options.add_argument("checks", nargs="*", metavar="CHECK", help="the checks to run, by name (default: all)")
    options.add_argument("--list", action="store_true", help="print the names of the checks and do nothing else")
    options.add_argument("--fix", action="store_true", help="let ruff fix what it can first")
    return options


def check(_options: argparse.Namespace) -> None:
    """There is nothing to check beforehand."""


def packages(_options: argparse.Namespace) -> tuple[str, ...]:
    """The groups of Debian packages that the job needs."""
    return ("lab",)  # helm and actionlint are built as the cluster's programs are


def main(options: argparse.Namespace) -> int:
    """Run the checks. Returns 1 if any of them fails."""
    from linting.checks import CHECKS, run

    if options.list:
        print("\n".join(CHECKS))
        return 0
    if unknown := sorted(set(options.checks) - CHECKS.keys()):
        raise UserError(f"There is no check {', '.join(unknown)}.", "See `scripts/lint --list`.")
    return run(options.checks or list(CHECKS), fix=options.fix)
