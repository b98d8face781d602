"""`docs`: build the site, serve it, run its pages, count what is run."""

import argparse
import functools
from pathlib import Path

from common.errors import UserError
from common.paths import CLONE

DOCS = CLONE / "docs"


def parser() -> argparse.ArgumentParser:
    """The options of `docs`."""
    top = argparse.ArgumentParser(prog="scripts/docs", description="Build the documentation, serve it, run its pages.")
    top.add_argument(
        *("--folder", "-C"), type=Path, default=DOCS, metavar="DIR", help="the folder of pages (default: docs)"
    )
    jobs = top.add_subparsers(dest="job", required=True, metavar="build|serve|check|status")
    build = jobs.add_parser("build", help="build the site; any warning is an error")
    serve = jobs.add_parser("serve", help="build the site and serve it on this machine")
    serve.add_argument("--port", type=int, default=8000, help="the port (default: 8000; 0: a free one)")
    for job in (build, serve):
        job.add_argument("--output", type=Path, metavar="DIR", help="where to (default: _build/html in the folder)")
    check = jobs.add_parser("check", help="run the pages as printed, on a cluster")
    check.add_argument("pages", nargs="*", type=Path, metavar="PAGE", help="a page (default: all with commands)")
    check.add_argument("--record", action="store_true", help="write the outcome to verification.json")
    check.add_argument("--context", metavar="NAME", help="a kubeconfig context to run on instead of the local cluster")
    check.add_argument(
        "--force", action="store_true", help="replace the local cluster even while another command uses it"
    )
    jobs.add_parser("status", help="count blocks that are run, validated, skipped; 1 if any is unaccounted for")
    return top


def check(options: argparse.Namespace) -> None:
    """Raise UserError for a folder or a page that is not there."""
    if not options.folder.is_dir():
        raise UserError(f"There is no folder {options.folder}.", "Name the folder of pages with --folder.")
    if getattr(options, "context", None) == "":
        raise UserError("--context is empty.", "Name a context; see `kubectl config get-contexts`.")
    for page in getattr(options, "pages", ()):
        if not page.is_file():
            raise UserError(f"There is no page {page}.", "Name a Markdown file, as docs/tutorials/your-first-image.md.")


def packages(options: argparse.Namespace) -> tuple[str, ...]:
    """The groups of Debian packages that the job needs."""
    return ("docs",) if options.job in ("build", "serve") else ()


def main(options: argparse.Namespace) -> int:
    """Do the job that was named."""
    from documentation import check as run
    from documentation import cluster, site, status

    if options.job == "status":
        return status.status(options.folder)
    if options.job == "check":
        local = functools.partial(cluster.local, force=options.force)
        place = functools.partial(cluster.of_context, options.context) if options.context else local
        return run.check(options.folder, options.pages, place, write=options.record)
    output = options.output or options.folder / "_build" / "html"
    site.build(options.folder, output)
    if options.job == "serve":
        return site.serve(output, options.port)
    return 0
