"""What is rendered is what Kubernetes accepts, for the defaults and for values as production has them."""

import copy
import subprocess
import tarfile
from pathlib import Path
from typing import Any

import kubernetes_validate  # type: ignore[import-untyped]
import pytest
import yaml
from chart_values.rendering import ANONYMOUS, Chart
from common.paths import CHART
from support.value_effects import with_notes

PRODUCTION = sorted((Path(__file__).parent / "values").glob("*.yaml"))
OLDEST = yaml.safe_load((CHART / "Chart.yaml").read_text())["kubeVersion"].removeprefix(">=").removesuffix(".0-0")
NEWEST = "1.37"


@pytest.mark.parametrize("kubernetes", [OLDEST, NEWEST])
@pytest.mark.parametrize("file", [None, *PRODUCTION], ids=lambda file: file.stem if file else "defaults")
def test_every_object_validates(chart: Chart, file: Path | None, kubernetes: str) -> None:
    objects = chart.render(files=(file,) if file else ())
    for found in objects:
        assert kubernetes_validate.validate(found, kubernetes, strict=True) == kubernetes


def test_the_validation_finds_a_misspelt_field(chart: Chart) -> None:
    service = copy.deepcopy(chart.render().one("Service", "binderhub"))
    service["spec"]["selectr"] = service["spec"].pop("selector")
    with pytest.raises(kubernetes_validate.ValidationError, match="selectr"):
        kubernetes_validate.validate(service, OLDEST, strict=True)


@pytest.mark.parametrize("file", PRODUCTION, ids=lambda file: file.stem)
def test_production_values_reach_binderhub(chart: Chart, file: Path) -> None:
    given = yaml.safe_load(file.read_text())
    (secret,) = [
        found
        for found in chart.render(files=(file,))
        if found["kind"] == "Secret" and "chart-config.yaml" in found.get("stringData", {})
    ]
    read: dict[str, Any] = yaml.safe_load(secret["stringData"]["chart-config.yaml"])
    for section, traits in given["config"].items():
        set_ones = {name: value for name, value in traits.items() if value is not None}
        assert set_ones.items() <= read["config"][section].items()


@pytest.mark.parametrize("file", [None, *PRODUCTION], ids=lambda file: file.stem if file else "defaults")
def test_helm_lint_is_strict_and_content(helm: Path, file: Path | None) -> None:
    values = ["--values", str(file or ANONYMOUS)]
    done = subprocess.run(
        [str(helm), "lint", "--strict", *values, str(CHART)], capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stdout + done.stderr


def test_the_package_holds_what_is_needed_and_no_more(chart: Chart, tmp_path: Path) -> None:
    subprocess.run(
        [str(chart.helm), "package", str(CHART), "--destination", str(tmp_path)], capture_output=True, check=True
    )
    (package,) = tmp_path.iterdir()
    assert list(Chart(chart.helm, package, (ANONYMOUS,)).render()) == list(chart.render())
    with tarfile.open(package) as archive:
        tops = {name.split("/")[1] for name in archive.getnames()}
    assert tops == {"Chart.yaml", ".helmignore", "files", "templates", "values.schema.json", "values.yaml"}


def test_the_notes_say_where_it_answers(helm: Path, tmp_path: Path) -> None:
    chart = Chart(helm, with_notes(CHART, tmp_path), (ANONYMOUS,))
    objects = chart.render({"config": {"BinderHub": {"base_url": "/services/binder"}}, "service": {"port": 8090}})
    notes = objects.one("Notes", "notes")["notes"]
    assert "http://binderhub.ns1:8090/services/binder/" in notes
    assert "curl http://localhost:8585/services/binder/versions" in notes
