"""What Helm says after an installation or an upgrade, without a cluster."""

import json
import re
import shutil
import subprocess
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml
from chart_values.rendering import ANONYMOUS
from common.errors import UserError
from common.paths import CHART

# `helm template` shows no notes, and `helm upgrade` wants a cluster. So a template includes them.
AS_AN_OBJECT = """\
apiVersion: v1
kind: ConfigMap
metadata:
  name: notes
data:
  notes: {{ include (print .Template.BasePath "/NOTES.txt") . | toJson }}
"""


@dataclass(frozen=True)
class Notes:
    """A copy of the chart whose notes are an object."""

    helm: Path
    folder: Path

    @classmethod
    def of(cls, helm: Path, folder: Path) -> "Notes":
        """Copy the chart to `folder`."""
        shutil.copytree(CHART, folder)
        (folder / "templates" / "notes.yaml").write_text(AS_AN_OBJECT)
        return cls(helm, folder)

    def __call__(self, values: Mapping[str, Any], *, upgrade: bool = False) -> str:
        """The notes of release `rel` in namespace `ns1`; raises UserError where Helm refuses the values."""
        words = [str(self.helm), "template", "rel", str(self.folder), "--namespace", "ns1"]
        words += ["--values", str(ANONYMOUS), "--values", "-"]
        words += ["--show-only", "templates/notes.yaml", *(["--is-upgrade"] if upgrade else [])]
        done = subprocess.run(words, input=json.dumps(values), capture_output=True, text=True, check=False)
        if done.returncode:
            raise UserError(f"Helm refuses these values: {done.stderr.strip()}", "Correct what it names.")
        notes: str = yaml.safe_load(done.stdout)["data"]["notes"]
        return notes

    def warnings(self, values: Mapping[str, Any], *, upgrade: bool = False) -> list[str]:
        """The sentences behind WARNING."""
        return re.findall("^WARNING: (.*)$", self(values, upgrade=upgrade), re.MULTILINE)
