import sys
from collections.abc import Iterator
from pathlib import Path
from types import ModuleType
from unittest.mock import MagicMock

import pytest
from chart_values.rendering import ANONYMOUS, Chart, Objects
from local_cluster import go_tools
from support.config_mount import Mount
from support.notes import Notes
from traitlets import Dict


class GitRepoProvider:
    """In place of BinderHub's, of which the configuration makes a subclass."""


class BinderHub:
    """In place of the application that loads the configuration."""

    @classmethod
    def class_traits(cls) -> dict[str, Dict]:
        return {"repo_providers": Dict({"gh": "BinderHub's", "git": GitRepoProvider})}


@pytest.fixture(scope="session", autouse=True)
def binderhub_modules() -> Iterator[None]:
    """What the configuration looks at in BinderHub and tornado, which are not among the tests' own packages."""
    with pytest.MonkeyPatch.context() as patch:
        for name in ("tornado", "tornado.httpclient", "tornado.web"):
            patch.setitem(sys.modules, name, MagicMock())
        for name in ("binderhub", "binderhub.app", "binderhub.builder", "binderhub.repoproviders"):
            patch.setitem(sys.modules, name, ModuleType(name))
        patch.setattr(sys.modules["binderhub.app"], "BinderHub", BinderHub, raising=False)
        patch.setattr(sys.modules["binderhub.repoproviders"], "GitRepoProvider", GitRepoProvider, raising=False)
        patch.setattr(sys.modules["binderhub.builder"], "BuildHandler", MagicMock(), raising=False)
        yield


@pytest.fixture(scope="session")
def helm() -> Path:
    return go_tools.folder() / "helm"


@pytest.fixture(scope="session")
def chart(helm: Path) -> Chart:
    return Chart(helm, first=(ANONYMOUS,))


@pytest.fixture(scope="session")
def defaults(chart: Chart) -> Objects:
    """Release `rel` in namespace `ns1`, with no value but that anybody may build."""
    return chart.render()


@pytest.fixture
def mount(chart: Chart, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Mount:
    """The folder, and the environment that the chart's own snippets read."""
    monkeypatch.setenv("PUSH_SECRET_NAME", "the-push-secret")
    monkeypatch.setenv("DOCKER_API_SOCKET", "/run/somewhere/docker-api.sock")
    return Mount(chart, tmp_path)


@pytest.fixture(scope="session")
def notes(helm: Path, tmp_path_factory: pytest.TempPathFactory) -> Notes:
    return Notes.of(helm, tmp_path_factory.mktemp("notes") / "chart")
