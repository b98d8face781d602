"""Booting a host: its namespaces from outside, and its first process inside them.

`python3 -m local_cluster.hosts NAME` is that first process. When it ends, the kernel ends everything in its PID
namespace, and removes the mounts with the mount namespace. Nothing of a host survives its shutdown.
"""

import os
import socket
import subprocess
import sys
from pathlib import Path

from common.paths import SCRIPTS

from local_cluster import cgroups, control_plane, go_tools, worker_node
from local_cluster.layout import (
    CONTROL,
    GIT_ADDRESS,
    GIT_NAME,
    HOSTS,
    LOGS,
    REGISTRY_ADDRESS,
    REGISTRY_NAME,
    Host,
    host,
)
from local_cluster.run import run
from local_cluster.supervisor import supervise

OWN_FOLDERS = {"lib": "/var/lib", "log": "/var/log"}
DISK_SIZE = 40 << 30
SETTINGS = ("net/ipv4/ip_forward", "net/bridge/bridge-nf-call-iptables", "net/bridge/bridge-nf-call-ip6tables")


def make_disk(target: Host) -> None:
    """Make the host's disk: one file, which holds only what is written to it and is deleted in an instant.

    Without a journal: the disk does not outlive the cluster.
    """
    image = target.home / "disk.img"
    with image.open("wb") as file:
        file.truncate(DISK_SIZE)
    run("mkfs.ext4", "-q", "-O", "^has_journal", "-E", "lazy_itable_init=1", str(image))


def start(name: str) -> None:
    """Start the first process of the host `name` in new namespaces, and return at once."""
    target = host(name)
    # Groups of pods that are gone cost a starting kubelet three seconds each.
    cgroups.remove(f"{name}/kubepods")
    LOGS.mkdir(exist_ok=True)
    with (LOGS / f"{name}.log").open("ab") as log:
        process = subprocess.Popen(
            [
                "nsenter", f"--net=/run/netns/{target.namespace}",
                "unshare", "--mount", "--propagation", "private", "--uts", "--ipc",
                "--pid", "--fork", "--kill-child", "--mount-proc",
                sys.executable, "-B", "-m", "local_cluster.hosts", name,
            ],
            env={**os.environ, "PYTHONPATH": str(SCRIPTS), "PATH": f"{go_tools.folder()}:{os.environ['PATH']}"},
            stdin=subprocess.DEVNULL,
            stdout=log,
            stderr=subprocess.STDOUT,
            start_new_session=True,
        )  # fmt: skip
    process.returncode = 0  # it is meant to outlive this command, which would warn of it otherwise
    (target.home / "pid").write_text(str(process.pid))


def first_process(name: str) -> int | None:
    """The process id, seen from outside, of the host's first process; None while it is off."""
    try:
        parent = int((host(name).home / "pid").read_text())
        children = Path(f"/proc/{parent}/task/{parent}/children").read_text().split()
    except (OSError, ValueError):
        return None
    return int(children[0]) if children else None


def main() -> None:
    """Be the first process of the host named by the first argument."""
    target = host(sys.argv[1])
    programs = go_tools.folder()
    _become(target)
    plan = control_plane.processes(programs) if target == CONTROL else worker_node.processes(target, programs)
    supervise(plan, LOGS, target.name)


def _become(target: Host) -> None:
    """Make this process's namespaces look like a separate machine."""
    cgroups.enter(target.name)
    socket.sethostname(target.name)
    kept = target.home / "cgroups"
    kept.mkdir(exist_ok=True)
    # /sys must be that of this network namespace, but a new one comes without the cgroup mounts.
    run("mount", "--rbind", str(cgroups.ROOT), str(kept))
    run("mount", "-t", "sysfs", "sysfs", "/sys")
    run("mount", "--move", str(kept), str(cgroups.ROOT))
    # A host must not hold on to the other hosts' network namespaces.
    subprocess.run(["umount", "--recursive", "/run/netns"], capture_output=True, check=False)
    run("mount", "-t", "tmpfs", "-o", "mode=755", "tmpfs", "/run")
    for folder in ("netns", "lock", "containerd"):
        Path("/run", folder).mkdir()
    disk = target.home / "disk"
    disk.mkdir(exist_ok=True)
    run("mount", "-o", "loop", str(disk.with_suffix(".img")), str(disk))
    for folder, place in OWN_FOLDERS.items():
        (disk / folder).mkdir(exist_ok=True)
        run("mount", "--bind", str(disk / folder), place)
    names = {GIT_ADDRESS: GIT_NAME, REGISTRY_ADDRESS: REGISTRY_NAME, **{one.address: one.name for one in HOSTS}}
    lines = ["127.0.0.1 localhost", *(f"{address} {name}" for address, name in names.items())]
    (target.home / "hosts").write_text("\n".join(lines) + "\n")
    run("mount", "--bind", str(target.home / "hosts"), "/etc/hosts")
    run("mount", "--make-rshared", "/")  # as systemd has it: mounts of pods may propagate
    for setting in SETTINGS:
        Path("/proc/sys", setting).write_text("1")


if __name__ == "__main__":
    main()
