"""Programs from Go modules that the go.mod and go.sum files in go/ pin: the cluster's, and one that reads workflows."""

import fcntl
import hashlib
import os
import re
import shutil
import subprocess
from dataclasses import dataclass, field
from pathlib import Path

from machine.paths import SCRIPTS, cache, is_complete, mark_complete
from machine.problem import Problem
from machine.say import say, step

from lab.layout import PAUSE_IMAGE
from lab.run import run

GO = SCRIPTS / "lab" / "go"
GO_NEEDED = (1, 26)


@dataclass(frozen=True)
class Module:
    """One folder of go/ and how its tools are built."""

    folder: str
    pins: str
    """The Go module whose version is the tools' version."""
    version_variables: tuple[str, ...] = ()
    """Go variables that hold the version; a `go install`ed program would call itself v0.0.0 without them."""
    tags: tuple[str, ...] = ()
    cgo: bool = False
    release: str = field(default="", repr=False)
    """The version that the programs report, where their project releases them under another than the module's."""

    @property
    def version(self) -> str:
        """The version that go.mod pins, such as v1.37.2; empty for a module of our own."""
        text = (GO / self.folder / "go.mod").read_text()
        found = re.search(rf"^(?:require |\t){re.escape(self.pins)} (v\S+)", text, re.MULTILINE)
        return found[1] if found else ""

    @property
    def told(self) -> str:
        """The version that the programs report."""
        return self.release or self.version

    def flags(self) -> list[str]:
        """The linker's flags that put the version into the programs."""
        words = ["-s", "-w"]
        major, minor, *_ = [*self.version.lstrip("v").split("."), "", ""]
        values = {"gitMajor": major, "gitMinor": minor}
        for variable in self.version_variables:
            value = values.get(variable.rpartition(".")[2], self.told)
            words += ["-X", f"{variable}={value}"]
        return words

    @property
    def key(self) -> str:
        """What its programs depend on, as a short hash: its Go files and how they are built."""
        digest = hashlib.sha256()
        for file in sources(GO / self.folder):
            digest.update(f"{file.relative_to(GO)}\0".encode() + file.read_bytes())
        digest.update(f"{self!r}{self.release}".encode())
        return digest.hexdigest()[:16]


_KUBERNETES_VERSIONS = tuple(
    f"k8s.io/{package}.{name}"
    for package in ("component-base/version", "client-go/pkg/version")
    for name in ("gitVersion", "gitMajor", "gitMinor")
)

MODULES = (
    Module("kubernetes", "k8s.io/kubernetes", _KUBERNETES_VERSIONS),
    Module(
        "containerd",
        "github.com/containerd/containerd/v2",
        ("github.com/containerd/containerd/v2/version.Version",),
        tags=("no_btrfs", "no_devmapper", "no_zfs"),
    ),
    Module("runc", "github.com/opencontainers/runc", tags=("seccomp",), cgo=True),
    Module(
        "dockerd",
        "github.com/moby/moby/v2",
        ("github.com/moby/moby/v2/dockerversion.Version",),
        tags=("no_btrfs",),
        # Moby tags each release twice: v2.0.0-beta.15 is docker-v29.5.2, of the same day.
        release="29.5.2",
    ),
    Module("coredns", "github.com/coredns/coredns"),
    Module("helm", "helm.sh/helm/v4", ("helm.sh/helm/v4/internal/version.version",)),
    Module(
        "registry",
        "github.com/distribution/distribution/v3",
        ("github.com/distribution/distribution/v3/version.version",),
    ),
    Module("gitserver", ""),
    Module("netpol", "github.com/cloudnativelabs/kube-router"),
    Module("actionlint", "github.com/rhysd/actionlint"),
)


def module(folder: str) -> Module:
    """The module of one folder of go/."""
    return next(module for module in MODULES if module.folder == folder)


def key() -> str:
    """What all the built programs depend on, as a short hash."""
    return hashlib.sha256(" ".join(one.key for one in MODULES).encode()).hexdigest()[:16]


def folder() -> Path:
    """The folder with all the programs (helm, kubectl, registry …), built first if they are not in the cache."""
    build()
    return _folder()


