"""What the chart must be told of this cluster: where images come from, and whom to trust."""

import yaml

from lab.layout import AUTHORITY, MIRROR, REGISTRY_NAME

# Where Debian's OpenSSL and libcurl look. Mounted over the image's own, since the environment variables that name
# another file are heeded by one of the two alone.
_TRUSTED = "/etc/ssl/certs/ca-certificates.crt"


def text() -> str:
    """The values file, as YAML: any install of the chart on this cluster adds it with `--values`."""
    daemon = {"registry-mirrors": [f"http://{MIRROR}"], "insecure-registries": [MIRROR]}
    values = {
        # Upstream's policy forbids private addresses, and this cluster's registry and Git server have such.
        "networkPolicy": {"enabled": False},
        "dockerApi": {
            "extraFiles": {
                "daemon.json": {"mountPath": "/etc/docker/daemon.json", "data": daemon},
                "registry-authority.crt": {
                    "mountPath": f"/etc/docker/certs.d/{REGISTRY_NAME}/ca.crt",
                    "stringData": AUTHORITY.read_text(),
                },
            }
        },
        # BinderHub asks the registry too, over the same HTTPS.
        "extraVolumes": [
            {
                "name": "registry-authority",
                "secret": {
                    "secretName": '{{ include "binderhub-service.docker-api.fullname" . }}',
                    "items": [{"key": "registry-authority.crt", "path": "ca.crt"}],
                },
            }
        ],
        "extraVolumeMounts": [
            {"name": "registry-authority", "mountPath": _TRUSTED, "subPath": "ca.crt", "readOnly": True}
        ],
    }
    return yaml.safe_dump(values, sort_keys=False)
