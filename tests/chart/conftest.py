from pathlib import Path

import pytest
from chart.mount import Mount
from chart.notes import Notes
from lab import tools
from values.rendering import ANONYMOUS, Chart, Objects


@pytest.fixture(scope="session")
def helm() -> Path:
    return tools.folder() / "helm"


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
