"""Git credentials in BinderHub's configuration: malformed ones end BinderHub when it starts, without being shown."""

import sys
from typing import Any

import bhs_git_address


def check(c: Any) -> None:  # noqa: ANN401 - traitlets' Config
    """End the process with a sentence where git_credentials of any provider are malformed.

    SystemExit, since traitlets logs any other error of a configuration file and goes on without the rest of the file.
    """
    for section in sorted(c):
        given = c[section].get("git_credentials") if hasattr(c[section], "get") else None
        if given and not (isinstance(given, str) and bhs_git_address.are_credentials(given)):
            sys.exit(bhs_git_address.MALFORMED_CREDENTIALS.format(f"config.{section}.git_credentials"))
