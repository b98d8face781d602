"""Rendering of the chart: the Kubernetes objects that `helm template` prints for some values."""

import json
import subprocess
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import yaml
from common.errors import UserError
from common.paths import CHART

Object = dict[str, Any]

ANONYMOUS = Path(__file__).with_name("anonymous.yaml")
"""A values file with the one value that has no usable default: who may build."""


LOADER = getattr(yaml, "CSafeLoader", yaml.SafeLoader)
"""The one in C takes a twentieth of the time, and tests render the chart two thousand times."""


@dataclass(frozen=True)
class Objects:
    """The objects of one release, in Helm's order."""

    everything: list[Object]

    def __iter__(self) -> Iterator[Object]:
        """One object after the other."""
        return iter(self.everything)

    def names(self) -> set[tuple[str, str]]:
        """(kind, name) of each."""
        return {(found["kind"], found["metadata"]["name"]) for found in self}

    def one(self, kind: str, name: str) -> Object:
        """The object of this kind and name; raises KeyError, with what there is instead, when there is none."""
        for found in self:
            if (found["kind"], found["metadata"]["name"]) == (kind, name):
                return found
        raise KeyError(f"no {kind} {name} in {sorted(self.names())}")


@dataclass(frozen=True)
class Chart:
    """A chart and the Helm that renders it."""

    helm: Path
    folder: Path = field(default=CHART)
    first: tuple[Path, ...] = ()
    """Values files that every rendering begins with."""

    def render(
        self,
        values: Mapping[str, Any] | None = None,
        *,
        files: tuple[Path, ...] = (),
        release: str = "rel",
        namespace: str = "ns1",
    ) -> Objects:
        """Render the chart with values files and, stronger than these, `values`.

        Raises UserError with Helm's words when it refuses: the schema, or a guard in a template.
        """
        words = [str(self.helm), "template", release, str(self.folder), "--namespace", namespace]
        words += [word for file in (*self.first, *files) for word in ("--values", str(file))]
        done = subprocess.run(
            [*words, "--values", "-"],
            input=json.dumps(values or {}),  # not in argv, which others on the machine can read
            capture_output=True,
            text=True,
            check=False,
        )
        if done.returncode:
            raise UserError(f"Helm refuses these values: {done.stderr.strip()}", "Correct what it names.")
        return Objects([found for found in yaml.load_all(done.stdout, LOADER) if found])
