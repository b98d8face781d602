"""The documentation's own pages, run as printed on the local cluster."""

import subprocess

import pytest
from common.paths import CLONE, SCRIPTS
from documentation.page_files import pages_in

PAGES = {path.relative_to(CLONE).as_posix(): page for path, page in pages_in(CLONE / "docs").items()}


@pytest.mark.local
@pytest.mark.usefixtures("local_cluster")
@pytest.mark.parametrize("page", sorted(name for name, page in PAGES.items() if page.has_commands))
def test_a_page_runs_as_printed(page: str, request: pytest.FixtureRequest) -> None:
    if request.config.getoption("--binderhub-wheel"):
        pytest.skip("the pages raise the local cluster themselves, and do so with the stand-in")
    changed = subprocess.run(
        ["git", "status", "--porcelain", "--", "scripts/local_cluster", "chart"],
        cwd=CLONE,
        capture_output=True,
        text=True,
        check=True,
    ).stdout
    assert not changed, "The tutorial clones the last commit and would raise another cluster than this. Commit first."

    done = subprocess.run([SCRIPTS / "docs", "check", page], cwd=CLONE, capture_output=True, text=True, check=False)

    assert done.returncode == 0, done.stdout[-5000:] + done.stderr[-2000:]
