"""The images that the cluster runs, made from packages where the published ones cannot be reached.

Each has the published image's name and the same upstream software, and labels that say what it is.
"""

import shutil
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml
from common.errors import UserError
from common.paths import CHART

from local_cluster import go_tools
from local_cluster.layout import COREDNS_IMAGE, DEBIAN_IMAGE, PAUSE_IMAGE
from local_cluster.run import run

AUTHORITIES = Path("/etc/ssl/certs/ca-certificates.crt")


def _nothing(_context: Path) -> None:
    """An image whose folder is all it needs."""


@dataclass(frozen=True)
class Image:
    """One substitute: the folder in images/ that it is built from, and what it stands for."""

    folder: str
    substitutes: str
    """The published image's full name, under which the mirror serves it."""
    base: str = ""
    """The folder of the image it is built on; empty for none."""
    debian: tuple[str, ...] = ()
    """Debian packages whose versions are recorded in its labels."""
    python: tuple[str, ...] = ()
    """Python packages likewise, asked of `python_program`."""
    python_program: str = ""
    go: tuple[str, ...] = ()
    """Folders of go/ with the programs inside, whose versions are recorded likewise."""
    prepare: Callable[[Path], None] = _nothing
    """Puts into the build's context what is not in the folder."""
    depends: str = ""
    """What `prepare` puts there, as a hash: a change builds the image anew."""
    seconds: float = 0
    """How long the build takes on two cores, for estimates alone."""


def images(wheel: Path | None = None) -> tuple[Image, ...]:
    """All substitutes, bases first. `wheel` is one of the real BinderHub; without it the stand-in is built in."""
    values = _chart_values()
    docker = values["dockerApi"]["image"]
    binderhub = values["image"]
    return (
        Image(
            "debian",
            DEBIAN_IMAGE,
            debian=("base-files", "ca-certificates"),
            prepare=_debian,
            depends=go_tools.digest(AUTHORITIES),
            seconds=18,
        ),
        Image("pause", PAUSE_IMAGE, go=("kubernetes",), prepare=_programs("pause"), seconds=1),
        Image("coredns", COREDNS_IMAGE, go=("coredns",), prepare=_programs("coredns"), seconds=2),
        Image(
            "docker",
            f"{docker['repository']}:{docker['tag']}",
            base="debian",
            debian=("docker-cli", "docker-buildx"),
            go=("dockerd", "containerd", "runc"),
            prepare=_programs("dockerd", "docker-proxy", "containerd", "containerd-shim-runc-v2", "runc"),
            seconds=25,
        ),
        Image(
            "repo2docker",
            values["config"]["KubernetesBuildExecutor"]["build_image"],
            base="debian",
            debian=("docker-cli", "docker-buildx", "git"),
            python=("jupyter-repo2docker",),
            python_program="/opt/repo2docker/bin/python",
            seconds=19,
        ),
        Image(
            "binderhub",
            f"{binderhub['repository']}:{binderhub['tag']}",
            base="debian",
            debian=("git", "python3"),
            python=("binderhub", "jupyterhub", "kubernetes", "tornado", "traitlets"),
            python_program="python3",
            prepare=lambda context: _binderhub(context, wheel),
            depends=_binderhub_key(wheel),
            seconds=27,
        ),
    )


def _chart_values() -> dict[str, Any]:
    values: dict[str, Any] = yaml.safe_load((CHART / "values.yaml").read_text())
    return values


def _debian(context: Path) -> None:
    run("mmdebstrap", "--quiet", "--variant=minbase", "--include=ca-certificates", "trixie", str(context / "root.tar"))
    # Where the machine trusts authorities of its own, what runs in the image must, or apt and pip fail inside it.
    (context / "ca-certificates.crt").write_bytes(AUTHORITIES.read_bytes())


def _programs(*names: str) -> Callable[[Path], None]:
    """Puts programs that were built from Go modules into the context."""

    def prepare(context: Path) -> None:
        for name in names:
            shutil.copy(go_tools.folder() / name, context / name)

    return prepare


def _binderhub(context: Path, wheel: Path | None) -> None:
    from local_cluster import binderhub_wheel as wheels

    if wheel:
        (context / wheel.name).write_bytes(wheel.read_bytes())
    else:
        wheels.build_standin(context)


def _binderhub_key(wheel: Path | None) -> str:
    if not wheel:
        return "stand-in"
    if not wheel.exists():
        raise UserError(f"There is no file {wheel}.", "Name the wheel of a BinderHub that you built.")
    return go_tools.digest(wheel)
