"""The folder that BinderHub reads its configuration from, as its pod sees it."""

from pathlib import Path
from typing import Any

from chart_values.rendering import Chart
from traitlets.config import Config
from traitlets.config.loader import PyFileConfigLoader


class Mount:
    """A copy of the folder that the BinderHub pod sees."""

    def __init__(self, chart: Chart, folder: Path) -> None:
        self.chart = chart
        self.folder = folder

    def load(self, values: dict[str, Any]) -> Config:
        """Render the chart with `values`, write the Secret's files, and load the configuration."""
        for name, text in self.chart.render(values).one("Secret", "binderhub")["stringData"].items():
            (self.folder / name).write_text(text)
        return self.read()

    def read(self) -> Config:
        """Load the configuration from the files as they are."""
        config = PyFileConfigLoader("binderhub_config.py", path=str(self.folder)).load_config()
        assert isinstance(config, Config)
        return config
