"""The schema of the values: current, complete, and strict where the values are ours."""

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml
from commands import schema as command
from machine.paths import CHART
from machine.problem import Problem
from values import schema
from values.rendering import Chart

SCHEMA: dict[str, Any] = yaml.safe_load((CHART / "values.schema.yaml").read_text())
VALUES: dict[str, Any] = yaml.safe_load((CHART / "values.yaml").read_text())

# Described, but without a default, since not being set says something.
WITHOUT_DEFAULT = {"enabled", "service.nodePort", "config.BinderHub.use_registry", "registry.url"}


def resolved(part: dict[str, Any]) -> dict[str, Any]:
    """`part` with what its $ref names; its own words are stronger."""
    reference = part.get("$ref", "")
    return {**SCHEMA["$defs"].get(reference.removeprefix("#/$defs/"), {}), **part}


def described(part: dict[str, Any], path: str = "") -> Iterator[tuple[str, dict[str, Any]]]:
    """Every value that the schema names, with its dotted path."""
    for name, below in part.get("properties", {}).items():
        whole = resolved(below)
        yield f"{path}{name}", whole
        yield from described(whole, f"{path}{name}.")


def defaults(values: dict[str, Any], path: str = "") -> Iterator[str]:
    """The dotted path of every default that the chart names, as far down as the schema describes names."""
    names = dict(described(SCHEMA))
    for name, value in values.items():
        yield f"{path}{name}"
        if isinstance(value, dict) and names.get(f"{path}{name}", {}).get("properties"):
            yield from defaults(value, f"{path}{name}.")


def test_helm_checks_what_people_wrote() -> None:
    assert json.loads((CHART / "values.schema.json").read_text()) == SCHEMA


def test_the_command_checks_and_writes(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    source, target = tmp_path / "values.schema.yaml", tmp_path / "values.schema.json"
    source.write_text("type: object\n")
    monkeypatch.setattr(command, "SOURCE", source)
    monkeypatch.setattr(command, "TARGET", target)
    options = command.parser()

    with pytest.raises(Problem, match="Run scripts/schema"):
        command.main(options.parse_args(["--check"]))
    assert not target.exists()
    assert command.main(options.parse_args([])) == 0
    assert json.loads(target.read_text()) == {"type": "object"}
    assert command.main(options.parse_args(["--check"])) == 0
    source.write_text("type: array\n")
    with pytest.raises(Problem, match="Run scripts/schema"):
        command.main(options.parse_args(["--check"]))


@pytest.mark.parametrize(("text", "complaint"), [("a: [", "is not YAML"), ("- a\n", "holds no mapping")])
def test_a_broken_schema_is_told(tmp_path: Path, text: str, complaint: str) -> None:
    source = tmp_path / "values.schema.yaml"
    source.write_text(text)
    with pytest.raises(Problem, match=complaint):
        schema.generated(source)


def test_every_value_is_described_and_has_a_default() -> None:
    names = {path for path, _ in described(SCHEMA) if not path.startswith("dockerApi.extraFiles.")}
    assert names - WITHOUT_DEFAULT == set(defaults(VALUES))


def test_every_described_value_says_what_it_is() -> None:
    silent = [path for path, part in described(SCHEMA) if not part.get("description") and not part.get("properties")]
    assert silent == []


def test_every_mapping_of_ours_refuses_unknown_keys() -> None:
    theirs = {"config", "config.BinderHub", "config.KubernetesBuildExecutor"}
    open_ones = {
        path
        for path, part in described(SCHEMA)
        if part.get("properties") and part.get("additionalProperties") is not False
    }
    assert open_ones == theirs
    assert SCHEMA["additionalProperties"] is False


@pytest.mark.parametrize(
    ("values", "named"),
    [
        ({"registry": {"host": "quay.io"}}, "host"),
        ({"image": {"name": "x"}}, "name"),
        ({"dockerApi": {"extraArg": []}}, "extraArg"),
        ({"config": {"binderHub": {}}}, "binderHub"),
        ({"config": {"BinderHub": {"port": "http"}}}, "port"),
        ({"extraConfig": {"a": ["b"]}}, "a"),
        ({"image": {"pullPolicy": "Sometimes"}}, "pullPolicy"),
    ],
)
def test_a_mistake_is_refused_by_name(chart: Chart, values: dict[str, Any], named: str) -> None:
    with pytest.raises(Problem, match=named):
        chart.render(values)


@pytest.mark.parametrize(
    "values",
    [
        {"config": {"BinderHub": {"anything": 1}, "AnyClass": {"any": {"thing": 1}}}},
        {"custom": {"anything": 1}, "global": {"anything": 1}, "enabled": True},
        {"buildPodsDockerConfig": {"credHelpers": {"a": "b"}}},
    ],
)
def test_what_is_not_ours_is_let_through(chart: Chart, values: dict[str, Any]) -> None:
    assert chart.render(values).names() == chart.render().names()
