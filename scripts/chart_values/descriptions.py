"""All values of the chart, with their descriptions from the schema and their defaults from values.yaml."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml

Json = Mapping[str, Any]
MISSING = object()
FOREIGN = "#/$defs/foreign"
"""What the schema says of another chart's values, which are admitted only to be refused with an explanation."""

_WORDS = {
    "string": "text",
    "integer": "whole number",
    "number": "number",
    "boolean": "boolean",
    "object": "mapping",
    "array": "list",
    "null": "null",
}


@dataclass(frozen=True)
class Value:
    """One value: its path, type, default and description."""

    path: str
    """Keys with dots between; KEY stands for one of the reader's own choice, and [] for an entry of a list."""
    part: Json
    """Its schema, with what it refers to."""
    default: Any
    """MISSING where values.yaml does not name it."""

    @property
    def description(self) -> str:
        """The description in the schema; empty if there is none."""
        return str(self.part.get("description", "")).strip()

    @property
    def group(self) -> bool:
        """Whether it only holds others, which the schema names."""
        return bool(self.part.get("properties"))

    @property
    def free(self) -> bool:
        """Whether it is below a key of the reader's own, where no default can be."""
        return "KEY" in self.path.split(".") or "[]" in self.path

    @property
    def type(self) -> str:
        """The type, in words."""
        return _type(self.part)


def described(schema: Json, values: Json) -> Iterator[Value]:
    """All values that the schema describes, in its order, a group before what is below it."""
    yield from _below(schema, schema, values, "")


def defaults(schema: Json, values: Json) -> Iterator[str]:
    """The path of every default that values.yaml names, as far down as the schema describes names."""
    groups = {value.path for value in described(schema, values) if value.group}

    def walk(mapping: Json, prefix: str) -> Iterator[str]:
        for name, value in mapping.items():
            yield f"{prefix}{name}"
            if isinstance(value, dict) and f"{prefix}{name}" in groups:
                yield from walk(value, f"{prefix}{name}.")

    yield from walk(values, "")


def of_chart(folder: Path) -> list[Value]:
    """Those of the chart in `folder`."""
    schema, values = (
        yaml.safe_load((folder / name).read_text(encoding="utf-8")) for name in ("values.schema.yaml", "values.yaml")
    )
    return list(described(schema, values))


def _below(schema: Json, part: Json, values: Any, prefix: str) -> Iterator[Value]:  # noqa: ANN401 - what YAML can hold
    for name, below in part.get("properties", {}).items():
        if below.get("$ref") == FOREIGN:
            continue
        path = f"{prefix}{name}"
        whole = _resolved(schema, below)
        default = values.get(name, MISSING) if isinstance(values, dict) else MISSING
        yield Value(path, whole, default)
        yield from _below(schema, whole, default, f"{path}.")
        for key, ending in (("additionalProperties", ".KEY."), ("items", "[].")):
            entry = whole.get(key)
            if isinstance(entry, dict):
                yield from _below(schema, _resolved(schema, entry), MISSING, f"{path}{ending}")


def _resolved(schema: Json, part: Json) -> Json:
    """`part` with what its $ref names; its own words are stronger."""
    reference = str(part.get("$ref", ""))
    if not reference:
        return part
    return {**schema["$defs"][reference.removeprefix("#/$defs/")], **part}


def _type(part: Json) -> str:
    if "enum" in part:
        named = [str(one) for one in part["enum"] if one not in ("", None)]
        empty = ["empty"] if {"", None} & set(part["enum"]) else []
        return _or([*named, *empty])
    if "const" in part:
        return str(part["const"])
    for several in ("oneOf", "anyOf"):
        if several in part and "type" not in part:
            return _or([_type(one) for one in part[several]])
    types = part.get("type", [])
    words = [word for one in ([types] if isinstance(types, str) else types) for word in _words(part, one)]
    return _or(words) or "anything"


def _words(part: Json, of: str) -> list[str]:
    if of == "boolean":
        return ["true", "false"]
    word = _WORDS[of]
    if of == "array" and isinstance(part.get("items"), dict) and "type" in part["items"]:
        word += f" of {_plural(part['items'])}"
    if of == "object" and isinstance(part.get("additionalProperties"), dict) and "type" in part["additionalProperties"]:
        word += f" of {_plural(part['additionalProperties'])}"
    if of in ("integer", "number"):
        low, high = part.get("minimum"), part.get("maximum")
        word += f" from {low}" if low is not None else ""
        word += f" to {high}" if high is not None else ""
    return [word]


def _plural(part: Json) -> str:
    types = part["type"]
    names = [types] if isinstance(types, str) else types
    return _or([f"{_WORDS[one]}s" for one in names if one != "null"])


def _or(words: list[str]) -> str:
    return " or ".join(filter(None, [", ".join(words[:-1]), *words[-1:]]))
