"""The chart as GitOps tools use it: rendered and applied, changed by Kustomize, and twice in one parent chart."""

from pathlib import Path
from typing import Any

import pytest
import yaml
from common.paths import CHART, CLONE
from demonstration.target import Target
from documentation.blocks import read
from local_cluster import layout
from support.binderhub import until
from support.release import Answer, Release, merge, namespaced

pytestmark = pytest.mark.local

PAGE = CLONE / "docs" / "how-to" / "use-gitops.md"


def rendered(release: Release, changes: dict[str, Any] | None = None) -> list[dict[str, Any]]:
    """The objects that `helm template` gives, without the pod of `helm test`."""
    target = release.target
    files = [f"--values={path}" for path in target.values]
    text = target.run(
        target.helm, "template", release.name, str(CHART), f"--namespace={release.namespace}", "--no-hooks",
        *files, "--values=-", given=yaml.safe_dump(release.all_values(changes)),
    )  # fmt: skip
    return list(filter(None, yaml.safe_load_all(text)))


def tracked(objects: list[dict[str, Any]]) -> str:
    """The objects with the label that Argo CD tracks them by, as one file."""
    for found in objects:
        found["metadata"]["labels"]["app.kubernetes.io/instance"] = "the-application"
    return yaml.safe_dump_all(objects)


def kubectl(release: Release, *arguments: str, given: str = "") -> str:
    """What kubectl prints about the release's namespace; raises where it fails."""
    return release.target.run(release.target.kubectl, f"--namespace={release.namespace}", *arguments, given=given)


def wait(release: Release, prefix: str = "") -> None:
    """Wait until BinderHub and the daemons are ready."""
    for name in (f"daemonset/{prefix}docker-api", f"deployment/{prefix}binderhub"):
        kubectl(release, "rollout", "status", name, "--timeout=180s")


def built(answer: Answer) -> str:
    """The image's name, of a build that ended well."""
    assert answer.end["phase"] == "ready", answer.end
    return str(answer.end["imageName"])


def test_applied_objects_build_an_image_and_stay_as_they_are(cluster: Target) -> None:
    with namespaced(cluster) as release:
        first = tracked(rendered(release))
        kubectl(release, "apply", "--server-side", "--filename=-", given=first)
        wait(release)
        with release.reached():
            built(release.answer("first-image"))
        assert tracked(rendered(release)) == first
        kubectl(release, "diff", "--server-side", "--filename=-", given=first)

        second = tracked(rendered(release, {"buildPods": {"deadlineSeconds": 1}, "replicas": 2}))
        kubectl(release, "apply", "--server-side", "--filename=-", given=second)
        wait(release)
        with release.reached():
            release.answer("slow-step").failed("BHS704")
        kubectl(release, "diff", "--server-side", "--filename=-", given=second)
        release.nothing_left()
        remove(release, second)


def test_objects_applied_without_server_side_apply_stay_as_they_are(cluster: Target) -> None:
    """kubectl then keeps a copy of each object in an annotation, whose size is limited."""
    with namespaced(cluster) as release:
        objects = tracked(rendered(release))
        kubectl(release, "apply", "--filename=-", given=objects)
        wait(release)
        kubectl(release, "diff", "--filename=-", given=objects)
        remove(release, objects)


def remove(release: Release, objects: str) -> None:
    """Delete the objects, and wait until nothing is left of the release."""
    kubectl(release, "delete", "--filename=-", given=objects)
    kinds = "all,secrets,networkpolicies,roles,rolebindings"
    until(lambda: not kubectl(release, "get", kinds, "--output=name"), "all objects to be gone")


def kustomization(folder: Path, release: Release) -> None:
    """The last `kustomization.yaml` of the page, and what belongs to it."""
    page = read(PAGE.name, PAGE.read_bytes())
    for step in page.steps:
        if step.block.options.get("path") in ("kustomization.yaml", "names.yaml"):
            (folder / step.block.options["path"]).write_text(step.block.text)
    changes = {"certificateAuthorities": {"lab": layout.AUTHORITY.read_text()}}
    (folder / "binderhub.yaml").write_text(yaml.safe_dump_all(rendered(release, changes)))


