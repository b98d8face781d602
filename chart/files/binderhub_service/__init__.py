"""The part of this chart that runs in BinderHub's process: its build executor, and what comes with it."""

import re
from typing import Any

Json = dict[str, Any]
"""An object as the Kubernetes API or a registry writes it."""


def snake_case(name: str) -> str:
    """The name of a trait for the name of a value of the chart: `fooBar` becomes `foo_bar`."""
    return re.sub("[A-Z]", lambda found: f"_{found[0].lower()}", name)
