"""What some values come to: the objects, the notes, and the configuration that BinderHub makes of its files."""

import contextlib
import json
import os
import shutil
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from chart_values.rendering import Chart, Object, Objects
from traitlets.config.loader import PyFileConfigLoader

CONFIG = "chart-config.yaml"
"""Whole groups of values are in it, read or not; so what BinderHub makes of it counts, and not the file."""


def with_notes(chart: Path, folder: Path) -> Path:
    """A copy of the chart in `folder` that renders its notes into an object of the kind Notes.

    `helm template` renders none, and no other command gives them without a cluster on both Helm 3 and Helm 4.
    """
    copy = folder / "chart"
    shutil.copytree(chart, copy, ignore=shutil.ignore_patterns("charts"))
    notes = copy / "templates" / "NOTES.txt"
    text = notes.read_text()
    notes.unlink()
    wrapped = '{{- define "the-notes" -}}' + text + "{{- end }}\n"
    wrapped += 'kind: Notes\nmetadata: {name: notes}\nnotes: {{ include "the-notes" . | toJson }}\n'
    (copy / "templates" / "notes.yaml").write_text(wrapped)
    return copy


class Effects:
    """Renders, and remembers what it rendered before."""

    def __init__(self, helm: Path, chart: Path, folder: Path, first: tuple[Path, ...] = ()) -> None:
        self.chart = Chart(helm, with_notes(chart, folder), first)
        self.folder = folder
        self._known: dict[str, Any] = {}

    def of(self, values: Mapping[str, Any]) -> Any:
        """Something that differs where the values make a difference; raises UserError where they are refused."""
        key = json.dumps(values, sort_keys=True)
        if key not in self._known:
            self._known[key] = self._effect(self.chart.render(values))
        return self._known[key]

    def notes(self, values: Mapping[str, Any]) -> str:
        """The notes."""
        return str(self.chart.render(values).one("Notes", "notes")["notes"])

    def _effect(self, objects: Objects) -> Any:
        everything = list(objects)
        secret = next(one for one in everything if CONFIG in one.get("stringData", {}))
        deployment = next(one for one in everything if one["kind"] == "Deployment")
        config = self._config(secret["stringData"], deployment)
        del secret["stringData"][CONFIG]
        for one in everything:
            pod = one.get("spec", {}).get("template", {})
            annotations = pod.get("metadata", {}).get("annotations") or {}
            annotations.pop("checksum/mounted-secret", None)
        return json.dumps(everything, sort_keys=True), config

    def _config(self, files: Mapping[str, str], deployment: Object) -> Any:
        mounted, login = self.folder / "mounted", self.folder / "login"
        shutil.rmtree(mounted, ignore_errors=True)
        mounted.mkdir()
        login.mkdir(exist_ok=True)
        (login / "config.json").write_text("{}")
        for name, text in files.items():
            (mounted / name).write_text(text)
        pod = deployment["spec"]["template"]["spec"]
        env = {one["name"]: str(one.get("value", "of the pod")) for one in pod["containers"][0]["env"]}
        env |= {"DOCKER_CONFIG": str(login)}
        with _environment(env):
            return json.dumps(
                PyFileConfigLoader("binderhub_config.py", path=str(mounted)).load_config(), sort_keys=True, default=repr
            )


@contextlib.contextmanager
def _environment(names: Mapping[str, str]) -> Iterator[None]:
    before = dict(os.environ)
    os.environ.update(names)
    try:
        yield
    finally:
        os.environ.clear()
        os.environ.update(before)


def put(values: Mapping[str, Any], path: str, to: Any) -> dict[str, Any]:
    """A copy of `values` with `to` at the path; KEY is a key like others, and [] the first entry of a list."""
    whole: dict[str, Any] = json.loads(json.dumps(values))
    at: Any = whole
    *steps, last = path.replace("[]", ".0").split(".")
    for step in steps:
        at = at[int(step)] if isinstance(at, list) else at.setdefault(step, {})
    at[int(last) if isinstance(at, list) else last] = to
    return whole
