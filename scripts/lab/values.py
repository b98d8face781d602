"""What the chart must be told of this cluster: where images come from, and whom to trust."""

import yaml

from lab.layout import AUTHORITY, MIRROR, REGISTRY_NAME


def text() -> str:
    """The values file, as YAML: any install of the chart on this cluster adds it with `--values`."""
    daemon = {"registry-mirrors": [f"http://{MIRROR}"], "insecure-registries": [MIRROR]}
    values = {
        "registry": {"server": REGISTRY_NAME, "certificateAuthority": AUTHORITY.read_text()},
        # Upstream's policy forbids private addresses, and this cluster's registry and Git server have such.
        "networkPolicy": {"enabled": False},
        "dockerApi": {"extraFiles": {"daemon.json": {"mountPath": "/etc/docker/daemon.json", "data": daemon}}},
    }
    return yaml.safe_dump(values, sort_keys=False)
