"""Values that the chart needs on this cluster: sources of images, and certificates."""

import yaml

from local_cluster.layout import AUTHORITY, GIT_ADDRESS, MIRROR, REGISTRY_ADDRESS, REGISTRY_NAME


def text() -> str:
    """The values file, as YAML: any install of the chart on this cluster adds it with `--values`."""
    daemon = {"registry-mirrors": [f"http://{MIRROR}"], "insecure-registries": [MIRROR]}
    values = {
        "registry": {"server": REGISTRY_NAME, "certificateAuthority": AUTHORITY.read_text()},
        # The registries and the Git server have private addresses, which builds and BinderHub reach by rules alone.
        "networkPolicy": {
            "buildPods": {"egress": [_to(GIT_ADDRESS, 80)]},
            "binderhub": {"egress": [_to(GIT_ADDRESS, 80), _to(REGISTRY_ADDRESS, 443)]},
            "dockerApi": {"egress": [_to(GIT_ADDRESS, 80), _to(REGISTRY_ADDRESS, 443), _to(*MIRROR.split(":"))]},
        },
        "dockerApi": {"extraFiles": {"daemon.json": {"mountPath": "/etc/docker/daemon.json", "data": daemon}}},
    }
    return yaml.safe_dump(values, sort_keys=False)


def _to(address: str, port: int | str) -> dict[str, object]:
    """A rule that lets connections to one port of one address out."""
    return {"to": [{"ipBlock": {"cidr": f"{address}/32"}}], "ports": [{"protocol": "TCP", "port": int(port)}]}
