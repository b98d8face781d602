"""Each value is described, has a default, is used, is in the reference, and makes the difference that a test sees."""

import re
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
import yaml
from chart.test_schema import WITHOUT_DEFAULT
from chart_values.descriptions import MISSING, Value, defaults, described
from chart_values.rendering import ANONYMOUS
from common.errors import UserError
from common.paths import CHART, CLONE
from support.value_effects import Effects, put

CHANGES = Path(__file__).parent / "changes.yaml"


@dataclass
class Everything:
    """What is known of the values of a chart, from each of the places that must know."""

    schema: dict[str, Any]
    defaults: dict[str, Any]
    changes: dict[str, Any]
    shown: set[str]
    effects: Effects

    def values(self) -> dict[str, Value]:
        """What the schema describes, by path."""
        return {value.path: value for value in described(self.schema, self.defaults)}

    def paths(self) -> set[str]:
        """All that any place knows, the reference excepted."""
        return self.values().keys() | set(defaults(self.schema, self.defaults)) | self.changes.keys()

    def missing(self, path: str) -> list[str]:
        """What is wrong with one value, a sentence each."""
        value = self.values().get(path)
        if value is None:
            return [f"{path} is not in chart/values.schema.yaml. Describe it there, or remove it elsewhere."]
        found = []
        if not value.description:
            found.append(f"{path} has no description in chart/values.schema.yaml.")
        if path not in self.shown:
            found.append(f"docs/reference/values.md, as built, has no place with the address #{path}.")
        if value.group:
            return found
        if value.default is MISSING and not value.free and path not in WITHOUT_DEFAULT:
            found.append(f"{path} has no default in chart/values.yaml, and is not among WITHOUT_DEFAULT.")
        return found + list(self._untested(path))

    def _untested(self, path: str) -> Iterator[str]:
        change = self.changes.get(path)
        if change is None:
            yield f"No test changes {path}. Give it another value in tests/chart/changes.yaml."
            return
        before = change.get("with", {})
        after = put(before, path, change["to"])
        try:
            changed = self.effects.of(after)
        except UserError as refused:
            yield f"{path}: the chart refuses the value that tests/chart/changes.yaml gives it. {refused.what}"
            return
        lifts = change.get("lifts")
        try:
            same = self.effects.of(before) == changed
        except UserError as refused:
            if not lifts or lifts not in refused.what:
                yield f"{path}: the chart refuses the values beside it in tests/chart/changes.yaml. {refused.what}"
            return
        if lifts:
            yield f"{path} lifts no refusal, but tests/chart/changes.yaml says that it does."
        elif change.get("unread") and not same:
            yield f"{path} makes a difference, but tests/chart/changes.yaml says that nothing reads it."
        elif not change.get("unread") and same:
            yield f"No template and no file uses {path}: with {change['to']!r} everything comes to the same."


def load(chart: Path, changes: Path, shown: set[str], effects: Effects) -> Everything:
    """What the files of a chart say."""
    schema, values, table = (
        yaml.safe_load(file.read_text()) for file in (chart / "values.schema.yaml", chart / "values.yaml", changes)
    )
    return Everything(schema, values, table, shown, effects)


@pytest.fixture(scope="session")
def reference(tmp_path_factory: pytest.TempPathFactory) -> str:
    """The page of values, as Sphinx builds it."""
    folder = tmp_path_factory.mktemp("reference")
    (folder / "index.md").write_text((CLONE / "docs" / "reference" / "values.md").read_text())
    paths = [str(CLONE / "docs" / "_extensions"), str(CLONE / "scripts")]
    (folder / "conf.py").write_text(
        f"import sys\nsys.path[:0] = {paths!r}\nextensions = ['myst_parser', 'values_reference']\n"
    )
    command = [sys.executable, "-m", "sphinx", "-W", "-n", "-q", "-b", "html", str(folder), str(folder / "html")]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    return (folder / "html" / "index.html").read_text()


@pytest.fixture(scope="session")
def effects(helm: Path, tmp_path_factory: pytest.TempPathFactory) -> Effects:
    return Effects(helm, CHART, tmp_path_factory.mktemp("effects"), (ANONYMOUS,))