def test_kustomize_with_a_prefix_and_labels(cluster: Target, tmp_path: Path) -> None:
    with namespaced(cluster) as release:
        kustomization(tmp_path, release)
        objects = kubectl(release, "kustomize", str(tmp_path))
        kubectl(release, "apply", "--server-side", "--filename=-", given=objects)
        wait(release, "research-")
        release.service = "research-binderhub"
        with release.reached():
            built(release.answer("first-image"))
        (pod,) = release.pods("app.kubernetes.io/component=binderhub")
        env = {one["name"]: one.get("value") for one in pod["spec"]["containers"][0]["env"]}
        names = [env[name] for name in ("PUSH_SECRET_NAME", "BUILD_PODS_AUTHORITIES")]
        assert names == ["research-build-pods-docker-config", "research-build-pods-authorities"]


def test_labels_in_selectors_leave_the_policy_of_build_pods_alone(cluster: Target, tmp_path: Path) -> None:
    """Build pods do not have these labels; a policy that asked for them would limit nothing."""
    release = Release(cluster, "unused")
    name = "binderhub-builder-network-policy"
    for way in ("labels: [{pairs: {team: research}, includeSelectors: true}]", "commonLabels: {team: research}"):
        (tmp_path / "binderhub.yaml").write_text(yaml.safe_dump_all(rendered(release)))
        (tmp_path / "kustomization.yaml").write_text(f"resources: [binderhub.yaml]\n{way}\n")
        objects = list(yaml.safe_load_all(kubectl(release, "kustomize", str(tmp_path))))
        (policy,) = [found for found in objects if found["metadata"]["name"] == name]
        assert policy["metadata"]["labels"]["team"] == "research"
        selector = {"key": "component", "operator": "In", "values": ["binderhub-build"]}
        assert policy["spec"]["podSelector"] == {"matchExpressions": [selector]}
        (deployment,) = [found for found in objects if found["kind"] == "Deployment"]
        assert deployment["spec"]["selector"]["matchLabels"]["team"] == "research"


def test_two_aliases_in_one_parent_chart_build(cluster: Target, tmp_path: Path) -> None:
    aliases = ("first", "second")
    dependency = {"name": "binderhub-service", "version": ">=0-0", "repository": f"file://{CHART}"}
    parent: dict[str, Any] = {"apiVersion": "v2", "name": "parent", "version": "0.1.0"}
    parent["dependencies"] = [{**dependency, "alias": alias} for alias in aliases]
    (tmp_path / "Chart.yaml").write_text(yaml.safe_dump(parent))
    cluster.run(cluster.helm, "dependency", "update", str(tmp_path))
    with namespaced(cluster) as release:
        values: dict[str, Any] = {alias: {} for alias in aliases}
        for alias in aliases:
            for file in cluster.values:
                merge(values[alias], yaml.safe_load(file.read_text()))
            prefix = {"BinderHub": {"image_prefix": f"{cluster.registry}/{release.namespace}/{alias}-"}}
            merge(values[alias], release.all_values({"fullnameOverride": alias, "config": prefix}))
        cluster.run(
            cluster.helm, "install", release.name, str(tmp_path), f"--namespace={release.namespace}", "--values=-",
            "--wait", "--timeout=4m", given=yaml.safe_dump(values),
        )  # fmt: skip
        daemons = {alias: daemon(release, alias) for alias in aliases}
        assert len(set(daemons.values())) == len(aliases)
        for alias in aliases:
            release.service = f"{alias}-binderhub"
            with release.reached():
                image = built(release.answer("first-image"))
            assert image.startswith(f"{cluster.registry}/{release.namespace}/{alias}-")


def daemon(release: Release, alias: str) -> str:
    """The socket of the daemons that the builds of a copy use."""
    deployment = release.target.get("deployment", f"--namespace={release.namespace}", f"{alias}-binderhub")
    env = deployment["spec"]["template"]["spec"]["containers"][0]["env"]
    return str(next(one["value"] for one in env if one["name"] == "DOCKER_API_SOCKET"))
