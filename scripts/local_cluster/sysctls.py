"""Kernel settings that the cluster changes for the whole machine, and how they were before."""

from pathlib import Path

PROC = Path("/proc/sys")

WANTED = {
    "fs/inotify/max_user_instances": "1024",  # two nodes' worth of kubelet, containerd and pods
    "net/ipv4/ip_forward": "1",
}
# The kubelet writes these, and they are not per namespace.
WRITTEN_BY_KUBELET = (
    "kernel/keys/root_maxbytes",
    "kernel/keys/root_maxkeys",
    "kernel/panic",
    "kernel/panic_on_oops",
    "vm/overcommit_memory",
    "vm/panic_on_oom",
)


def current() -> dict[str, str]:
    """The present values of all settings that the cluster changes."""
    return {name: (PROC / name).read_text().strip() for name in (*WANTED, *WRITTEN_BY_KUBELET)}


def set_wanted() -> None:
    """Set what the cluster needs; a higher number that is there already stays."""
    for name, value in WANTED.items():
        if int((PROC / name).read_text()) < int(value):
            (PROC / name).write_text(value)


def restore(saved: dict[str, str]) -> None:
    """Write the `saved` values back."""
    for name, value in saved.items():
        if (PROC / name).read_text().strip() != value:
            (PROC / name).write_text(value)
