"""The Git server's repositories: each folder of tests/repositories, as a bare repository with one commit."""

import os
import subprocess
from pathlib import Path

from common.paths import CLONE

from local_cluster.layout import HOME

SOURCES = CLONE / "tests" / "repositories"
FOLDER = HOME / "git"

# The same content gives the same commit on every machine.
_IDENTITY = {
    f"GIT_{role}_{key}": value
    for role in ("AUTHOR", "COMMITTER")
    for key, value in {
        "NAME": "binderhub-service lab",
        "EMAIL": "lab@lab.test",
        "DATE": "2026-01-01T00:00:00+00:00",
    }.items()
}


def make() -> None:
    """Make or refresh `FOLDER/<name>.git` from every folder below `SOURCES`; a change adds a commit to main."""
    for source in sorted(path for path in SOURCES.iterdir() if path.is_dir()):
        repository = FOLDER / f"{source.name}.git"
        if not repository.exists():
            repository.mkdir(parents=True)
            _git(repository, source, "init", "--quiet", "--bare", "--initial-branch=main")
        _git(repository, source, "add", "--all", "--force", ".")
        if not _unchanged(repository, source):
            _git(repository, source, "commit", "--quiet", "--message", f"The repository {source.name}")


def _unchanged(repository: Path, source: Path) -> bool:
    head = subprocess.run(
        ["git", "--git-dir", str(repository), "diff-index", "--quiet", "--cached", "HEAD"],
        capture_output=True,
        check=False,
        cwd=source,
    )
    return head.returncode == 0


def _git(repository: Path, source: Path, *arguments: str) -> None:
    where = [] if arguments[0] == "init" else ["-c", "core.bare=false", "--work-tree", str(source)]
    subprocess.run(
        ["git", "-c", "safe.directory=*", "--git-dir", str(repository), *where, *arguments],
        check=True,
        cwd=source,
        env={**os.environ, **_IDENTITY, "GIT_CONFIG_NOSYSTEM": "1", "GIT_CONFIG_GLOBAL": os.devnull},
    )
