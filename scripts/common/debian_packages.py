"""The Debian packages that commands need, in one list, and how they get onto the machine."""

import os
import shutil
import subprocess

from common.errors import UserError
from common.progress import say, step

# One group a purpose. `python` is what the virtual environment itself needs.
GROUPS: dict[str, tuple[str, ...]] = {
    "python": ("python3-venv",),
    "lab": (
        "buildah",
        "ca-certificates",
        "conntrack",
        "containernetworking-plugins",
        "e2fsprogs",
        "gcc",
        "git",
        "iproute2",
        "ipset",
        "iptables",
        "libc6-dev",
        "libseccomp-dev",
        "mmdebstrap",
        "mount",
        "nftables",
        "pkg-config",
        "util-linux",
    ),
    "docs": ("fonts-dejavu-core", "graphviz"),
    "browser": ("chromium",),
}


def missing(groups: tuple[str, ...]) -> list[str]:
    """The packages of `groups` that dpkg does not report as installed, in order, without duplicates."""
    wanted = sorted({package for group in groups for package in GROUPS[group]})
    listed = subprocess.run(
        ["dpkg-query", "--show", "--showformat=${Package} ${db:Status-Abbrev}\n", *wanted],
        capture_output=True,
        text=True,
        check=False,  # it exits 1 when one of them is unknown, which is what is asked here
    ).stdout
    installed = {line.split()[0] for line in listed.splitlines() if line.split()[1:2] == ["ii"]}
    return [package for package in wanted if package not in installed]


def install(groups: tuple[str, ...]) -> None:
    """Install what is missing of `groups` with apt-get.

    Raises UserError where this is no Debian, or packages are missing and this is not root.
    """
    if not shutil.which("dpkg-query"):
        raise UserError("This machine has no dpkg.", "Run this on Debian 12 or newer.")
    packages = missing(groups)
    if not packages:
        return
    # Another apt-get may be at work, in these minutes after a machine's start most of all: wait for it.
    command = ["apt-get", "-o", "DPkg::Lock::Timeout=300", "install", "--yes", "--no-install-recommends", *packages]
    if os.geteuid() != 0:
        raise UserError("Some Debian packages are missing.", f"Install them with: sudo {' '.join(command)}")
    say(f"Installing Debian packages: {' '.join(packages)}")
    environment = {**os.environ, "DEBIAN_FRONTEND": "noninteractive"}
    with step("apt-get update"):
        # A third party's list may fail to load; what matters is whether the packages install.
        subprocess.run(["apt-get", "update", "-q"], capture_output=True, check=False, env=environment)
    with step("apt-get install"):
        done = subprocess.run(
            command, env=environment, stdin=subprocess.DEVNULL, capture_output=True, text=True, check=False
        )
    if done.returncode:
        raise UserError(
            f"apt-get could not install the packages:\n{(done.stdout + done.stderr).strip()[-2000:]}",
            f"Repair what apt-get says, try `{' '.join(command)}` by hand, then run this again.",
        )
