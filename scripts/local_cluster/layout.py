"""Names, addresses and folders of the cluster's parts."""

from dataclasses import dataclass
from pathlib import Path

CONTEXT = "binderhub-service-lab"

# One cluster a machine, whichever clone raised it. Not below /var/lib, /var/log or /run: a node has its own of those.
HOME = Path("/srv/binderhub-service-lab")
KUBECONFIG = HOME / "kubeconfig"
VALUES = HOME / "values.yaml"
AUTHORITY = HOME / "registry-authority.crt"
STATE = HOME / "lab.json"
LOGS = HOME / "logs"
# Of the commands on this machine, not of the cluster: it stays when that is removed, and root alone may write there.
LOCKS = Path("/run/binderhub-service-lab")

BRIDGE = "bhs-lab"
NETWORK = "10.89.0.0/24"
GATEWAY = "10.89.0.1"
PODS = "10.244.0.0/16"
SERVICES = "10.96.0.0/16"
KUBERNETES_SERVICE = "10.96.0.1"
DNS_SERVICE = "10.96.0.10"

API = "https://10.89.0.10:6443"
MIRROR = "10.89.0.10:5000"
REGISTRY_NAME = "registry.lab.test"
REGISTRY_ADDRESS = "10.89.0.20"
REGISTRY_USER = "builder"
GIT_NAME = "git.lab.test"
GIT_ADDRESS = "10.89.0.21"
# Where the nodes of Amazon, Google and most others, of Azure, and of Alibaba ask who they are.
METADATA_ADDRESSES = ("169.254.169.254", "168.63.129.16", "100.100.100.200")

PAUSE_IMAGE = "registry.k8s.io/pause:3.10.1"
COREDNS_IMAGE = "registry.k8s.io/coredns/coredns:v1.14.7"
DEBIAN_IMAGE = "docker.io/library/debian:trixie-slim"

# Image names of these hosts are served by the mirror. The first is the root of the mirror, as dockerd wants it.
MIRRORED = ("docker.io", "quay.io", "registry.k8s.io")


@dataclass(frozen=True)
class Host:
    """A host of the cluster, which is a set of namespaces on this machine."""

    name: str
    addresses: tuple[str, ...]
    pods: str = ""
    """The subnet of its pods; empty where no pods run."""
    purpose: str = ""
    """The label hub.jupyter.org/node-purpose, as a JupyterHub's cluster has it."""

    @property
    def namespace(self) -> str:
        """The name of its network namespace."""
        return f"bhs-{self.name}"

    @property
    def address(self) -> str:
        """Its own address; further ones are services that it hosts."""
        return self.addresses[0]

    @property
    def home(self) -> Path:
        """The folder of its configuration and its disk."""
        return HOME / self.name


CONTROL = Host("control", ("10.89.0.10", REGISTRY_ADDRESS, GIT_ADDRESS))
NODES = (
    Host("node1", ("10.89.0.11",), "10.244.1.0/24", "core"),
    Host("node2", ("10.89.0.12",), "10.244.2.0/24", "user"),
)
HOSTS = (CONTROL, *NODES)


def host(name: str) -> Host:
    """The host of that name."""
    return next(host for host in HOSTS if host.name == name)
