"""The cluster's control groups: one for each host, in every hierarchy, cgroups v1 or v2."""

import os
import time
from pathlib import Path

from local_cluster.layout import HOSTS

ROOT = Path("/sys/fs/cgroup")
GROUP = "binderhub-service-lab"
# A v2 group with children holds no processes of its own, so a host's daemons live in a leaf beside its pods'.
DAEMONS = "daemons"


def hierarchies() -> list[Path]:
    """The mount points: one folder a controller with v1, the root itself with v2."""
    if (ROOT / "cgroup.controllers").exists():
        return [ROOT]
    return [path for path in ROOT.iterdir() if path.is_dir() and not path.is_symlink()]


def make() -> None:
    """Make the groups of all hosts."""
    for hierarchy in hierarchies():
        for host in HOSTS:
            group = hierarchy
            for part in (GROUP, host.name, DAEMONS):
                _delegate(group)
                group /= part
                group.mkdir(exist_ok=True)
                _inherit_cpuset(group)


def enter(host: str) -> None:
    """Move the calling process into the host's group of daemons."""
    for hierarchy in hierarchies():
        (hierarchy / GROUP / host / DAEMONS / "cgroup.procs").write_text("0")


def processes() -> set[int]:
    """The ids of all processes in the cluster's groups, pods included."""
    found: set[int] = set()
    for hierarchy in hierarchies():
        for folder, _, _ in os.walk(hierarchy / GROUP):
            try:
                found |= {int(word) for word in (Path(folder) / "cgroup.procs").read_text().split()}
            except OSError:  # a group may go, or be of a type that lists none, while it is read
                continue
    return found - {0, os.getpid()}


def remove(below: str = "", seconds: float = 5) -> bool:
    """Remove the groups under `below` (all by default), and say whether none is left after `seconds`.

    A group can be removed only when the kernel has let go of its last process, hence the tries.
    """
    deadline = time.monotonic() + seconds
    while True:
        left = 0
        for hierarchy in hierarchies():
            for folder, _, _ in os.walk(hierarchy / GROUP / below, topdown=False):
                try:
                    Path(folder).rmdir()
                except OSError:
                    left += 1
        if not left:
            return True
        if time.monotonic() > deadline:
            return False
        time.sleep(0.05)


def memory() -> int:
    """Bytes of memory that the cluster's processes hold, without page cache; 0 where it is not accounted."""
    v1, v2 = ROOT / "memory" / GROUP / "memory.stat", ROOT / GROUP / "memory.stat"
    for file, name in ((v1, "total_rss"), (v2, "anon")):
        if file.exists():
            return int(dict(line.split() for line in file.read_text().splitlines())[name])
    return 0


def _delegate(group: Path) -> None:
    """Let the children of a v2 group have the controllers that it has itself."""
    controllers = group / "cgroup.controllers"
    if controllers.exists() and (words := controllers.read_text().split()):
        (group / "cgroup.subtree_control").write_text(" ".join(f"+{word}" for word in words))


def _inherit_cpuset(group: Path) -> None:
    """A new v1 cpuset is empty and refuses processes until it has processors and memory nodes."""
    for name in ("cpuset.cpus", "cpuset.mems"):
        file = group / name
        if file.exists() and not file.read_text().strip():
            file.write_text((group.parent / name).read_text())
