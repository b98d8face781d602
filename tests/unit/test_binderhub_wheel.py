"""Which wheels are let into BinderHub's image, and what is said of the others."""

import hashlib
import zipfile
from pathlib import Path

import pytest
from common.errors import UserError
from local_cluster import binderhub_wheel

STANDALONE = {
    "binderhub/build.py": "class KubernetesBuildExecutor(BuildExecutor): ...",
    "binderhub/app.py": "enable_api_only_mode = Bool(False)",
}


def write_wheel(path: Path, files: dict[str, str], name: str = "binderhub", version: str = "0.2.0+n1") -> Path:
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr(f"{name}-{version}.dist-info/METADATA", f"Name: {name}\nVersion: {version}\n\nText")
        for file, text in files.items():
            archive.writestr(file, text)
    return path


def test_a_wheel_that_can_run_as_a_service_is_described(tmp_path: Path) -> None:
    path = write_wheel(tmp_path / "binderhub.whl", STANDALONE)
    info = binderhub_wheel.check_wheel(path)
    assert info == binderhub_wheel.WheelInfo("binderhub", "0.2.0+n1", hashlib.sha256(path.read_bytes()).hexdigest())
    assert not info.is_standin


def test_no_such_file(tmp_path: Path) -> None:
    with pytest.raises(UserError) as raised:
        binderhub_wheel.check_wheel(tmp_path / "missing.whl")
    assert raised.value.what == f"There is no file {tmp_path / 'missing.whl'}."
    assert "pip wheel" in raised.value.next_step


def test_a_folder_is_no_wheel(tmp_path: Path) -> None:
    with pytest.raises(UserError, match="There is no file"):
        binderhub_wheel.check_wheel(tmp_path)


def test_a_file_that_is_no_archive(tmp_path: Path) -> None:
    path = tmp_path / "binderhub-1-py3-none-any.whl"
    path.write_bytes(b"not a zip")
    with pytest.raises(UserError, match="is not a wheel"):
        binderhub_wheel.check_wheel(path)


def test_an_archive_without_metadata(tmp_path: Path) -> None:
    path = tmp_path / "binderhub-1-py3-none-any.whl"
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("binderhub/app.py", "")
    with pytest.raises(UserError, match="is not a wheel: it has no METADATA"):
        binderhub_wheel.check_wheel(path)


def test_a_wheel_whose_metadata_says_nothing(tmp_path: Path) -> None:
    path = tmp_path / "binderhub-1-py3-none-any.whl"
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("binderhub-1.dist-info/METADATA", "Summary: none\n")
    with pytest.raises(UserError, match="no name or version"):
        binderhub_wheel.check_wheel(path)


def test_a_wheel_of_another_project(tmp_path: Path) -> None:
    with pytest.raises(UserError, match=r"is a wheel of jupyterhub, not of binderhub"):
        binderhub_wheel.check_wheel(write_wheel(tmp_path / "x.whl", STANDALONE, name="jupyterhub"))


@pytest.mark.parametrize("missing", ["binderhub/build.py", "binderhub/app.py"])
@pytest.mark.parametrize("how", ["no such module", "module without it"])
def test_a_binderhub_too_old_for_a_service(tmp_path: Path, missing: str, how: str) -> None:
    files = {**STANDALONE, missing: "class Build: ..."}
    if how == "no such module":
        del files[missing]
    with pytest.raises(UserError, match=r"is binderhub 0\.1\.0, which has no") as raised:
        binderhub_wheel.check_wheel(write_wheel(tmp_path / "x.whl", files, version="0.1.0"))
    assert "PyPI" in raised.value.next_step


def test_the_standin_builds_offline_and_passes_the_check(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PIP_INDEX_URL", "http://127.0.0.1:9/")
    path = binderhub_wheel.build_standin(tmp_path)
    info = binderhub_wheel.check_wheel(path)
    assert path.parent == tmp_path
    assert path.name == f"binderhub-{info.version}-py3-none-any.whl"
    assert info.is_standin


def test_the_standin_is_the_same_bytes_each_time(tmp_path: Path) -> None:
    digests = []
    for name in ("one", "two"):
        (tmp_path / name).mkdir()
        digests.append(binderhub_wheel.check_wheel(binderhub_wheel.build_standin(tmp_path / name)).sha256)
    assert digests[0] == digests[1]


def test_a_source_that_does_not_build_is_a_problem(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    broken = tmp_path / "broken"
    broken.mkdir()
    (broken / "pyproject.toml").write_text('[build-system]\nrequires = []\nbuild-backend = "nothing"\n')
    monkeypatch.setattr(binderhub_wheel, "STAND_IN", broken)
    with pytest.raises(UserError, match="cannot be built"):
        binderhub_wheel.build_standin(tmp_path)
