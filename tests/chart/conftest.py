from pathlib import Path

import pytest
from lab import tools
from values.rendering import Chart, Objects


@pytest.fixture(scope="session")
def helm() -> Path:
    return tools.folder() / "helm"


@pytest.fixture(scope="session")
def chart(helm: Path) -> Chart:
    return Chart(helm)


@pytest.fixture(scope="session")
def defaults(chart: Chart) -> Objects:
    """Release `rel` in namespace `ns1`, with no values."""
    return chart.render()
