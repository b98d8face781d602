"""Each check by its name: the command that complains, and what it is given."""

import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

from common.paths import CHART, CLONE
from common.progress import say, step

WORKFLOWS = CLONE / ".github" / "workflows"


def tracked(*patterns: str) -> list[str]:
    """The files of the clone, known to Git or about to be, that match any of `patterns`."""
    command = ["git", "ls-files", "--cached", "--others", "--exclude-standard", "--", *patterns]
    listed = subprocess.run(command, cwd=CLONE, capture_output=True, text=True, check=True).stdout.split()
    return [name for name in listed if (CLONE / name).is_file()]


def python() -> list[list[str]]:
    """Style and likely mistakes."""
    return [_module("ruff", "check", "."), _module("ruff", "format", "--check", ".")]


def types() -> list[list[str]]:
    """Types, everywhere."""
    return [_module("mypy")]


def shell() -> list[list[str]]:
    """Shell scripts, and each page's commands in the order in which the page's one bash runs them."""
    scripts = [name for name in tracked() if _first_line(CLONE / name).startswith(b"#!") and _is_shell(CLONE / name)]
    return [["shellcheck", *scripts], *[["shellcheck", "--shell=bash", str(file)] for file in _page_scripts()]]


def yaml() -> list[list[str]]:
    """YAML files, but for Helm's templates, which are none."""
    files = [name for name in tracked("*.yaml", "*.yml") if not name.startswith("chart/templates/")]
    return [_module("yamllint", "--strict", *files)]


def spelling() -> list[list[str]]:
    """Common misspellings."""
    return [_module("codespell_lib", *tracked(":!*.lock", ":!*.sum", ":!*.json"))]


def chart() -> list[list[str]]:
    """The chart, as helm sees it."""
    from local_cluster import go_tools

    return [[str(go_tools.folder() / "helm"), "lint", "--strict", "--set=allowAnonymous=true", str(CHART)]]


def workflows() -> list[list[str]]:
    """GitHub's workflows: what they say, and what they would let others do."""
    from local_cluster import go_tools

    actionlint = [str(go_tools.folder() / "actionlint"), f"-shellcheck={Path(sys.prefix) / 'bin' / 'shellcheck'}"]
    zizmor = [f"{sys.prefix}/bin/zizmor", "--offline", "--quiet", "--persona=pedantic", str(CLONE / ".github")]
    return [[*actionlint, *map(str, sorted(WORKFLOWS.glob("*.yaml")))], zizmor]


CHECKS: dict[str, Callable[[], list[list[str]]]] = {
    check.__name__: check for check in (python, types, shell, yaml, spelling, chart, workflows)
}


def run(names: list[str], *, fix: bool = False) -> int:
    """Run the checks `names`, all of them whatever one says, and return 1 if any complained, else 0."""
    if fix:
        for command in (_module("ruff", "check", "--fix", "."), _module("ruff", "format", ".")):
            subprocess.run(command, cwd=CLONE, check=False, stdout=sys.stderr)
    complaints: dict[str, str] = {}
    for name in names:
        with step(name):
            for command in CHECKS[name]():
                done = subprocess.run(command, cwd=CLONE, capture_output=True, text=True, check=False)
                if done.returncode:
                    complaints[name] = complaints.get(name, "") + done.stdout + done.stderr
    for name, text in complaints.items():
        say(f"\n{name}:\n{text.rstrip()}")
    return 1 if complaints else 0


def _module(name: str, *arguments: str) -> list[str]:
    return [sys.executable, "-m", name, *arguments]


def _first_line(file: Path) -> bytes:
    with file.open("rb") as opened:
        return opened.readline(80)


def _is_shell(file: Path) -> bool:
    return _first_line(file).split(b"/")[-1].split()[-1] in (b"sh", b"bash")


def _page_scripts() -> list[Path]:
    """A script for each page with commands, written beside the built site; it begins as the runner begins it."""
    from documentation.blocks import Kind
    from documentation.page_files import pages_in

    folder = CLONE / "docs" / "_build" / "commands"
    folder.mkdir(parents=True, exist_ok=True)
    files = []
    for path, page in pages_in(CLONE / "docs").items():
        blocks = [block.text for block in page.blocks if block.kind in (Kind.RUN, Kind.BACKGROUND)]
        if blocks:
            file = folder / f"{path.stem}.sh"
            file.write_text("\n".join(["set -euo pipefail", *blocks]))
            files.append(file)
    return files
