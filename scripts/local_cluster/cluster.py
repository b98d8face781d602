"""Start and remove the cluster, and describe it."""

import contextlib
import hashlib
import json
import os
import shutil
import signal
import subprocess
import time
from collections.abc import Callable
from pathlib import Path
from string import Template
from typing import Any

from common.errors import UserError
from common.kubectl import ClusterAccess
from common.paths import SCRIPTS
from common.progress import step

from local_cluster import (
    certificates,
    cgroups,
    cluster_users,
    git_repositories,
    go_tools,
    hosts,
    image_mirror,
    layout,
    network,
    preconditions,
    registries,
    sysctls,
    values,
    worker_node,
)
from local_cluster.layout import HOME, HOSTS, KUBECONFIG, NODES, STATE
from local_cluster.substitute_images import images
from local_cluster.supervisor import api_answers

BEFORE = HOME / "before.json"
TRASH = HOME.with_name(f"{HOME.name}.removed")
START_SECONDS = 180
ANSWER_SECONDS = 20
STAND_IN = "stand-in"


def up(wheel: Path | None = None, *, force: bool = False) -> None:
    """Make the cluster run, with the real BinderHub of `wheel` or the stand-in; does nothing where it runs so already.

    This process is a user of the cluster from then on. Raises UserError when another up or down is at work, when the
    cluster must be replaced while another command uses it (unless `force`), or when a part does not come up in time;
    logs are in `layout.LOGS`.
    """
    with cluster_users.alone():
        substitutes = images(wheel)
        wanted = _fingerprint(image_mirror.keys(substitutes))
        reason = _unfit(wanted) if present() else ""
        if reason:
            cluster_users.refuse_others(f"replace it, since {reason}", force=force)
        go_tools.build()
        image_mirror.fill(substitutes)
        if reason:
            with step(f"removing the cluster that is there, since {reason}"):
                _remove()
        if present():
            git_repositories.make()
        else:
            try:
                _raise(wanted, wheel)
            except KeyboardInterrupt:
                _remove()  # a UserError leaves it, for its logs; the next `up` replaces it
                raise
        cluster_users.use()


def down(*, force: bool = False) -> None:
    """Remove every trace of the cluster from this machine, except the caches.

    Raises UserError where something stays, or when another command uses the cluster (unless `force`).
    """
    with cluster_users.alone():
        if present():
            cluster_users.refuse_others("remove it", force=force)
        _remove()
        cluster_users.leave()


def running() -> bool:
    """Whether all hosts are on and the API server answers."""
    return all(hosts.first_process(host.name) for host in HOSTS) and api_answers()


def present() -> bool:
    """Whether there is any trace of a cluster, running or not."""
    return HOME.exists() or TRASH.exists() or network.present() or bool(cgroups.processes())


def state() -> dict[str, Any]:
    """What `up` wrote down about the cluster; empty when there is none."""
    return _read(STATE)


def description() -> str:
    """The cluster in a few words, such as "Kubernetes v1.37.2, 2 nodes, BinderHub: stand-in, 512 MiB"."""
    version = go_tools.module("kubernetes").version
    return f"Kubernetes {version}, {len(NODES)} nodes, BinderHub: {state()['binderhub']}, {cgroups.memory() >> 20} MiB"


def kubectl(*arguments: str, given: str = "") -> str:
    """Run kubectl as the cluster's administrator and return what it printed. Raises UserError when it fails."""
    programs = go_tools.folder()
    access = ClusterAccess(str(programs / "kubectl"), str(programs / "helm"), str(KUBECONFIG), "")
    return access.run(access.kubectl, *arguments, given=given)


def _fingerprint(image_keys: dict[str, str]) -> str:
    """What a running cluster must have been made from to be used as it is."""
    lab = SCRIPTS / "local_cluster"
    code = go_tools.digest(*sorted(lab.glob("*.py")), *sorted((lab / "manifests").iterdir()))
    return hashlib.sha256(f"{go_tools.key()} {sorted(image_keys.items())} {code}".encode()).hexdigest()[:16]


