"""The program of the container `fetch`: fetches the repository with repo2docker's own content providers.

Its source is an argument of `python3 -I -c`: isolated, so that Python imports nothing from the working directory, from
the repository, or from where PYTHON* variables point. Of the chart's modules it can import only those that
come with it: see `command` in __init__.py.

Its arguments are the word of this container, the word for `builder`, the folder to fetch into, the limit of its size in
bytes (0 for none), and the arguments of repo2docker. Two files beside that folder show its progress: `fetching` is
locked while this program runs, however it ends, and `fetched` exists once the repository is fetched and checked.
"""

import contextlib
import gc
import io
import os
import re
import ssl
import subprocess
import sys
import threading
import time
from pathlib import Path
from typing import Any

from binderhub_service.programs.shared import MEMORY_LIMIT, hold_lock, known_arguments, report

AUTHORITIES = "BINDERHUB_SERVICE_AUTHORITIES"
"""Names a file with certificates of authorities that are trusted in addition to those of the image."""
LINK_LEAVES = 76
"""Exit code for a symbolic link that leaves the repository where repo2docker reads configuration."""
TOO_LARGE = 77
"""Exit code for a repository that exceeds the limit."""
REFUSED_ARGUMENTS = 78
"""Exit code for arguments that repo2docker does not accept; EX_CONFIG of sysexits.h."""
SIZE_SECONDS = 1.0
LEAST_BYTES = 4096
COMMIT = re.compile("[0-9a-f]{40}|[0-9a-f]{64}")
CONFIGURATION = (".", "binder", ".binder")
"""Folders in which repo2docker looks for configuration: buildpacks/base.py, `binder_dir` and `binder_path`."""
CERTIFICATE_VARIABLES = ("GIT_SSL_CAINFO", "REQUESTS_CA_BUNDLE", "SSL_CERT_FILE")
"""Variables by which git, requests and Python each find their one file with trusted authorities."""


def trust_authorities(beside: Path) -> None:
    """Make git, requests and Python trust the authorities of this release, too."""
    if AUTHORITIES not in os.environ:
        return
    named = [os.environ.get(name) for name in (*CERTIFICATE_VARIABLES, AUTHORITIES)]
    own = [ssl.get_default_verify_paths().cafile, "/etc/ssl/certs/ca-certificates.crt"]
    files = dict.fromkeys(Path(one).resolve() for one in own + named if one)
    trusted = beside / "authorities.crt"
    trusted.write_bytes(b"\n".join(file.read_bytes() for file in files if file.is_file()))
    os.environ.update(dict.fromkeys(CERTIFICATE_VARIABLES, str(trusted)))


def link_that_leaves(repository: Path, subfolder: str = "") -> str:
    """The first link through which repo2docker would read outside the repository; empty if there is none.

    All entries of a folder count, not only known names: a later repo2docker may read more of them.
    """
    root = os.path.realpath(repository)

    def leaves(path: str) -> bool:
        try:
            real = os.path.realpath(path, strict=True)
        except FileNotFoundError:
            real = os.path.realpath(path)
        except OSError:
            # A path that is too long from the root may still be valid from the repository.
            return True
        return real != root and not real.startswith(root + os.sep)

    for folder in CONFIGURATION:
        path = os.path.normpath(os.path.join(root, subfolder, folder))
        if leaves(path):
            return os.path.relpath(path, root)
        if not os.path.isdir(path):
            continue
        for entry in sorted(os.listdir(path)):
            if os.path.islink(os.path.join(path, entry)) and leaves(os.path.join(path, entry)):
                return os.path.relpath(os.path.join(path, entry), root)
    return ""


