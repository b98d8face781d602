"""Programs from Go modules that the go.mod and go.sum files in go/ pin: the cluster's, and one that reads workflows."""

import fcntl
import hashlib
import re
from dataclasses import dataclass, field
from pathlib import Path

from common.paths import cache, is_complete, mark_complete
from common.progress import say, step
from common.time_estimate import Estimate

from local_cluster.go_toolchain import GO, find_go, go
from local_cluster.layout import PAUSE_IMAGE
from local_cluster.run import run


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
    seconds: float = field(default=0, repr=False)
    """How long the build takes on two cores when nothing is cached, after those before it; for estimates alone."""

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
    Module("kubernetes", "k8s.io/kubernetes", _KUBERNETES_VERSIONS, seconds=410),
    Module(
        "containerd",
        "github.com/containerd/containerd/v2",
        ("github.com/containerd/containerd/v2/version.Version",),
        tags=("no_btrfs", "no_devmapper", "no_zfs"),
        seconds=58,
    ),
    Module("runc", "github.com/opencontainers/runc", tags=("seccomp",), cgo=True, seconds=11),
    Module(
        "dockerd",
        "github.com/moby/moby/v2",
        ("github.com/moby/moby/v2/dockerversion.Version",),
        tags=("no_btrfs",),
        # Moby tags each release twice: v2.0.0-beta.15 is docker-v29.5.2, of the same day.
        release="29.5.2",
        seconds=120,
    ),
    Module("coredns", "github.com/coredns/coredns", seconds=114),
    Module("helm", "helm.sh/helm/v4", ("helm.sh/helm/v4/internal/version.version",), seconds=96),
    Module(
        "registry",
        "github.com/distribution/distribution/v3",
        ("github.com/distribution/distribution/v3/version.version",),
        seconds=60,
    ),
    Module("gitserver", "", seconds=1),
    Module("netpol", "github.com/cloudnativelabs/kube-router", seconds=51),
    Module("actionlint", "github.com/rhysd/actionlint", seconds=3),
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

    Raises UserError when no Go can be had, or it fails.
    """
    if built():
        return
    with (cache() / "bin.lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if built():
            return
        destination = _folder()
        destination.mkdir(exist_ok=True)
        # Each is kept by itself too, so that a change of one leaves the others as they are.
        parts = {one: cache() / f"go-{one.folder}-{one.key}" for one in MODULES}
        missing = [one for one in MODULES if not is_complete(parts[one])]
        if missing:
            find_go()  # a Go that has to be installed is a step of its own
            say("Building Kubernetes and its companions from their Go modules, once")
        estimate = Estimate([one.seconds for one in missing])
        for number, one in enumerate(missing, start=1):
            what = f"{one.folder} {one.version}".strip()
            with step(f"go build {what} ({number} of {len(missing)})", estimate):
                _build(one, parts[one])
            mark_complete(parts[one], f"go-{one.folder}-*")
        for part in parts.values():
            _link(part, destination)
        _build_pause(destination)
        mark_complete(destination, "bin-*")


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
    flags = ["-trimpath", "-tags", ",".join(one.tags), "-ldflags", " ".join(one.flags())]
    what = "tool" if one.pins else "."
    go("build", *flags, "-o", f"{destination}/", what, cwd=GO / one.folder, cgo=one.cgo)


def _build_pause(destination: Path) -> None:
    """Compile the program of the pause image, which comes as C with the Kubernetes module."""
    listed = go("list", "-m", "-f", "{{.Dir}}", "k8s.io/kubernetes", cwd=GO / "kubernetes")
    source = Path(listed.strip()) / "build" / "pause" / "linux" / "pause.c"
    version = f"-DVERSION={PAUSE_IMAGE.rpartition(':')[2]}"
    run("gcc", "-Os", "-static", version, "-o", str(destination / "pause"), str(source))
