"""One run: what was chosen is measured, shown as tables, and written down."""

import os
import subprocess
import sys
from datetime import UTC, datetime
from pathlib import Path

import yaml
from firstimage.target import Target
from machine.paths import CHART, CLONE
from machine.say import say
from pages.cluster import LAB, UPSTREAM, Cluster
from rich.console import Console
from rich.table import Table

from measure import bench, compare, faults, growth, pushes
from measure.bench import Bench
from measure.result import Result
from measure.table import tables, verdict

WIDTH = 120  # where no terminal says how wide it is


def run(target: Target, binderhub: str, chosen: set[str], pairs: int) -> Result:
    """Measure what is chosen of measure.rows.CHOICES and EXTRA. `binderhub` says which one runs.

    Raises Problem where something fails that is not to; everything made on the cluster is removed in any case.
    """
    with bench.made(target) as place:
        result = _result(place, binderhub, pairs)
        idle = place.ours.memory()
        for names, measure in (
            ({"overhead", "single"}, compare.single),
            ({"cached"}, compare.cached),
            ({"viewers"}, compare.viewers),
            ({"eight"}, compare.eight),
        ):
            if chosen & names:
                result.rows |= measure(place, pairs)
        if "memory" in chosen:
            result.memory = growth.memory(place, idle)
        if "pushes" in chosen:
            result.pushes = pushes.pushes(place)
        if "faults" in chosen:  # last, since they take the daemons away
            result.faults = faults.faults(place)
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