def _raise(fingerprint: str, wheel: Path | None) -> None:
    HOME.mkdir(mode=0o700, parents=True)  # disks and files in it hold secrets
    _write(BEFORE, {"sysctls": sysctls.current(), "network": network.before()})
    resolv_conf = preconditions.resolv_conf()
    programs = go_tools.folder()
    with step("network, keys and configuration"):
        sysctls.set_wanted()
        cgroups.make()
        network.make()
        for host in HOSTS:
            host.home.mkdir()
            hosts.make_disk(host)
        certificates.make()
        registries.make_push_registry()
        registries.make_node_hosts()
        git_repositories.make()
        for node in NODES:
            worker_node.configure(node, programs, resolv_conf)
        layout.VALUES.write_text(values.text())
    with step("control plane"):
        for host in HOSTS:
            hosts.start(host.name)
        _until(api_answers, "the API server")
    with step(f"{len(NODES)} nodes and the cluster's DNS"):
        kubectl("apply", "--server-side", "--filename=-", given=json.dumps(_nodes()))
        kubectl("apply", "--filename=-", given=_manifests())
        kubectl("wait", "node", "--all", "--for=condition=Ready", f"--timeout={START_SECONDS}s")
        kubectl("-n", "kube-system", "rollout", "status", "deployment/coredns", f"--timeout={START_SECONDS}s")
        _until(lambda: all(map(worker_node.networks_work, NODES)), "kube-proxy or the NetworkPolicy controller")
    binderhub = wheel.name if wheel else STAND_IN
    _write(STATE, {"fingerprint": fingerprint, "binderhub": binderhub, "programs": str(programs)})


def _unfit(wanted: str) -> str:
    """Why the cluster that is there cannot be used as it is; empty where it can."""
    found = state()
    if not found:
        return "it was not raised to its end"
    if found.get("fingerprint") != wanted:
        return f"it is of another clone or another BinderHub ({found.get('binderhub')})"
    if not all(hosts.first_process(host.name) for host in HOSTS):
        return "one of its hosts is off"
    deadline = time.monotonic() + ANSWER_SECONDS  # a machine under load may answer late
    while not api_answers():
        if time.monotonic() > deadline:
            return f"its API server has not answered for {ANSWER_SECONDS} s"
        time.sleep(0.5)
    return ""


def _write(file: Path, content: dict[str, Any]) -> None:
    """Write `content` whole or not at all."""
    new = file.with_suffix(".new")
    new.write_text(json.dumps(content))
    new.rename(file)


def _read(file: Path) -> dict[str, Any]:
    """What `_write` wrote; empty where there is nothing that can be read."""
    try:
        found: dict[str, Any] = json.loads(file.read_text())
    except (FileNotFoundError, ValueError):
        return {}
    return found


def _remove() -> None:
    if not present():
        return
    saved = _read(BEFORE)
    deadline = time.monotonic() + 20
    while pids := cgroups.processes() | _namespace_processes():
        if time.monotonic() > deadline:
            raise UserError(
                f"Processes {sorted(pids)} of the cluster do not end.", "End them by hand, then run this again."
            )
        for pid in pids:
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)
        time.sleep(0.05)
    network.remove(saved["network"] if saved else network.before())
    if not cgroups.remove():
        raise UserError("The kernel still holds control groups of the cluster.", "Run this again in a few seconds.")
    if saved:
        sysctls.restore(saved["sysctls"])
    if HOME.exists():
        # Renamed first: an interrupted removal must not leave something that looks like a cluster.
        shutil.rmtree(TRASH, ignore_errors=True)
        HOME.rename(TRASH)
    shutil.rmtree(TRASH, ignore_errors=True)


def _namespace_processes() -> set[int]:
    """Processes in the hosts' network namespaces, in case one left its control group."""
    found: set[int] = set()
    for host in HOSTS:
        if (network.NAMESPACES / host.namespace).exists():
            listed = subprocess.run(
                ["ip", "netns", "pids", host.namespace], capture_output=True, text=True, check=False
            )
            found |= {int(word) for word in listed.stdout.split()}
    return found


def _nodes() -> dict[str, Any]:
    """The Node objects, with their purposes and their pods' subnets.

    They are applied on the server's side: the kubelets make their own at the same time, and whichever comes second
    adds to what is there. The API server lets a subnet be set once.
    """
    nodes = [
        {
            "apiVersion": "v1",
            "kind": "Node",
            "metadata": {"name": node.name, "labels": {"hub.jupyter.org/node-purpose": node.purpose}},
            "spec": {"podCIDR": node.pods, "podCIDRs": [node.pods]},
        }
        for node in NODES
    ]
    return {"kind": "List", "apiVersion": "v1", "items": nodes}


def _manifests() -> str:
    return Template((SCRIPTS / "local_cluster" / "manifests" / "cluster.yaml").read_text()).substitute(
        coredns_image=layout.COREDNS_IMAGE,
        dns_service=layout.DNS_SERVICE,
        git_address=layout.GIT_ADDRESS,
        git_name=layout.GIT_NAME,
        registry_address=layout.REGISTRY_ADDRESS,
        registry_name=layout.REGISTRY_NAME,
    )


def _until(condition: Callable[[], bool], what: str) -> None:
    deadline = time.monotonic() + START_SECONDS
    while not condition():
        if time.monotonic() > deadline:
            raise UserError(
                f"{what} did not come up within {START_SECONDS} s.",
                f"Read {layout.LOGS}, then run ./scripts/down and this again.",
            )
        time.sleep(0.1)