@pytest.fixture(scope="session")
def everything(reference: str, effects: Effects) -> Everything:
    return load(CHART, CHANGES, set(re.findall(r' id="([^"]+)"', reference)), effects)


def all_paths() -> list[str]:
    """Known before any fixture is made."""
    files = (CHART / "values.schema.yaml", CHART / "values.yaml", CHANGES)
    schema, values, table = (yaml.safe_load(file.read_text()) for file in files)
    return sorted({value.path for value in described(schema, values)} | set(defaults(schema, values)) | table.keys())


@pytest.mark.parametrize("path", all_paths())
def test_a_value_is_described_defaulted_used_shown_and_tested(everything: Everything, path: str) -> None:
    missing = everything.missing(path)
    assert not missing, "\n".join(missing)


TINY = {
    "Chart.yaml": "apiVersion: v2\nname: tiny\nversion: 1.0.0\n",
    "values.schema.yaml": "properties:\n  a: {type: string, description: The letter.}\n",
    "values.yaml": 'a: ""\n',
    "changes.yaml": "a: {to: b}\n",
    "templates/NOTES.txt": "{{ .Values.a }}",
    "templates/objects.yaml": (
        "kind: Secret\nmetadata: {name: s}\nstringData:\n  chart-config.yaml: {{ .Values | toJson | quote }}\n"
        "  binderhub_config.py: ''\n---\nkind: Deployment\nmetadata: {name: d}\n"
        "spec: {template: {spec: {containers: [{env: []}]}}}\n"
    ),
}


@pytest.mark.parametrize(
    ("file", "text", "sentence"),
    [
        ("", "", None),
        ("values.schema.yaml", "properties:\n  a: {type: string}\n", "a has no description"),
        ("values.schema.yaml", "properties: {}\n", "a is not in chart/values.schema.yaml"),
        ("values.yaml", "{}\n", "a has no default"),
        ("templates/NOTES.txt", "no value in here", "No template and no file uses a"),
        ("changes.yaml", "{}\n", "No test changes a"),
        ("changes.yaml", "a: {to: b, unread: nobody}\n", "a makes a difference, but"),
        ("changes.yaml", "a: {to: b, lifts: never}\n", "a lifts no refusal, but"),
        ("templates/NOTES.txt", '{{ if .Values.a }}{{ fail "no such" }}{{ end }}', "the chart refuses the value"),
        ("", "nothing shown", "has no place with the address #a"),
    ],
)
def test_a_missing_description_or_default_is_reported(
    helm: Path, tmp_path: Path, file: str, text: str, sentence: str | None
) -> None:
    for name, content in {**TINY, **({file: text} if file else {})}.items():
        (tmp_path / "tiny" / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / "tiny" / name).write_text(content)
    shown = set() if text == "nothing shown" else {"a"}
    chart = tmp_path / "tiny"
    tiny = load(chart, chart / "changes.yaml", shown, Effects(helm, chart, tmp_path))
    assert tiny.paths() == {"a"}
    missing = tiny.missing("a")
    assert [one for one in missing if sentence and sentence in one] == missing
    assert bool(missing) == bool(sentence)


def section(reference: str, path: str) -> str:
    """The words below one value's heading."""
    text = reference.partition(f' id="{path}"')[2].partition("</h")[2].partition("<section")[0]
    return re.sub(r"\s+", " ", re.sub(r"<[^>]*>", "", text)).replace("&quot;", '"')


def test_the_reference_says_what_a_value_may_be_and_is(reference: str) -> None:
    assert "Type: whole number from 1 to 65535 · Default: 80" in section(reference, "service.port")
    assert "Whether to create an Ingress." in section(reference, "ingress.enabled")
    assert "Type: true or false · Default: false" in section(reference, "ingress.enabled")
    assert 'Type: Always, IfNotPresent, Never or empty · Default: ""' in section(
        reference, "dockerApi.image.pullPolicy"
    )
    assert "Type: mapping of texts or null · Default: {}" in section(reference, "podLabels")
    assert "Default: not set" in section(reference, "service.nodePort")
    assert 'c.KubernetesBuildExecutor.push_secret = os.environ["PUSH_SECRET_NAME"]' in section(reference, "extraConfig")
    assert "Default" not in section(reference, "dockerApi.extraFiles.KEY.mode")
