"""The parts of the local cluster that need no cluster to be tested."""

import shutil
from dataclasses import replace
from pathlib import Path

import pytest
import yaml
from common.errors import UserError
from common.paths import CHART
from local_cluster import cgroups, go_toolchain, go_tools, image_mirror, layout, registries, substitute_images
from local_cluster.run import run


def test_a_tool_is_told_the_version_that_go_mod_pins() -> None:
    kubernetes = go_tools.module("kubernetes")
    major, minor, _ = kubernetes.version.removeprefix("v").split(".")
    flags = kubernetes.flags()
    assert f"k8s.io/component-base/version.gitVersion={kubernetes.version}" in flags
    assert f"k8s.io/client-go/pkg/version.gitMajor={major}" in flags
    assert f"k8s.io/client-go/pkg/version.gitMinor={minor}" in flags


@pytest.mark.parametrize("module", go_tools.MODULES, ids=lambda module: module.folder)
def test_every_module_is_pinned_and_summed(module: go_tools.Module) -> None:
    folder = go_toolchain.GO / module.folder
    assert module.version.startswith("v") is bool(module.pins)
    assert (folder / "go.sum").exists() is bool(module.pins)


def test_a_changed_module_leaves_the_others_as_they_are(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    shutil.copytree(go_toolchain.GO, tmp_path / "go")
    monkeypatch.setattr(go_tools, "GO", tmp_path / "go")
    whole, before = go_tools.key(), {module.folder: module.key for module in go_tools.MODULES}
    with (tmp_path / "go" / "netpol" / "main.go").open("a") as file:
        file.write("// changed\n")
    assert [module.folder for module in go_tools.MODULES if module.key != before[module.folder]] == ["netpol"]
    assert go_tools.key() != whole


def test_a_command_that_fails_is_told_with_its_words() -> None:
    with pytest.raises(UserError, match=r"(?s)`sh -c echo oops.*oops"):
        run("sh", "-c", "echo oops >&2; exit 3")


@pytest.mark.parametrize(
    ("image", "name"),
    [
        ("docker.io/library/debian:trixie-slim", "library/debian:trixie-slim"),
        ("quay.io/2i2c/binderhub-service:1", "quay.io/2i2c/binderhub-service:1"),
    ],
)
def test_docker_hub_is_the_root_of_the_mirror(image: str, name: str) -> None:
    assert registries.mirror_name(image) == name


def test_substitutes_have_the_names_that_the_chart_gives() -> None:
    values = yaml.safe_load((CHART / "values.yaml").read_text())
    names = {image.folder: image.substitutes for image in substitute_images.images()}
    assert names["binderhub"] == "{repository}:{tag}".format(**values["image"])
    assert names["docker"] == "{repository}:{tag}".format(**values["dockerApi"]["image"])
    assert names["repo2docker"] == values["config"]["KubernetesBuildExecutor"]["build_image"]


def test_the_daemon_is_of_the_version_that_the_chart_gives() -> None:
    values = yaml.safe_load((CHART / "values.yaml").read_text())
    assert values["dockerApi"]["image"]["tag"] == f"{go_tools.module('dockerd').told}-dind"


def test_a_substitute_is_built_anew_when_a_program_inside_changes(monkeypatch: pytest.MonkeyPatch) -> None:
    images = substitute_images.images()
    before = image_mirror.keys(images)
    changed = [replace(one, tags=("other",)) if one.folder == "dockerd" else one for one in go_tools.MODULES]
    monkeypatch.setattr(go_tools, "MODULES", tuple(changed))
    after = image_mirror.keys(images)
    assert {image.folder for image in images if before[image.substitutes] != after[image.substitutes]} == {"docker"}


def test_a_substitute_is_built_anew_when_its_base_changes() -> None:
    images = substitute_images.images()
    before = image_mirror.keys(images)
    debian, *others = images
    changed = image_mirror.keys((substitute_images.Image(**{**vars(debian), "depends": "another"}), *others))
    different = {image.folder for image in images if before[image.substitutes] != changed[image.substitutes]}
    assert different == {image.folder for image in images if image.base == "debian" or image.folder == "debian"}


def test_a_group_v2_gives_its_controllers_to_its_children(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(cgroups, "ROOT", tmp_path)
    (tmp_path / "cgroup.controllers").write_text("cpu memory pids\n")

    cgroups.make()

    assert cgroups.hierarchies() == [tmp_path]
    assert (tmp_path / "cgroup.subtree_control").read_text() == "+cpu +memory +pids"
    for host in layout.HOSTS:
        assert (tmp_path / cgroups.GROUP / host.name / cgroups.DAEMONS).is_dir()


def test_files_of_linters_do_not_change_the_key(tmp_path: Path) -> None:
    for name in ("a.py", "package/b.py", ".ruff_cache/c", "package/__pycache__/d.pyc"):
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).touch()
    assert go_tools.sources(tmp_path) == [tmp_path / "a.py", tmp_path / "package" / "b.py"]


@pytest.mark.parametrize(("what", "times"), [("file integrity checksum failed for a", 2), ("no space left", 1)])
def test_images_are_built_again_when_a_layer_in_the_cache_was_changed(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, what: str, times: int
) -> None:
    (tmp_path / "buildah").mkdir()
    filled: list[bool] = []

    def fill(_images: tuple[substitute_images.Image, ...]) -> None:
        filled.append((tmp_path / "buildah").exists())
        if filled == [True]:
            raise UserError(f"`buildah push` failed (125):\n{what}", "Fix the reason.")

    monkeypatch.setattr(image_mirror, "cache", lambda: tmp_path)
    monkeypatch.setattr(image_mirror, "_fill", fill)
    if times == 1:
        with pytest.raises(UserError):
            image_mirror.fill(())
    else:
        image_mirror.fill(())
    assert filled == [True, False][:times]
