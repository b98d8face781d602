"""The part of this chart that runs in BinderHub's process: its build executor, and what comes with it."""

import re
from typing import Any

import yaml

Json = dict[str, Any]
"""An object as the Kubernetes API or a registry writes it."""


class Loader(yaml.SafeLoader):
    """Reads YAML that Helm has written, in which `=` and `<<` are texts, and not what YAML 1.1 has planned for them."""

    yaml_implicit_resolvers = {  # noqa: RUF012 - yaml's
        first: [(tag, pattern) for tag, pattern in resolvers if not tag.endswith((":value", ":merge"))]
        for first, resolvers in yaml.SafeLoader.yaml_implicit_resolvers.items()
    }


def read_yaml(text: str) -> Json:
    """A mapping that Helm has written."""
    found: Json = yaml.load(text, Loader)  # noqa: S506 - a SafeLoader
    return found


def without_nulls(value: Any) -> Any:  # noqa: ANN401 - what YAML can hold
    """A value without the keys of its mappings that are null, by which a user of Helm removes them."""
    if not isinstance(value, dict):
        return value
    return {key: without_nulls(one) for key, one in value.items() if one is not None}


def snake_case(name: str) -> str:
    """The name of a trait for the name of a value of the chart: `fooBar` becomes `foo_bar`."""
    return re.sub("[A-Z]", lambda found: f"_{found[0].lower()}", name)
