"""The cluster's keys, certificates and kubeconfig files, all made by kubeadm."""

from pathlib import Path

import yaml

from local_cluster import go_tools
from local_cluster.layout import API, CONTEXT, CONTROL, GATEWAY, HOME, KUBECONFIG, NODES, PODS, SERVICES, Host
from local_cluster.run import run

PKI = HOME / "pki"


def make() -> None:
    """Make everything below `PKI`, the kubeconfig of the person, and those of the cluster's own parts."""
    programs = go_tools.folder()
    kubeadm = str(programs / "kubeadm")
    settings = _write(CONTROL)
    run(kubeadm, "init", "phase", "certs", "all", "--config", str(settings))
    for part in ("super-admin", "controller-manager", "scheduler"):
        run(kubeadm, "init", "phase", "kubeconfig", part, "--config", str(settings), "--kubeconfig-dir", str(HOME))
    # super-admin's group needs no ClusterRoleBinding, which nobody would be there to make.
    (HOME / "super-admin.conf").rename(KUBECONFIG)
    kubectl = (str(programs / "kubectl"), "--kubeconfig", str(KUBECONFIG), "config")
    context = run(*kubectl, "current-context").strip()
    run(*kubectl, "rename-context", context, CONTEXT)
    proxy = run(kubeadm, "kubeconfig", "user", "--config", str(settings), "--client-name", "system:kube-proxy")
    netpol = run(kubeadm, "kubeconfig", "user", "--config", str(settings), "--client-name", "lab:netpol")
    for node in NODES:
        node.home.mkdir(exist_ok=True)
        _secret(node.home / "proxy.conf", proxy)
        _secret(node.home / "netpol.conf", netpol)
        run(
            kubeadm, "init", "phase", "kubeconfig", "kubelet",
            "--config", str(_write(node)), "--kubeconfig-dir", str(node.home),
        )  # fmt: skip


def _write(host: Host) -> Path:
    version = go_tools.module("kubernetes").version
    documents: list[dict[str, object]] = [
        {
            "apiVersion": "kubeadm.k8s.io/v1beta4",
            "kind": "InitConfiguration",
            "localAPIEndpoint": {"advertiseAddress": CONTROL.address, "bindPort": 6443},
            "nodeRegistration": {"name": host.name, "criSocket": "unix:///run/containerd/containerd.sock"},
        },
        {
            "apiVersion": "kubeadm.k8s.io/v1beta4",
            "kind": "ClusterConfiguration",
            "kubernetesVersion": version,
            "certificatesDir": str(PKI),
            "controlPlaneEndpoint": API.removeprefix("https://"),
            "encryptionAlgorithm": "ECDSA-P256",
            "networking": {"serviceSubnet": SERVICES, "podSubnet": PODS},
            "apiServer": {"certSANs": [CONTROL.address, GATEWAY, "127.0.0.1", "localhost"]},
        },
    ]
    file = HOME / f"kubeadm-{host.name}.yaml"
    file.write_text(yaml.safe_dump_all(documents))
    return file


def _secret(file: Path, text: str) -> None:
    file.touch(mode=0o600)
    file.write_text(text)
