"""What a machine looks like from outside: everything that the local cluster could leave behind, as comparable lists."""

import os
import subprocess
from pathlib import Path

FOLDERS = (
    "/etc",
    "/etc/cni",
    "/opt",
    "/opt/cni",
    "/run",
    "/run/containerd",
    "/srv",
    "/var/lib",
    "/var/lib/cni",
    "/var/log",
)
SETTINGS = ("fs/inotify", "kernel", "net/bridge", "net/ipv4", "net/netfilter", "vm")
# These count, or follow what runs on the machine; nobody sets them.
MOVING = {
    "kernel/ns_last_pid", "kernel/pty/nr", "kernel/random/boot_id", "kernel/random/entropy_avail", "kernel/random/uuid",
    "kernel/threads-max", "net/netfilter/nf_conntrack_count", "vm/stat_refresh",
}  # fmt: skip
# And these lines of `nft list ruleset`.
COUNTERS = ("counter packets",)


def listing() -> dict[str, list[str]]:
    """Names of things by their kind; two of these are equal where nothing was left and nothing is missing."""
    return {
        "processes in other namespaces": _processes(),
        "mounts": sorted(line.split()[1] for line in Path("/proc/mounts").read_text().splitlines()),
        "network namespaces": _names("/run/netns"),
        "links": _names("/sys/class/net"),
        "routes": _run("ip", "route", "show", "table", "all"),
        "addresses": [" ".join(line.split()[1:4]) for line in _run("ip", "-oneline", "address")],
        "firewall": [line for line in _run("nft", "list", "ruleset") if not any(word in line for word in COUNTERS)],
        "control groups": _groups(),
        "loop devices": _run("losetup", "--all", "--noheadings", "--output=NAME,BACK-FILE"),
        "kernel settings": _settings(),
        "files": sorted(f"{folder}/{name}" for folder in FOLDERS for name in _names(folder)),
    }


def _processes() -> list[str]:
    """Processes with a network, mount or PID namespace that is not this one's, by their command."""
    own = {kind: Path(f"/proc/self/ns/{kind}").readlink() for kind in ("net", "mnt", "pid")}
    found = []
    for folder in Path("/proc").glob("[0-9]*"):
        try:
            foreign = any((folder / "ns" / kind).readlink() != name for kind, name in own.items())
            if foreign:
                found.append((folder / "cmdline").read_text().replace("\0", " ").strip())
        except OSError:  # it ended while it was looked at
            continue
    return sorted(found)


def _groups() -> list[str]:
    return sorted(folder for folder, _, _ in os.walk("/sys/fs/cgroup"))


def _settings() -> list[str]:
    found = []
    for group in SETTINGS:
        for file in Path("/proc/sys", group).rglob("*"):
            name = str(file.relative_to("/proc/sys"))
            if file.is_file() and name not in MOVING and "/conf/" not in name and "/neigh/" not in name:
                try:
                    found.append(f"{name} = {file.read_text().strip()}")
                except OSError:  # some can only be written
                    continue
    return sorted(found)


def _names(folder: str) -> list[str]:
    return sorted(path.name for path in Path(folder).iterdir()) if Path(folder).is_dir() else []


def _run(*command: str) -> list[str]:
    return sorted(subprocess.run(command, check=True, capture_output=True, text=True).stdout.splitlines())
