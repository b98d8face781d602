"""The processes of a node, and their configuration."""

import json
import subprocess
from pathlib import Path

import yaml

from local_cluster import cgroups
from local_cluster.certificates import PKI
from local_cluster.layout import DNS_SERVICE, KUBERNETES_SERVICE, PAUSE_IMAGE, PODS, SERVICES, Host
from local_cluster.registries import NODE_HOSTS
from local_cluster.supervisor import Process, api_answers, socket_answers

CONTAINERD_SOCKET = "/run/containerd/containerd.sock"
RULES = ("nft", "list", "ruleset", "ip")


def configure(node: Host, programs: Path, resolv_conf: str) -> None:
    """Write the configuration of containerd, the pods' network and the kubelet into the node's home."""
    (node.home / "containerd.toml").write_text(_containerd(node, programs))
    network = node.home / "cni"
    network.mkdir(exist_ok=True)
    (network / "10-bridge.conflist").write_text(json.dumps(_pod_network(node)))
    (node.home / "kubelet.yaml").write_text(yaml.safe_dump(_kubelet(node, resolv_conf)))


def processes(node: Host, programs: Path) -> list[Process]:
    """Everything that runs on `node`, from the folder `programs`, in the order of its start."""
    return [
        Process("containerd", [f"{programs}/containerd", "--config", f"{node.home}/containerd.toml"]),
        Process(
            "kubelet",
            [
                f"{programs}/kubelet",
                f"--config={node.home}/kubelet.yaml",
                f"--kubeconfig={node.home}/kubelet.conf",
                f"--hostname-override={node.name}",
                f"--node-ip={node.address}",
            ],
            after=lambda: socket_answers(CONTAINERD_SOCKET) and api_answers(),
        ),
        Process(
            "kube-proxy",
            [
                f"{programs}/kube-proxy",
                f"--kubeconfig={node.home}/proxy.conf",
                f"--hostname-override={node.name}",
                f"--cluster-cidr={PODS}",
                "--proxy-mode=nftables",
                # The kernel's limits are the machine's, not the node's: leave them alone.
                "--conntrack-max-per-core=0",
                "--conntrack-tcp-timeout-established=0",
                "--conntrack-tcp-timeout-close-wait=0",
            ],
        ),
        Process(
            "netpol",
            [
                f"{programs}/netpol",
                f"--kubeconfig={node.home}/netpol.conf",
                f"--hostname-override={node.name}",
                f"--service-cidr={SERVICES}",
            ],
            # It reads and writes back the whole filter table: not while kube-proxy makes its own first rules.
            after=lambda: _has_services(_said(*RULES)),
        ),
    ]


def networks_work(node: Host) -> bool:
    """Whether Services are translated and policies enforced on the node; asked from outside."""
    inside = ("ip", "netns", "exec", node.namespace)
    # The controller writes this rule with the first policies, and its chain before.
    enforced = "-j ACCEPT" in _said(*inside, "iptables", "--wait", "--list-rules", "KUBE-ROUTER-FORWARD")
    return enforced and _has_services(_said(*inside, *RULES))


def _has_services(rules: str) -> bool:
    """Whether kube-proxy has made the rules of the first Service."""
    return f"{KUBERNETES_SERVICE} " in rules


def _said(*command: str) -> str:
    return subprocess.run(command, capture_output=True, text=True, check=False).stdout


def _containerd(node: Host, programs: Path) -> str:
    # restrict_oom_score_adj: a root without CAP_SYS_RESOURCE may not lower it, and runc dies trying.
    return f"""\
version = 3
root = "/var/lib/containerd"
state = "/run/containerd"

[grpc]
  address = "{CONTAINERD_SOCKET}"

[plugins."io.containerd.cri.v1.runtime"]
  restrict_oom_score_adj = true
  [plugins."io.containerd.cri.v1.runtime".cni]
    bin_dirs = ["/usr/lib/cni"]
    conf_dir = "{node.home}/cni"
  [plugins."io.containerd.cri.v1.runtime".containerd.runtimes.runc]
    runtime_type = "io.containerd.runc.v2"
    [plugins."io.containerd.cri.v1.runtime".containerd.runtimes.runc.options]
      BinaryName = "{programs}/runc"

[plugins."io.containerd.cri.v1.images".pinned_images]
  sandbox = "{PAUSE_IMAGE}"

[plugins."io.containerd.cri.v1.images".registry]
  config_path = "{NODE_HOSTS}"
"""


def _pod_network(node: Host) -> dict[str, object]:
    return {
        "cniVersion": "1.0.0",
        "name": "lab",
        "plugins": [
            {
                "type": "bridge",
                "bridge": "cni0",
                "isGateway": True,
                # With masquerade a pod of another node would carry its node's address, and no policy could tell it.
                "ipMasq": False,
                "hairpinMode": True,
                "ipam": {
                    "type": "host-local",
                    "dataDir": "/run/cni-ipam",
                    "ranges": [[{"subnet": node.pods}]],
                    "routes": [{"dst": "0.0.0.0/0"}],
                },
            },
            {"type": "portmap", "capabilities": {"portMappings": True}},
        ],
    }


def _kubelet(node: Host, resolv_conf: str) -> dict[str, object]:
    return {
        "apiVersion": "kubelet.config.k8s.io/v1beta1",
        "kind": "KubeletConfiguration",
        "authentication": {
            "anonymous": {"enabled": False},
            "webhook": {"enabled": True},
            "x509": {"clientCAFile": f"{PKI}/ca.crt"},
        },
        "authorization": {"mode": "Webhook"},
        "cgroupDriver": "cgroupfs",
        # One a node: two kubelets with one root remove each other's pods.
        "cgroupRoot": f"/{cgroups.GROUP}/{node.name}",
        "failCgroupV1": False,
        "failSwapOn": False,
        "clusterDNS": [DNS_SERVICE],
        "clusterDomain": "cluster.local",
        "containerRuntimeEndpoint": f"unix://{CONTAINERD_SOCKET}",
        "resolvConf": resolv_conf,
        "evictionHard": {},  # the disk and memory are the machine's
        "imageGCHighThresholdPercent": 100,
        "podPidsLimit": 4096,
        "rotateCertificates": False,
        "serializeImagePulls": False,
        "registryPullQPS": 0,
        "volumePluginDir": "/var/lib/kubelet/volumeplugins",
    }
