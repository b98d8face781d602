"""The wheel of BinderHub that goes into its image: one that a person has built, or the stand-in's."""

import email
import hashlib
import os
import shutil
import subprocess
import sys
import tempfile
import zipfile
from dataclasses import dataclass
from pathlib import Path

from common.errors import UserError
from common.paths import SCRIPTS

IMAGE = SCRIPTS / "local_cluster" / "images" / "binderhub"
STAND_IN = IMAGE / "standin"

# What a service of its own needs of BinderHub, by the module that has it. The release on PyPI, 0.1.0, has neither.
NEEDED = {
    "binderhub/build.py": "class KubernetesBuildExecutor",
    "binderhub/app.py": "enable_api_only_mode",
}
HOW = (
    "Where Node.js is installed, build one with `pip wheel --no-deps .` in a clone of"
    " https://github.com/jupyterhub/binderhub, and name that file."
)


@dataclass(frozen=True)
class WheelInfo:
    """What a wheel says of itself."""

    name: str
    version: str
    sha256: str

    @property
    def is_standin(self) -> bool:
        """Whether it is the stand-in, whose version says so."""
        return self.version.partition("+")[2].startswith("standin")


def check_wheel(path: Path) -> WheelInfo:
    """Look into the wheel at `path`.

    Raises UserError when there is none, when it is of another project, or when it is a BinderHub that cannot run as a
    service of its own (no KubernetesBuildExecutor, no api-only mode), such as the release on PyPI.
    """
    if not path.is_file():
        raise UserError(f"There is no file {path}.", HOW)
    try:
        with zipfile.ZipFile(path) as wheel:
            name, version = _metadata(wheel)
            modules = {module: _text(wheel, module) for module in NEEDED}
    except (zipfile.BadZipFile, ValueError) as wrong:
        raise UserError(f"{path} is not a wheel: {wrong}.", HOW) from wrong
    if name.lower() != "binderhub":
        raise UserError(f"{path} is a wheel of {name}, not of binderhub.", HOW)
    for module, words in NEEDED.items():
        if words not in modules[module]:
            raise UserError(
                f"{path} is binderhub {version}, which has no `{words.split()[-1]}`: it cannot run as a service.",
                f"PyPI's binderhub is such an old one. {HOW}",
            )
    return WheelInfo(name, version, hashlib.sha256(path.read_bytes()).hexdigest())


def build_standin(destination: Path) -> Path:
    """Build the stand-in's wheel into the folder `destination` and return its path.

    It needs no network, and the same source gives the same bytes.
    """
    with tempfile.TemporaryDirectory() as scratch:
        source = Path(scratch) / "source"
        shutil.copytree(STAND_IN, source, ignore=shutil.ignore_patterns("__pycache__"))
        for file in source.rglob("*"):
            file.chmod(0o755 if file.is_dir() else 0o644)  # a wheel keeps modes, and a clone's depend on the umask
        command = [sys.executable, "-m", "pip", "wheel", "--quiet", "--no-index", "--no-deps", "--no-build-isolation"]
        done = subprocess.run(
            [*command, "--wheel-dir", scratch, str(source)],
            env={**os.environ, "SOURCE_DATE_EPOCH": "1577836800"},
            capture_output=True,
            text=True,
            check=False,
        )
        if done.returncode:
            raise UserError(
                f"The stand-in's wheel cannot be built:\n{(done.stdout + done.stderr).strip()[-2000:]}",
                "Undo changes below scripts/local_cluster/images/binderhub/standin, then run this again.",
            )
        (wheel,) = Path(scratch).glob("*.whl")
        return Path(shutil.copy(wheel, destination / wheel.name))


def _metadata(wheel: zipfile.ZipFile) -> tuple[str, str]:
    found = [name for name in wheel.namelist() if name.count("/") == 1 and name.endswith(".dist-info/METADATA")]
    if len(found) != 1:
        raise ValueError("it has no METADATA")
    metadata = email.message_from_bytes(wheel.read(found[0]))
    if not metadata["Name"] or not metadata["Version"]:
        raise ValueError("its METADATA has no name or version")
    return metadata["Name"], metadata["Version"]


def _text(wheel: zipfile.ZipFile, module: str) -> str:
    return wheel.read(module).decode("utf-8", "replace") if module in wheel.namelist() else ""
