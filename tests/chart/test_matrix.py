"""Many values, each rendered by both Helms, and judged by Kubernetes' schemas and by what its selectors select."""

import copy
import functools
import re
import subprocess
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import kubernetes_validate  # type: ignore[import-untyped]
import pytest
import yaml
from binderhub_service.docker_engine import DockerEngine
from binderhub_service.manifests import BuildSpec, make_pod
from chart_values.rendering import ANONYMOUS, Chart, Object, Objects
from common.paths import CHART
from support.helm3 import program as helm3_program
from support.value_effects import put, with_notes

HERE = Path(__file__).parent
VERSIONS = (
    yaml.safe_load((CHART / "Chart.yaml").read_text())["kubeVersion"].removeprefix(">=").removesuffix(".0-0"),
    "1.37",
)


def cases() -> dict[str, dict[str, Any]]:
    """Values by a name: the defaults, production's, each change that is admitted, and some that go together."""
    found: dict[str, dict[str, Any]] = {"defaults": {}}
    for file in sorted((HERE / "values").glob("*.yaml")):
        found[file.stem] = yaml.safe_load(file.read_text())
    for path, change in yaml.safe_load((HERE / "changes.yaml").read_text()).items():
        if "refused" not in change:
            found[path] = put(change.get("with", {}), path, change["to"])
    names = {"fullnameOverride": None, "nameOverride": "bs"}
    for name in ("defaults", *(file.stem for file in (HERE / "values").glob("*.yaml"))):
        found[f"{name}, with other names"] = {**found[name], **names}
        found[f"{name}, with builds elsewhere"] = {**found[name], "buildPods": {"namespace": "builds"}}
        found[f"{name}, by upstream's class"] = {**found[name], "buildPods": {"executor": "upstream"}}
    return found


CASES = cases()


@pytest.fixture(scope="session")
def rendered(helm: Path, tmp_path_factory: pytest.TempPathFactory) -> Any:
    """The objects of a case, notes included."""
    chart = Chart(helm, with_notes(CHART, tmp_path_factory.mktemp("four")), (ANONYMOUS,))

    @functools.cache
    def render(case: str) -> Objects:
        return chart.render(CASES[case])

    return render


@pytest.fixture(scope="session")
def by_helm3(tmp_path_factory: pytest.TempPathFactory) -> Chart:
    return Chart(helm3_program(), with_notes(CHART, tmp_path_factory.mktemp("three")), (ANONYMOUS,))


def of_kubernetes(objects: Objects) -> list[Object]:
    """Without the notes, and without kinds that a cluster learns of an add-on, of which nothing here has the schema."""
    others = ("gateway.networking.k8s.io/", "monitoring.coreos.com/")
    return [one for one in objects if one["kind"] != "Notes" and not one["apiVersion"].startswith(others)]


@pytest.mark.parametrize("case", CASES)
def test_helm_3_and_helm_4_render_the_same(rendered: Any, by_helm3: Chart, case: str) -> None:
    def ordered(objects: Objects) -> list[Object]:
        for one in objects:  # templates/tests says why the two need it to be different
            one["metadata"].get("annotations", {}).pop("helm.sh/hook-output-log-policy", None)
        return sorted(objects, key=lambda one: (one["kind"], one["metadata"]["name"], str(one["metadata"])))

    assert ordered(by_helm3.render(CASES[case])) == ordered(rendered(case))


@pytest.mark.parametrize("kubernetes", VERSIONS)
@pytest.mark.parametrize("case", CASES)
def test_every_object_is_of_the_schema(rendered: Any, case: str, kubernetes: str) -> None:
    for one in of_kubernetes(rendered(case)):
        if kubernetes == VERSIONS[0] and one["apiVersion"] == "admissionregistration.k8s.io/v1":
            continue  # newer than that, which a guard says
        assert kubernetes_validate.validate(one, kubernetes, strict=True) == kubernetes


def build_pod() -> Object:
    """What the executor makes."""
    wanted = BuildSpec(
        name="build-x",
        owner="0123456789",
        namespace="ns1",
        repo="https://git.example/a",
        ref="0" * 40,
        image_name="registry.example/a:b",
        repo2docker=["jupyter-repo2docker", "--push"],
        build_image="quay.io/jupyterhub/repo2docker:1",
        start_seconds=10,
        push_secret="build-pods-docker-config",  # noqa: S106 - its name
    )
    return make_pod(
        wanted, DockerEngine("/run/binderhub-service/0123456789/docker-api.sock", uses_docker_api_pods=True), "build-x"
    )


def selectors(objects: Objects) -> Iterator[tuple[str, Mapping[str, str]]]:
    """Every selector of pods by its object."""
    for one in of_kubernetes(objects):
        spec = one.get("spec", {})
        name = f"{one['kind']} {one['metadata']['name']}"
        for found in (spec.get("selector"), spec.get("podSelector")):
            if found and "matchExpressions" in found:
                assert [one["operator"] for one in found["matchExpressions"]] == ["In"]
                yield name, {one["key"]: value for one in found["matchExpressions"] for value in one["values"]}
            elif found:
                yield name, found.get("matchLabels", found)


@pytest.mark.parametrize("case", CASES)
def test_a_selector_selects_the_pods_of_one_kind_and_no_others(rendered: Any, case: str) -> None:
    objects = rendered(case)
    pods = {
        f"{one['kind']} {one['metadata']['name']}": one["spec"]["template"]["metadata"]["labels"]
        for one in objects
        if one["kind"] in ("Deployment", "DaemonSet")
    }
    pods["build"] = build_pod()["metadata"]["labels"]
    # Of another release in the same namespace, everything else being equal.
    others = [{**labels, "app.kubernetes.io/instance": "other"} for kind, labels in pods.items() if kind != "build"]
    found = dict(selectors(objects))
    assert len(found) >= 3
    for name, selector in found.items():
        selected = [kind for kind, labels in pods.items() if selector.items() <= labels.items()]
        assert len(selected) == 1, (name, selected)
        assert not [labels for labels in others if selector.items() <= labels.items()], name
        if name in pods:
            assert selected == [name]


@pytest.mark.parametrize("case", CASES)
def test_notes_are_whole(rendered: Any, case: str) -> None:
    notes = rendered(case).one("Notes", "notes")["notes"]
    assert "kubectl --namespace ns1 get pods" in notes
    assert not re.search(r"<no value>|%!|map\[", notes)


def test_helm_3_lints_it_strictly() -> None:
    for file in (ANONYMOUS, *sorted((HERE / "values").glob("*.yaml"))):
        words = ["--values", str(file)]
        done = subprocess.run(
            [str(helm3_program()), "lint", "--strict", *words, str(CHART)], capture_output=True, text=True, check=False
        )
        assert done.returncode == 0, done.stdout + done.stderr


def test_the_schemas_differ_between_the_versions(rendered: Any) -> None:
    """Else the oldest one would prove nothing."""
    deployment = copy.deepcopy(next(one for one in rendered("defaults") if one["kind"] == "Deployment"))
    deployment["spec"]["template"]["spec"]["resources"] = {"limits": {"cpu": "1"}}  # a pod's own, new in 1.32
    kubernetes_validate.validate(deployment, VERSIONS[1], strict=True)
    with pytest.raises(kubernetes_validate.ValidationError, match="resources"):
        kubernetes_validate.validate(deployment, VERSIONS[0], strict=True)
