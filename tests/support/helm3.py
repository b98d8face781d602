"""Helm 3, built from the Go module that helm3/go.mod pins. Nothing but these tests needs it."""

import fcntl
import re
from pathlib import Path

from common.paths import cache, is_complete, mark_complete
from local_cluster import go_toolchain, go_tools

MODULE = Path(__file__).parent / "helm3_module"
FILES = MODULE / "go.mod", MODULE / "go.sum"


def program() -> Path:
    """The program, built first if it is not in the cache (a minute or two)."""
    folder = cache() / f"helm3-{go_tools.digest(*FILES)}"
    folder.mkdir(parents=True, exist_ok=True)
    with (folder / "lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if not is_complete(folder):
            _build(folder)
            mark_complete(folder, "helm3-*")
    return folder / "helm"


def _build(folder: Path) -> None:
    # Without them Helm 3 believes in Kubernetes 1.20 where no cluster says otherwise. Releases of it have the version
    # of the client library that they are made of.
    found = re.search(r"k8s.io/client-go v0\.(\d+)\.", FILES[0].read_text())
    assert found
    words = ["-s", "-w"]
    for package in ("pkg/chartutil", "pkg/lint/rules"):
        for name, number in (("Major", "1"), ("Minor", found[1])):
            words += ["-X", f"helm.sh/helm/v3/{package}.k8sVersion{name}={number}"]
    flags = ["-trimpath", "-ldflags", " ".join(words)]
    go_toolchain.go("build", *flags, "-o", str(folder / "helm"), "tool", cwd=MODULE, timeout=900)