def built() -> bool:
    """Whether the cache holds the programs of this key already."""
    return is_complete(_folder())


def build() -> None:
    """Build what is missing; safe against a second builder, and against being interrupted between two modules.

    Raises Problem when Go is missing, too old, or fails.
    """
    if built():
        return
    check_go()
    with (cache() / "bin.lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if built():
            return
        destination = _folder()
        destination.mkdir(exist_ok=True)
        say("Building Kubernetes and its companions from their Go modules (10 minutes on 2 cores, once)")
        for number, one in enumerate(MODULES, start=1):
            # Each is kept by itself too, so that a change of one leaves the others as they are.
            part = cache() / f"go-{one.folder}-{one.key}"
            if not is_complete(part):
                with step(f"go build {one.folder} {one.version} ({number} of {len(MODULES)})"):
                    _build(one, part)
                mark_complete(part, f"go-{one.folder}-*")
            _link(part, destination)
        _build_pause(destination)
        mark_complete(destination, "bin-*")


def check_go() -> None:
    """Raise Problem unless a Go is on PATH that is new enough for the go.mod files."""
    wanted = ".".join(map(str, GO_NEEDED))
    go = shutil.which("go")
    if not go:
        raise Problem("Go is not on PATH.", f"Install Go {wanted} or newer as https://go.dev/doc/install says.")
    # Asked where a go.mod is: a Go that brings newer ones along by itself answers with the one that it would take.
    asked = [go, "env", "GOVERSION"]
    text = subprocess.run(asked, cwd=GO / "kubernetes", capture_output=True, text=True, check=False).stdout
    found = re.match(r"go(\d+)\.(\d+)", text)
    if not found or (int(found[1]), int(found[2])) < GO_NEEDED:
        raise Problem(
            f"Go is {text.strip().removeprefix('go') or 'of a version that it does not tell'}, too old.",
            f"Install Go {wanted} or newer as https://go.dev/doc/install says.",
        )


def sources(folder: Path) -> list[Path]:
    """The files below `folder`, in order, without what linters and interpreters leave there."""
    files = [path for path in folder.rglob("*") if path.is_file()]
    return sorted(
        file for file in files if not any(part.startswith((".", "__")) for part in file.relative_to(folder).parts[:-1])
    )


def digest(*files: Path) -> str:
    """A short hash of the contents of `files`."""
    return hashlib.sha256(b"".join(hashlib.sha256(file.read_bytes()).digest() for file in files)).hexdigest()[:16]


def _folder() -> Path:
    return cache() / f"bin-{key()}"


def _link(part: Path, destination: Path) -> None:
    for program in part.iterdir():
        linked = destination / program.name
        if program.name != "complete" and not linked.exists():
            linked.hardlink_to(program)


def _build(one: Module, destination: Path) -> None:
    what = ["tool"] if one.pins else ["."]
    command = ["go", "build", "-trimpath", "-tags", ",".join(one.tags), "-ldflags", " ".join(one.flags())]
    done = subprocess.run(
        [*command, "-o", f"{destination}/", *what],
        cwd=GO / one.folder,
        env={**os.environ, "CGO_ENABLED": "1" if one.cgo else "0", "GOFLAGS": "-mod=readonly -buildvcs=false"},
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        check=False,
    )
    if done.returncode:
        raise Problem(
            f"Building {one.folder} failed:\n{done.stderr.strip()[-2000:]}",
            "Check that this machine reaches its Go module proxy and has free disk, then run this again.",
        )


def _build_pause(destination: Path) -> None:
    """Compile the program of the pause image, which comes as C with the Kubernetes module."""
    listed = run("go", "list", "-m", "-f", "{{.Dir}}", "k8s.io/kubernetes", cwd=GO / "kubernetes")
    source = Path(listed.strip()) / "build" / "pause" / "linux" / "pause.c"
    version = f"-DVERSION={PAUSE_IMAGE.rpartition(':')[2]}"
    run("gcc", "-Os", "-static", version, "-o", str(destination / "pause"), str(source))
