"""The processes of the control plane's host: Kubernetes, the registries, the Git server and the metadata service."""

import sys
from pathlib import Path

from local_cluster import git_repositories, image_mirror, registries
from local_cluster.certificates import PKI
from local_cluster.layout import CONTROL, GIT_ADDRESS, HOME, MIRROR, PODS, SERVICES
from local_cluster.supervisor import Process, api_answers

ETCD = "http://127.0.0.1:2379"


def processes(programs: Path) -> list[Process]:
    """Everything that runs on `layout.CONTROL`, from the folder `programs`, in the order of its start."""
    config = CONTROL.home / "mirror.yaml"
    config.write_text(registries.mirror_config(image_mirror.storage(), MIRROR, read_only=True))
    return [
        Process("mirror", [f"{programs}/registry", "serve", str(config)]),
        Process("registry", [f"{programs}/registry", "serve", str(registries.FOLDER / "config.yaml")]),
        Process("git", [f"{programs}/gitserver", f"{GIT_ADDRESS}:80", str(git_repositories.FOLDER)]),
        Process("metadata", [sys.executable, "-B", "-m", "local_cluster.metadata_server"]),
        Process("etcd", _etcd(programs)),
        Process("apiserver", _apiserver(programs)),
        Process("controller-manager", _controller_manager(programs), after=api_answers),
        Process("scheduler", [f"{programs}/kube-scheduler", *_client("scheduler")], after=api_answers),
    ]


def _etcd(programs: Path) -> list[str]:
    peer = "http://127.0.0.1:2380"
    return [
        f"{programs}/server",  # the name that Go gives etcd's main package
        "--data-dir=/var/lib/etcd",
        f"--listen-client-urls={ETCD}",
        f"--advertise-client-urls={ETCD}",
        f"--listen-peer-urls={peer}",
        "--unsafe-no-fsync",  # the cluster is thrown away
    ]


def _apiserver(programs: Path) -> list[str]:
    return [
        f"{programs}/kube-apiserver",
        f"--advertise-address={CONTROL.address}",
        f"--bind-address={CONTROL.address}",
        "--secure-port=6443",
        f"--etcd-servers={ETCD}",
        f"--service-cluster-ip-range={SERVICES}",
        "--allow-privileged=true",
        "--authorization-mode=Node,RBAC",
        "--enable-admission-plugins=NodeRestriction",
        "--enable-aggregator-routing=true",  # no kube-proxy runs beside it
        "--kubelet-preferred-address-types=InternalIP",
        f"--client-ca-file={PKI}/ca.crt",
        f"--tls-cert-file={PKI}/apiserver.crt",
        f"--tls-private-key-file={PKI}/apiserver.key",
        f"--kubelet-client-certificate={PKI}/apiserver-kubelet-client.crt",
        f"--kubelet-client-key={PKI}/apiserver-kubelet-client.key",
        "--service-account-issuer=https://kubernetes.default.svc.cluster.local",
        f"--service-account-key-file={PKI}/sa.pub",
        f"--service-account-signing-key-file={PKI}/sa.key",
        f"--requestheader-client-ca-file={PKI}/front-proxy-ca.crt",
        "--requestheader-allowed-names=front-proxy-client",
        "--requestheader-extra-headers-prefix=X-Remote-Extra-",
        "--requestheader-group-headers=X-Remote-Group",
        "--requestheader-username-headers=X-Remote-User",
        f"--proxy-client-cert-file={PKI}/front-proxy-client.crt",
        f"--proxy-client-key-file={PKI}/front-proxy-client.key",
    ]


def _controller_manager(programs: Path) -> list[str]:
    return [
        f"{programs}/kube-controller-manager",
        *_client("controller-manager"),
        f"--root-ca-file={PKI}/ca.crt",
        f"--service-account-private-key-file={PKI}/sa.key",
        f"--cluster-signing-cert-file={PKI}/ca.crt",
        f"--cluster-signing-key-file={PKI}/ca.key",
        f"--cluster-cidr={PODS}",
        "--use-service-account-credentials=true",
        "--allocate-node-cidrs=false",  # the nodes are made with theirs
        "--kube-api-qps=500",
        "--kube-api-burst=1000",
    ]


def _client(part: str) -> list[str]:
    config = f"{HOME}/{part}.conf"
    return [
        f"--kubeconfig={config}",
        f"--authentication-kubeconfig={config}",
        f"--authorization-kubeconfig={config}",
        "--leader-elect=false",
    ]
