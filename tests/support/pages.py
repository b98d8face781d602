"""Pages written on the spot, and run without a cluster."""

import os
from collections.abc import Callable, Mapping
from pathlib import Path
from textwrap import dedent

import pytest
from documentation.blocks import read
from documentation.page_runner import BlockFailed, PageRun

RunPage = Callable[..., BlockFailed | None]

MARK = f"PAGE_RUN_{os.getpid()}"
"""Tells the processes of pages that this process runs from those of other workers."""


@pytest.fixture
def scratch(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The folder that temporary files go to in this test."""
    folder = tmp_path / "scratch"
    folder.mkdir()
    monkeypatch.setattr("tempfile.tempdir", str(folder))
    monkeypatch.setattr("documentation.page_runner.PROCESS_PATIENCE_SECONDS", 0.5)
    monkeypatch.setattr("documentation.shell.MARK", MARK)
    return folder


@pytest.fixture
def run_page(scratch: Path, tmp_path: Path) -> RunPage:
    """Run a page to its end or first failure, which is returned, and assert that nothing is left."""

    def run(text: str, values: Mapping[str, str] | None = None, budget: int = 20) -> BlockFailed | None:
        front = f"---\nrun: {{cluster: false, budget: {budget}}}\n---\n"
        page = read("book/page.md", (front + dedent(text)).encode())
        assert not page.complaints, "\n".join(map(str, page.complaints))
        marks_before = marked_processes()
        run = PageRun(page, page.steps, None, values or {}, tmp_path / "bundles")
        failure = None
        try:
            for step in page.steps:
                run.execute(step)
            run.prove_clean()
        except BlockFailed as failed:
            failure = failed
        finally:
            run.close()
        assert not list(scratch.iterdir())
        assert marked_processes() <= marks_before
        return failure

    return run


def marked_processes() -> set[str]:
    """The process ids that carry a page's mark."""
    found = set()
    for environment in Path("/proc").glob("[0-9]*/environ"):
        try:
            if f"{MARK}=".encode() in environment.read_bytes():
                found.add(environment.parent.name)
        except OSError:
            continue
    return found
