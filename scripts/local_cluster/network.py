"""The cluster's network on this machine: a bridge, a network namespace for each host, routes and firewall rules."""

import shutil
from pathlib import Path

from local_cluster.layout import BRIDGE, CONTROL, GATEWAY, HOSTS, METADATA_ADDRESSES, NETWORK, NODES, PODS, SERVICES
from local_cluster.run import attempt, run

NAMESPACES = Path("/run/netns")
TABLE = "binderhub_service_lab"

# A neighbour could send packets for the cluster to this machine, which forwards since pods need the world.
# Only answers to what the cluster itself asked may enter; and a Service address that no kube-proxy translated
# must not leave, or it would follow the default route.
RULES = f"""
table ip {TABLE} {{
  chain postrouting {{
    type nat hook postrouting priority srcnat; policy accept;
    ip saddr {{ {NETWORK}, {PODS} }} ip daddr != {{ {NETWORK}, {PODS} }} oifname != "{BRIDGE}" masquerade
  }}
  chain forward {{
    type filter hook forward priority filter; policy accept;
    ip daddr {SERVICES} reject
    oifname "{BRIDGE}" iifname != "{BRIDGE}" ct state established,related accept
    oifname "{BRIDGE}" iifname != "{BRIDGE}" drop
  }}
  chain input {{
    type filter hook input priority filter; policy accept;
    ip daddr {NETWORK} iifname != {{ "lo", "{BRIDGE}" }} drop
  }}
}}
"""
# Where the machine's own firewall drops what it forwards (Docker's does), the bridge needs these two.
FORWARD = [["FORWARD", way, BRIDGE, "-m", "comment", "--comment", TABLE, "-j", "ACCEPT"] for way in ("-i", "-o")]


def before() -> dict[str, bool]:
    """What `remove` has to know of the machine as it was: the first `ip netns add` makes and mounts a folder."""
    return {"netns_folder": NAMESPACES.is_dir(), "netns_mounted": _mounted()}


def present() -> bool:
    """Whether anything of the cluster's network is there."""
    links = Path("/sys/class/net")
    return (links / BRIDGE).exists() or any((NAMESPACES / host.namespace).exists() for host in HOSTS)


def make() -> None:
    """Make bridge, namespaces, routes and rules."""
    run("ip", "link", "add", BRIDGE, "type", "bridge")
    run("ip", "address", "add", f"{GATEWAY}/24", "dev", BRIDGE)
    run("ip", "link", "set", BRIDGE, "up")
    for host in HOSTS:
        inside = ("ip", "-n", host.namespace)
        run("ip", "netns", "add", host.namespace)
        run("ip", "link", "add", host.namespace, "type", "veth", "peer", "name", "eth0", "netns", host.namespace)
        run("ip", "link", "set", host.namespace, "master", BRIDGE, "up")
        run(*inside, "link", "set", "lo", "up")
        run(*inside, "link", "set", "eth0", "up")
        for address in host.addresses:
            run(*inside, "address", "add", f"{address}/24", "dev", "eth0")
        run(*inside, "route", "add", "default", "via", GATEWAY)
        for node in NODES:
            if node != host:
                run(*inside, "route", "add", node.pods, "via", node.address)
    # The control plane runs no kube-proxy; a node translates the Services that it asks for.
    run("ip", "-n", CONTROL.namespace, "route", "add", SERVICES, "via", NODES[0].address)
    # Not by the default route: this machine may be a virtual one, and have a metadata service of its own.
    for address in METADATA_ADDRESSES:
        run("ip", "-n", CONTROL.namespace, "address", "add", f"{address}/32", "dev", "lo")
        for node in NODES:
            run("ip", "-n", node.namespace, "route", "add", address, "via", CONTROL.address)
    for node in NODES:
        run("ip", "route", "add", node.pods, "via", node.address)
    run("nft", "--file", "-", given=RULES)
    if shutil.which("iptables") and "-P FORWARD DROP" in run("iptables", "-S", "FORWARD"):
        for rule in FORWARD:
            run("iptables", "-I", *rule)


def remove(before: dict[str, bool]) -> None:
    """Remove whatever of it is there, and leave the machine as `before` says it was."""
    for host in HOSTS:
        if (NAMESPACES / host.namespace).exists():
            attempt("ip", "netns", "delete", host.namespace)
        # The link outlives its namespace while a process holds that.
        attempt("ip", "link", "delete", host.namespace)
    attempt("ip", "link", "delete", BRIDGE)
    attempt("nft", "delete", "table", "ip", TABLE)
    if shutil.which("iptables"):
        for rule in FORWARD:
            attempt("iptables", "-D", *rule)
    if _mounted() and not before["netns_mounted"] and not any(NAMESPACES.iterdir()):
        attempt("umount", str(NAMESPACES))
        if not before["netns_folder"]:
            NAMESPACES.rmdir()


def _mounted() -> bool:
    return any(line.split()[1] == str(NAMESPACES) for line in Path("/proc/mounts").read_text().splitlines())
