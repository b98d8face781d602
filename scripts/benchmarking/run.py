"""One run: what was chosen is measured, shown as tables, and written down."""

import os
import subprocess
import sys
from datetime import UTC, datetime
from pathlib import Path

import yaml
from common.paths import CHART, CLONE
from common.progress import say
from demonstration.target import Target
from documentation.cluster import LAB, UPSTREAM, Cluster
from rich.console import Console
from rich.table import Table

from benchmarking import comparison, failures, image_check, memory, push_check, setup
from benchmarking.result import Result
from benchmarking.setup import Bench
from benchmarking.tables import tables, verdict

WIDTH = 120  # where no terminal says how wide it is


def run(target: Target, binderhub: str, chosen: set[str], pairs: int) -> Result:
    """Measure what is chosen of measure.rows.CHOICES and EXTRA. `binderhub` says which one runs.

    Raises UserError where something fails that is not to; everything made on the cluster is removed in any case.
    """
    with setup.made(target) as place:
        result = _result(place, binderhub, pairs)
        idle = place.ours.memory()
        for names, measure in (
            ({"overhead", "single"}, comparison.single),
            ({"cached"}, comparison.cached),
            ({"viewers"}, comparison.viewers),
            ({"eight"}, comparison.eight),
        ):
            if chosen & names:
                result.rows |= measure(place, pairs)
        if "check" in chosen:
            result.image_check = image_check.image_check(place, pairs)
        if "memory" in chosen:
            result.memory = memory.memory(place, idle)
        if "pushes" in chosen:
            result.pushes = push_check.pushes(place)
        if "faults" in chosen:  # last, since they take the daemons away
            result.faults = failures.faults(place)
    return result


def show(result: Result) -> None:
    """Print the tables; what misses its bound is marked."""
    console = Console(highlight=False, width=None if sys.stdout.isatty() else WIDTH)
    every = tables(result)
    for table in every:
        shown = Table(*table.heads, title=table.title, title_justify="left")
        for line in table.lines:
            shown.add_row(*line.cells, style="" if line.held else "bold red")
        console.print(shown)
    say(verdict(every))


def _result(place: Bench, binderhub: str, pairs: int) -> Result:
    target = place.target
    local = bool(target.authority)
    cluster = Cluster(
        Path(target.kubeconfig), target.context, path=f"{Path(target.kubectl).parent}:{os.environ['PATH']}"
    )
    chart = yaml.safe_load((CHART / "Chart.yaml").read_text())["version"]
    return Result(
        date=f"{datetime.now(tz=UTC):%Y-%m-%d}",
        commit=_git("rev-parse", "HEAD") + ("-changed" if _git("status", "--porcelain", "--", str(CHART)) else ""),
        where=LAB if local else UPSTREAM,
        machine=_machine(place, local=local),
        versions={**cluster.versions(), "chart": chart, "binderhub": binderhub},
        pairs=pairs,
    )


def _machine(place: Bench, *, local: bool) -> str:
    """Processors and memory of what builds; the local cluster's nodes share this machine."""
    if local:
        memory = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
        return f"one machine with {os.cpu_count()} processors and {memory / (1 << 30):.0f} GiB for all nodes"
    (node,) = [
        one
        for one in place.api.get("/api/v1/nodes")["items"]
        if one["metadata"]["labels"].get("kubernetes.io/hostname") == place.node
    ]
    capacity = node["status"]["capacity"]
    return f"a node with {capacity['cpu']} processors and {int(capacity['memory'].removesuffix('Ki')) >> 20} GiB"


def _git(*arguments: str) -> str:
    done = subprocess.run(["git", *arguments], cwd=CLONE, capture_output=True, text=True, check=False)
    return done.stdout.strip()
