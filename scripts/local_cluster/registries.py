"""The two registries: a mirror of public image names for the nodes, and one for pushes with a password over HTTPS."""

import secrets
from pathlib import Path

import bcrypt
import trustme
import yaml

from local_cluster.layout import AUTHORITY, HOME, MIRROR, MIRRORED, REGISTRY_ADDRESS, REGISTRY_NAME, REGISTRY_USER

FOLDER = HOME / "registry"
PASSWORD = FOLDER / "password"
NODE_HOSTS = HOME / "containerd-registries"


def mirror_config(storage: Path, address: str, *, read_only: bool) -> str:
    """The configuration, as YAML, of a registry that serves the images in `storage` over plain HTTP."""
    return _config(storage, {"addr": address}, read_only=read_only)


def make_push_registry() -> None:
    """Make the authority, the certificate, a password and the configuration of the registry for pushes.

    The authority's certificate is in `layout.AUTHORITY`; nothing on this machine trusts it by default.
    """
    FOLDER.mkdir(parents=True)
    authority = trustme.CA(organization_name="binderhub-service lab", organization_unit_name="registry")
    certificate = authority.issue_cert(REGISTRY_NAME, REGISTRY_ADDRESS)
    authority.cert_pem.write_to_path(str(AUTHORITY))
    _write_secret(FOLDER / "tls.crt", b"".join(blob.bytes() for blob in certificate.cert_chain_pems))
    _write_secret(FOLDER / "tls.key", certificate.private_key_pem.bytes())
    password = secrets.token_urlsafe(18)
    _write_secret(PASSWORD, password.encode())
    _write_secret(
        FOLDER / "htpasswd",
        f"{REGISTRY_USER}:{bcrypt.hashpw(password.encode(), bcrypt.gensalt(5)).decode()}\n".encode(),
    )
    http: dict[str, object] = {
        "addr": f"{REGISTRY_ADDRESS}:443",
        "tls": {"certificate": str(FOLDER / "tls.crt"), "key": str(FOLDER / "tls.key")},
    }
    config = _config(FOLDER / "storage", http, read_only=False, password_file=FOLDER / "htpasswd")
    (FOLDER / "config.yaml").write_text(config)


def make_node_hosts() -> None:
    """Write containerd's hosts.toml files: public names go to the mirror, ours is trusted through its authority."""
    for name in MIRRORED:
        path = "" if name == MIRRORED[0] else f"/{name}"
        _write_hosts(name, f"http://{MIRROR}/v2{path}", "override_path = true")
    _write_hosts(REGISTRY_NAME, f"https://{REGISTRY_NAME}", f'ca = "{AUTHORITY}"')


def mirror_name(image: str) -> str:
    """Where the mirror keeps `image`, a full name such as quay.io/jupyterhub/repo2docker:1."""
    host, _, rest = image.partition("/")
    return rest if host == MIRRORED[0] else f"{host}/{rest}"


def _write_hosts(name: str, url: str, setting: str) -> None:
    folder = NODE_HOSTS / name
    folder.mkdir(parents=True)
    # Without `server` containerd asks the real host when the mirror has no such image, and waits for it.
    text = f'server = "{url}"\n{setting}\n\n[host."{url}"]\n  capabilities = ["pull", "resolve"]\n  {setting}\n'
    (folder / "hosts.toml").write_text(text)


def _config(storage: Path, http: dict[str, object], *, read_only: bool, password_file: Path | None = None) -> str:
    config: dict[str, object] = {
        "version": 0.1,
        "log": {"level": "warn"},
        "storage": {
            "filesystem": {"rootdirectory": str(storage)},
            "delete": {"enabled": True},
            "maintenance": {"readonly": {"enabled": read_only}},
        },
        "http": http,
    }
    if password_file:
        config["auth"] = {"htpasswd": {"realm": "lab", "path": str(password_file)}}
    return yaml.safe_dump(config)


def _write_secret(file: Path, content: bytes) -> None:
    file.touch(mode=0o600)
    file.write_bytes(content)
