"""The value `extraEnv`, as a list and as a mapping."""

import json
import subprocess
from pathlib import Path

import pytest
from chart_values.rendering import Chart, Object, Objects
from common.paths import CHART


def container(objects: Objects) -> Object:
    (found,) = objects.one("Deployment", "binderhub")["spec"]["template"]["spec"]["containers"]
    assert isinstance(found, dict)
    return found


def test_an_extra_environment_can_be_a_mapping(chart: Chart) -> None:
    of_a_secret = {"secretKeyRef": {"name": "{{ .Release.Name }}-s", "key": "k"}}
    objects = chart.render(
        {
            "extraEnv": {
                "TEXT": "{{ .Release.Name }}: a",
                "NUMBER": 10000000,
                "TRUTH": True,
                "EMPTY": "",
                "NONE": None,
                "MAPPING": {"value": "v"},
                "SECRET": {"valueFrom": of_a_secret},
            }
        }
    )
    told = {entry.pop("name"): entry for entry in container(objects)["env"]}
    assert {
        "TEXT": {"value": "rel: a"},
        "NUMBER": {"value": "10000000"},
        "TRUTH": {"value": "true"},
        "EMPTY": {"value": ""},
        "MAPPING": {"value": "v"},
        "SECRET": {"valueFrom": {"secretKeyRef": {"name": "rel-s", "key": "k"}}},
    }.items() <= told.items()
    assert "NONE" not in told


def test_mappings_of_an_environment_merge_where_lists_replace_each_other(chart: Chart, tmp_path: Path) -> None:
    (tmp_path / "one.yaml").write_text("extraEnv: {A: a, B: b}")
    objects = chart.render({"extraEnv": {"B": "c"}}, files=(tmp_path / "one.yaml",))
    told = {entry["name"]: entry.get("value") for entry in container(objects)["env"]}
    assert (told["A"], told["B"]) == ("a", "c")


@pytest.mark.parametrize("given", [[{"name": "A", "value": "a"}], {"A": "a"}])
def test_helm_says_nothing_of_either_form(helm: Path, given: object) -> None:
    words = [str(helm), "template", "rel", str(CHART), "--set=allowAnonymous=true", "--values", "-"]
    done = subprocess.run(words, input=json.dumps({"extraEnv": given}), capture_output=True, text=True, check=True)
    assert done.stderr == ""
