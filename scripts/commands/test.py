"""scripts/test: all tests, on the local cluster or another."""

import argparse
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from common.paths import CLONE
from common.progress import say

FORWARDS = True
OPTIONS: dict[str, dict[str, Any]] = {
    "--context": {
        "metavar": "NAME",
        "help": "run on the cluster of this kubeconfig context; tests of the local one are skipped",
    },
    "--registry": {"metavar": "HOST[/PATH]", "help": "with --context: the registry to push to"},
    "--repository": {"metavar": "URL", "help": "with --context: the Git repository to build; a public one by default"},
    "--values": {
        "metavar": "FILE",
        "type": Path,
        "action": "append",
        "default": [],
        "help": "with --context: values that the chart needs there; may be repeated",
    },
    "--binderhub-wheel": {
        "metavar": "FILE",
        "type": Path,
        "help": "a wheel of the real BinderHub, in place of the stand-in",
    },
    "--binderhub-python": {
        "metavar": "FILE",
        "type": Path,
        "help": "the interpreter that BinderHub's process runs on in tests",
    },
    "--force": {
        "action": "store_true",
        "help": "replace or remove the local cluster even while another command uses it",
    },
    "--kubernetes-client": {
        "metavar": "VERSION",
        "help": "the kubernetes client that it has there: one of tests/support/kubernetes_clients",
    },
}
"""What tests/conftest.py adds to pytest, and this script too: pytest alone would take an option's value for a test."""


WORKERS = 4
"""More than the processors of a small machine, because most of these tests wait."""
PHASES = {
    "tests that need no cluster": ("not cluster", WORKERS),
    "tests that need a cluster": ("cluster", 0),
}
"""What runs one after the other: markers, and the number of workers; 0 is none but pytest itself."""


INTERRUPTED = 2
"""Exit code of pytest after Ctrl-C."""


def parser() -> argparse.ArgumentParser:
    """The options; what is not known here goes to pytest."""
    options = argparse.ArgumentParser(
        prog="scripts/test",
        description="Run the tests: all of them, several at a time, or those that pytest's arguments choose, one after "
        "the other. The local cluster is raised for tests that need it, and removed at the end unless it ran before; "
        "while another command uses it, it stays, and the run fails. All further arguments go to pytest: "
        "./scripts/test tests/chart -k labels",
        epilog="With --context, the tests that install the chart need --registry and, in the environment, "
        "REGISTRY_USERNAME and REGISTRY_PASSWORD.",
        allow_abbrev=False,
    )
    for name, how in OPTIONS.items():
        options.add_argument(name, **how)
    return options


def check(options: argparse.Namespace) -> None:
    """Raise UserError where this machine cannot have the local cluster, or the wheel is not BinderHub's."""
    if not options.context:
        from local_cluster import preconditions

        preconditions.check(options.binderhub_wheel)


def packages(_options: argparse.Namespace) -> tuple[str, ...]:
    """The groups of Debian packages that the job needs."""
    return ("browser", "docs", "lab")


def main(options: argparse.Namespace) -> int:
    """Run pytest and return its code."""
    from local_cluster import go_tools, image_mirror, substitute_images

    go_tools.build()  # before pytest, where it would be silent, and counted as a test's time
    if not options.context:
        image_mirror.fill(substitute_images.images())
    everything = all(word.startswith(("--durations", "-q", "-v")) for word in options.further)
    return _run_phases(options) if everything and not options.context else _pytest(options)


def _run_phases(options: argparse.Namespace) -> int:
    """Run all tests, most of them by several workers; the code of the first phase that fails."""
    codes = []
    for name, (markers, workers) in PHASES.items():
        say(f"\n{name[0].upper()}{name[1:]}")
        several = ("-n", str(workers), "--dist=loadgroup") if workers else ()
        codes.append(_pytest(options, "-m", markers, *several))
        if codes[-1] == INTERRUPTED:
            raise KeyboardInterrupt
    return next(filter(None, codes), 0)


def _pytest(options: argparse.Namespace, *more: str) -> int:
    command = [sys.executable, "-m", "pytest", *_given(options), *options.further, *more]
    return subprocess.run(command, cwd=CLONE, check=False).returncode


def _given(options: argparse.Namespace) -> Iterator[str]:
    """Our own options as pytest's, in one word each. Files are found from where the script was called."""
    for name in OPTIONS:
        value = getattr(options, name.removeprefix("--").replace("-", "_"))
        for one in value if isinstance(value, list) else [value]:
            if one is True:
                yield name
            elif one:
                yield f"{name}={one.resolve() if isinstance(one, Path) else one}"
