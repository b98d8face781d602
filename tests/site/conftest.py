"""The site, built once and served, and a browser to look at it."""

import functools
import os
import shutil
import subprocess
import threading
from collections.abc import Callable, Iterator
from http.server import ThreadingHTTPServer
from pathlib import Path

import pytest
from common.paths import CLONE
from documentation.site import QuietHandler
from playwright.sync_api import Browser, sync_playwright

# Without them, Chromium looks up hosts that a test machine need not reach.
FLAGS = (
    *("--headless", "--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run"),
    *("--disable-background-networking", "--disable-component-update", "--disable-sync"),
)

Build = Callable[[Path, Path], subprocess.CompletedProcess[str]]


@pytest.fixture(scope="session")
def build() -> Build:
    """Build a folder of pages into another folder, with the command that everybody uses."""

    def run(folder: Path, output: Path) -> subprocess.CompletedProcess[str]:
        words = ["--folder", str(folder), "build", "--output", str(output)]
        return subprocess.run(
            [str(CLONE / "scripts" / "docs"), *words],
            env={key: value for key, value in os.environ.items() if key != "READTHEDOCS_CANONICAL_URL"},
            capture_output=True,
            text=True,
            check=False,
        )

    return run


@pytest.fixture(scope="session")
def site(build: Build, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder of the built site; the folder `doctrees` beside it holds what Sphinx read."""
    output = tmp_path_factory.mktemp("site") / "html"
    done = build(CLONE / "docs", output)
    assert done.returncode == 0, done.stderr
    assert "WARNING" not in done.stderr
    return output


@pytest.fixture
def copy(tmp_path: Path) -> Path:
    """A copy of docs/ to spoil, with the scripts beside it."""
    folder = tmp_path / "docs"
    shutil.copytree(CLONE / "docs", folder, ignore=shutil.ignore_patterns("_build"))
    (tmp_path / "scripts").symlink_to(CLONE / "scripts")
    return folder


@pytest.fixture(scope="session")
def address(site: Path) -> Iterator[str]:
    """Where the site is served."""
    server = ThreadingHTTPServer(("127.0.0.1", 0), functools.partial(QuietHandler, directory=str(site)))
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    yield f"http://127.0.0.1:{server.server_port}"
    server.shutdown()
    thread.join()
    server.server_close()


@pytest.fixture(scope="module")  # while it is open, an event loop runs, which tests of other modules could not bear
def browser() -> Iterator[Browser]:
    """Debian's Chromium."""
    with sync_playwright() as playwright:
        chromium = playwright.chromium.launch(executable_path="/usr/bin/chromium", args=list(FLAGS))
        yield chromium
        chromium.close()