def size(folder: Path) -> int:
    """Bytes of the files below `folder`: their size, or what they take on the disk, whichever is more.

    git writes sparse files, and the daemon's copy of them is not sparse. Each file and folder counts as at least
    `LEAST_BYTES`, because even empty ones use up inodes. Files that vanish meanwhile do not count.
    """
    total = 0
    for path, _, files in os.walk(folder):
        for name in (".", *files):
            try:
                found = os.lstat(os.path.join(path, name))
                total += max(LEAST_BYTES, found.st_size, found.st_blocks * 512)
            except FileNotFoundError:
                continue
            except OSError:  # its path is too long
                total += LEAST_BYTES
    return total


def end_when_too_large(word: str, folder: Path, limit: int) -> None:
    """End this process, and with it the container and git, once the folder exceeds `limit` bytes."""
    while True:
        time.sleep(SIZE_SECONDS)
        refuse_too_large(word, folder, limit)


def refuse_too_large(word: str, folder: Path, limit: int) -> None:
    """End this process if the folder exceeds `limit` bytes."""
    if limit and size(folder) > limit:
        report(word, limit=limit)
        os._exit(TOO_LARGE)


def fetch_unadvertised_commits() -> None:
    """Make repo2docker fetch a commit that no branch or tag leads to, such as that of a pull request.

    Replaces `check_ref` in contentproviders/git.py, which accepts any commit, so that `git reset` fails later. Delete
    this once repo2docker fetches such commits itself.
    """
    try:
        from repo2docker.contentproviders import git

        found = git.check_ref
    except (ImportError, AttributeError):
        return  # another repo2docker, which finds refs in its own way

    def check_ref(ref: str, cwd: str) -> Any:  # noqa: ANN401 - repo2docker's answer
        is_here = ["git", "cat-file", "-e", f"{ref}^{{commit}}"]
        # Its complaint would stand in the log like that of a fetch that failed.
        if COMMIT.fullmatch(ref) and subprocess.run(is_here, cwd=cwd, stderr=subprocess.DEVNULL).returncode:
            subprocess.run(["git", "fetch", "--quiet", "origin", ref], cwd=cwd)
        return found(ref, cwd)

    git.check_ref = check_ref


def configured(word: str, arguments: list[str]) -> Any:  # noqa: ANN401 - a Repo2Docker
    """repo2docker with these arguments. Ends this process, with a report, if it does not accept one."""
    # Without garbage collection, loading takes a fifth less processor time, which other builds on a busy node need.
    gc.disable()
    from repo2docker.__main__ import make_r2d

    gc.enable()
    known = known_arguments(arguments)
    if known != arguments:
        print(f"This repo2docker does not know {MEMORY_LIMIT}, which is left out: dockerApi.resources limits builds.")
    said = io.StringIO()
    try:
        with contextlib.redirect_stderr(said):
            return make_r2d(["--no-build", *known])
    except SystemExit:
        text = said.getvalue().strip()
        print(text, file=sys.stderr)
        report(word, refused=text.rpartition("error: ")[2][-1000:] or "it does not say which")
        os._exit(REFUSED_ARGUMENTS)


def main(word: str, fetched: str, folder: str, limit: str, *arguments: str) -> None:
    """Fetch. Exits with 0 if the repository is fetched and checked."""
    path = Path(folder)
    beside = path.parent
    hold_lock(beside / "fetching")
    trust_authorities(beside)
    app = configured(word, list(arguments))
    fetch_unadvertised_commits()
    app.initialize()
    if int(limit):
        threading.Thread(target=end_when_too_large, args=(word, path, int(limit)), daemon=True).start()
    path.mkdir()  # git creates it; some other content providers do not
    app.fetch(app.repo, app.ref, folder)
    refuse_too_large(word, path, int(limit))
    link = link_that_leaves(path, getattr(app, "subdir", "") or "")
    if link:
        report(word, link=link)
        os._exit(LINK_LEAVES)
    (beside / "fetched-by-program").write_text(fetched, encoding="utf-8")
    (beside / "fetched-by-program").rename(beside / "fetched")
    report(word)
    os._exit(0)  # without cleaning up, which takes time


if __name__ == "__main__":
    main(*sys.argv[1:])
