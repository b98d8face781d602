"""Write chart/values.schema.json from chart/values.schema.yaml."""

import argparse

from common.errors import UserError
from common.paths import CHART
from common.progress import say

SOURCE = CHART / "values.schema.yaml"
TARGET = CHART / "values.schema.json"


def parser() -> argparse.ArgumentParser:
    """The options of `scripts/schema`."""
    options = argparse.ArgumentParser(prog="scripts/schema", description=__doc__)
    options.add_argument("--check", action="store_true", help="write nothing; fail when the file is not current")
    return options


def check(options: argparse.Namespace) -> None:
    """There is nothing to check beforehand."""


def packages(_options: argparse.Namespace) -> tuple[str, ...]:
    """The groups of Debian packages that the job needs."""
    return ()


def main(options: argparse.Namespace) -> int:
    """Write the file, or with --check raise UserError when it is not what would be written."""
    from chart_values import schema

    text = schema.generated(SOURCE)
    if not options.check:
        TARGET.write_text(text, encoding="utf-8")
        say(f"Wrote {TARGET}.")
    elif not TARGET.exists() or TARGET.read_text(encoding="utf-8") != text:
        raise UserError(f"{TARGET} is not what {SOURCE.name} gives.", "Run scripts/schema and commit the file.")
    return 0
