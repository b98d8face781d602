"""scripts/benchmark: the chart's build executor and upstream's class, side by side."""

import argparse
from pathlib import Path

from common.errors import UserError
from common.paths import CLONE
from common.progress import say

from commands import demo

CHOICES = ("overhead", "single", "eight", "cached", "viewers", "check", "faults", "memory")
EXTRA = ("pushes",)
PAGE_DATA = CLONE / "docs" / "performance.json"


def parser() -> argparse.ArgumentParser:
    """The options."""
    options = argparse.ArgumentParser(
        prog="scripts/benchmark",
        description="Install the chart twice on a real Kubernetes, once with its own build executor and once with "
        "upstream's class, have both do the same turn by turn, and show medians and ratios. What misses its bound is "
        "marked, and does not change the exit code. Without --context this raises the local cluster first. A whole "
        "run takes about 20 minutes on two processors; what it installs is removed at the end, also after Ctrl-C. The "
        "images that it pushed, about 400 small ones, stay in the registry.",
    )
    options.add_argument(
        "--only",
        metavar="ROW",
        action="append",
        choices=(*CHOICES, *EXTRA),
        default=[],
        help=f"measure this alone; may be repeated: {', '.join(CHOICES)}; or pushes, which a whole run leaves out: 300 "
        "images through one daemon, to see whether it hangs, in 20 minutes at most",
    )
    options.add_argument("--pairs", metavar="N", type=int, default=9, help="turns of each row (default: %(default)s)")
    options.add_argument("--output", metavar="FILE", type=Path, help="write all numbers to this file as JSON")
    options.add_argument(
        "--write", action="store_true", help="write them to docs/performance.json, from which the page is made"
    )
    options.add_argument("--show", metavar="FILE", type=Path, help="measure nothing; show the tables of such a file")
    demo.add_place(options)
    return options


def check(options: argparse.Namespace) -> None:
    """Raise UserError if options contradict each other, or the machine or the wheel is unsuitable."""
    if options.pairs < 1:
        raise UserError(f"--pairs is {options.pairs}.", "Name a number from 1.")
    if options.write and options.only:
        raise UserError("--write is for a whole run, and --only measures a part.", "Leave one of the two out.")
    if not options.show:
        demo.check(options)


def packages(options: argparse.Namespace) -> tuple[str, ...]:
    """The groups of Debian packages that the job needs."""
    return () if options.context or options.show else ("lab",)


def main(options: argparse.Namespace) -> int:
    """Measure, show, and write down."""
    from benchmarking import result, run
    from demonstration import target
    from local_cluster import cluster

    if options.show:
        run.show(result.load(options.show))
        return 0
    if options.context:
        where = target.named(options.context, options.registry, None, "HEAD", tuple(options.values))
        binderhub = "of the chart's image"
    else:
        cluster.up(options.binderhub_wheel, force=options.force)
        where, binderhub = target.local(None, "HEAD"), str(cluster.state()["binderhub"])
    measured = run.run(where, binderhub, set(options.only or CHOICES), options.pairs)
    for file in [options.output, PAGE_DATA if options.write else None]:
        if file:
            result.save(file, measured)
            say(f"Wrote {file}.")
    run.show(measured)
    return 0
