"""The part of this chart that runs in BinderHub's process: its build executor, and what comes with it."""

from typing import Any

Json = dict[str, Any]
"""An object as the Kubernetes API or a registry writes it."""
