"""The schema of the values: current, complete, and strict where the values are ours."""

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml
from chart_values import schema
from chart_values.descriptions import MISSING, of_chart
from chart_values.rendering import Chart
from commands import schema as command
from common.errors import UserError
from common.paths import CHART

SCHEMA: dict[str, Any] = yaml.safe_load((CHART / "values.schema.yaml").read_text())
VALUES: dict[str, Any] = yaml.safe_load((CHART / "values.yaml").read_text())

# Described, but without a default, since not being set says something.
WITHOUT_DEFAULT = {"enabled", "service.nodePort", "config.BinderHub.auth_enabled", "config.BinderHub.use_registry"}


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

    with pytest.raises(UserError, match="Run scripts/schema"):
        command.main(options.parse_args(["--check"]))
    assert not target.exists()
    assert command.main(options.parse_args([])) == 0
    assert json.loads(target.read_text()) == {"type": "object"}
    assert command.main(options.parse_args(["--check"])) == 0
    source.write_text("type: array\n")
    with pytest.raises(UserError, match="Run scripts/schema"):
        command.main(options.parse_args(["--check"]))


@pytest.mark.parametrize(("text", "complaint"), [("a: [", "is not YAML"), ("- a\n", "holds no mapping")])
def test_a_broken_schema_is_told(tmp_path: Path, text: str, complaint: str) -> None:
    source = tmp_path / "values.schema.yaml"
    source.write_text(text)
    with pytest.raises(UserError, match=complaint):
        schema.generated(source)


def test_every_value_is_described_and_has_a_default() -> None:
    names = {path for path, part in described(SCHEMA) if part.get("$ref") != "#/$defs/foreign"}
    assert names - WITHOUT_DEFAULT == set(defaults(VALUES))


def test_every_described_value_says_what_it_is() -> None:
    silent = [path for path, part in described(SCHEMA) if not part.get("description") and not part.get("properties")]
    assert silent == []


def mappings(part: dict[str, Any], path: str = "") -> Iterator[tuple[str, dict[str, Any]]]:
    """Every place of the schema where a mapping may stand, whether it has a name or is one of many."""
    part = resolved(part)
    kinds = part.get("type", [])
    if "object" in ([kinds] if isinstance(kinds, str) else kinds):
        yield path, part
    below = {**{f".{name}": one for name, one in part.get("properties", {}).items()}, "[]": part.get("items")}
    below[".*"] = part.get("additionalProperties")
    for name, one in below.items():
        if isinstance(one, dict):
            yield from mappings(one, f"{path}{name}")


# Mappings whose keys are chosen by whoever writes them, and those that are not ours but Kubernetes' or docker's.
CHOSEN = {
    *(".certificateAuthorities", ".config.*", ".dockerApi.extraEnv", ".dockerApi.extraFiles"),
    *(".extraConfig", ".extraEnv"),
}
NOT_OURS = {
    *(".dockerApi.extraEnv[]", ".dockerApi.extraEnv.*.valueFrom", ".extraEnv[]"),
    *(".buildPodsDockerConfig", ".custom", ".dockerApi.storage", ".dockerApi.extraFiles.*.data", ".global"),
    *(".config", ".config.BinderHub", ".config.KubernetesBuildExecutor", ".extraEnv.*.valueFrom"),
    *(".httpRoute.parentRefs[]", ".httpRoute.timeouts"),
}


def test_every_mapping_of_ours_refuses_unknown_keys() -> None:
    of_kubernetes = {"#/$defs/kubernetes", "#/$defs/texts"}
    everything = dict(mappings(SCHEMA))
    open_ones = {
        path
        for path, part in everything.items()
        if part.get("additionalProperties") is not False and part.get("$ref") not in of_kubernetes
    }
    assert open_ones == CHOSEN | NOT_OURS


OURS = sorted(path for path, part in mappings(SCHEMA) if part.get("additionalProperties") is False and "*" not in path)


@pytest.mark.parametrize("path", OURS)
def test_an_unknown_key_is_refused_at_every_level(chart: Chart, path: str) -> None:
    values: dict[str, Any] = {"unheardOf": 1}
    for key in reversed(path.split(".")[1:]):
        values = {key: values}
    with pytest.raises(UserError, match="unheardOf"):
        chart.render(values)


@pytest.mark.parametrize(
    ("values", "named"),
    [
        ({"registry": {"host": "quay.io"}}, "host"),
        ({"image": {"name": "x"}}, "name"),
        ({"dockerApi": {"extraArg": []}}, "extraArg"),
        ({"config": {"binderHub": {}}}, "binderHub"),
        ({"config": {"BinderHub": {"port": "http"}}}, "port"),
        ({"config": {"BinderHub": {"auth_enabled": "false"}}}, "auth_enabled"),
        ({"extraConfig": {"a": ["b"]}}, "a"),
        ({"image": {"pullPolicy": "Sometimes"}}, "pullPolicy"),
    ],
)
def test_a_mistake_is_refused_by_name(chart: Chart, values: dict[str, Any], named: str) -> None:
    with pytest.raises(UserError, match=named):
        chart.render(values)


@pytest.mark.parametrize(
    "values",
    [
        {"config": {"BinderHub": {"anything": 1}, "AnyClass": {"any": {"thing": 1}}}},
        {"config": {"KubernetesBuildExecutor": {"anything": {"at": {"all": 1}}}}},
        {"custom": {"anything": 1}, "global": {"anything": 1}, "enabled": True},
        {"buildPodsDockerConfig": {"credHelpers": {"a": "b"}}},
    ],
)
def test_keys_of_parent_charts_are_accepted(chart: Chart, values: dict[str, Any]) -> None:
    assert chart.render(values).names() == chart.render().names()


def test_the_upstream_charts_values_are_here_with_its_defaults() -> None:
    ours = {value.path: value for value in of_chart(CHART)}
    theirs = yaml.safe_load((Path(__file__).parent / "upstream.yaml").read_text())
    assert len(theirs) > 60
    assert sorted(theirs.keys() - ours.keys()) == []
    for path, known in theirs.items():
        if "default" in known:
            assert ours[path].default == known["default"], path
        if "other" in known:
            assert ours[path].default is not MISSING, path
