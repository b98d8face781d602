"""Run pages with pytest, and record the outcomes."""

import datetime
import os
import signal
import subprocess
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from pathlib import Path

import pytest
import yaml
from common.errors import UserError
from common.paths import CHART, CLONE
from common.progress import say

from documentation import chain, record
from documentation.blocks import Page
from documentation.cluster import Cluster
from documentation.page_files import complaints, pages_in
from documentation.placeholders import Placeholder, declared
from documentation.pytest_plugin import Runner


def check(folder: Path, chosen: Sequence[Path], cluster: Callable[[], Cluster], *, write: bool) -> int:
    """Run the pages `chosen` of `folder` (all with commands, where none is) and return 0 if every one passed.

    With `write` the outcomes go to the record. Raises UserError for a page that is not there or cannot be read as a
    page, and, with `write`, for a page or a chart with changes that no commit has.
    """
    everything = pages_in(folder)
    pages = _chosen(everything, chosen)
    names = {page.name for page in pages.values()}
    wrong = [c for c in complaints(folder, everything) if not chosen or c.page in names]
    if wrong:
        raise UserError("\n".join(map(str, wrong)), "Correct the pages, then run this again.")
    if write:
        _refuse_uncommitted(folder, pages)
    needed = any(page.settings.cluster and page.has_commands for page in pages.values())
    place = cluster() if needed else None
    steps = {path: chain.steps(folder.resolve().name, page, everything.values()) for path, page in pages.items()}
    runner = Runner(pages, steps, place, _values(declared(folder)[0]), folder / "_build" / "failures")
    signal.signal(signal.SIGTERM, signal.default_int_handler)  # so that what runs is cleaned up
    code = pytest.main(
        [
            f"--config-file={CLONE / 'pyproject.toml'}",
            f"--rootdir={folder.resolve().parent}",
            *("--override-ini=addopts=", "--override-ini=timeout=0", "-p", "no:cacheprovider"),
            *("--verbose", "--tb=short", "-rs"),
            *map(str, pages),
        ],
        plugins=[runner],
    )
    if code == pytest.ExitCode.INTERRUPTED:
        raise KeyboardInterrupt
    if write:
        _write(folder, pages, runner)
    return int(code)


def _chosen(pages: Mapping[Path, Page], chosen: Sequence[Path]) -> dict[Path, Page]:
    for path in chosen:
        if path.resolve() not in pages:
            raise UserError(f"{path} is not a page.", "Name a Markdown file in the folder of pages, as docs/index.md.")
    if chosen:
        return {path.resolve(): pages[path.resolve()] for path in chosen}
    return {path: page for path, page in pages.items() if page.has_commands or page.complaints}


def _values(known: Mapping[str, Placeholder]) -> dict[str, str]:
    """The value of each placeholder: from the environment, else the declared one, with {clone} filled in."""
    found = {name: os.environ.get(name, placeholder.value) for name, placeholder in known.items()}
    return {name: value.replace("{clone}", str(CLONE)) for name, value in found.items() if value is not None}


def _refuse_uncommitted(folder: Path, pages: Mapping[Path, Page]) -> None:
    """Raise UserError unless the commit has these pages, and all else that a run depends on: chart, scripts, images."""
    root = Path(_git(folder, "rev-parse", "--show-toplevel"))
    changed = _git(root, "status", "--porcelain", "--untracked-files=no", "--", ".", f":!{folder / record.FILE}")
    changed += _git(root, "status", "--porcelain", "--", *map(str, pages), *([str(CHART)] if root == CLONE else []))
    if changed:
        raise UserError(f"A record names a commit, and these are in none:\n{changed}", "Commit them, then try again.")


def _write(folder: Path, pages: Mapping[Path, Page], runner: Runner) -> None:
    commit = _git(folder, "rev-parse", "HEAD")
    versions = _versions(runner.cluster) if runner.cluster else {}
    records = {}
    for path, page in pages.items():
        outcomes = tuple(replace(o, seconds=round(o.seconds, 1)) for o in runner.outcomes.get(page.name, ()))
        if not outcomes:
            continue
        place = runner.cluster if page.settings.cluster else None
        records[str(path.relative_to(folder.resolve()))] = record.Record(
            content=record.content(folder, path, page),
            chart=record.hash_of(CHART) if place else None,
            date=datetime.datetime.now(datetime.UTC).date().isoformat(),
            commit=commit,
            versions=versions if place else {},
            where=place.where if place else "no cluster",
            outcome="failed" if any(o.outcome in ("failed", "not reached") for o in outcomes) else "passed",
            seconds=round(sum(o.seconds for o in outcomes), 1),
            blocks=outcomes,
        )
    record.save(folder, records)
    say(f"Recorded in {folder / record.FILE}: {', '.join(records) or 'nothing'}")


def _versions(cluster: Cluster) -> dict[str, str]:
    chart = yaml.safe_load((CHART / "Chart.yaml").read_text())["version"]
    return {**cluster.versions(), "chart": chart, "engine": cluster.engine, "binderhub": cluster.binderhub}


def _git(folder: Path, *words: str) -> str:
    done = subprocess.run(["git", "-C", str(folder), *words], capture_output=True, text=True, check=False)
    if done.returncode:
        raise UserError(f"git says: {done.stderr.strip()}", "Record from a clone of this repository.")
    return done.stdout.strip()
