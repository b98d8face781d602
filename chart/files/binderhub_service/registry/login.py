"""Configures BinderHub from the chart's value `registry`: where to look for images, and with which login."""

import base64
import json
import os
from pathlib import Path
from typing import Any

from binderhub_service import read_yaml

DOCKERCONFIGJSON = ".dockerconfigjson"
"""Key in Secrets of the type kubernetes.io/dockerconfigjson."""
IDENTITY_TOKEN_USER = "<token>"  # noqa: S105
"""User of a login that is an identity token, as docker's credential helpers call it. `az acr login` writes such."""


def configure(c: Any, folder: Path) -> None:  # noqa: ANN401 - traitlets' Config
    """Configure `c` from registry.yaml in `folder`, if it exists, and from the Secret mounted at $DOCKER_CONFIG.

    Raises KeyError if the Secret has neither of the two keys that hold a docker config.
    """
    file = folder / "registry.yaml"
    if not file.exists():
        return
    registry: dict[str, Any] = read_yaml(file.read_text(encoding="utf-8"))
    c.DockerRegistry.url = registry["url"]
    if registry["tokenUrl"]:
        c.DockerRegistry.token_url = registry["tokenUrl"]
    if registry.get("tokenHosts"):
        c.ServiceDockerRegistry.token_hosts = registry["tokenHosts"]
    if "username" in registry:
        _set_login(c, registry["username"], registry["password"])
    elif registry.get("existingSecret"):
        _set_login(c, *_existing(c, registry))


def _set_login(c: Any, username: str, password: str) -> None:  # noqa: ANN401
    # As traits, because BinderHub's own search in docker's config misses keys that docker finds.
    c.DockerRegistry.username = username
    c.DockerRegistry.password = password


def _existing(c: Any, registry: dict[str, Any]) -> tuple[str, str]:  # noqa: ANN401
    """The login in the mounted Secret. Also configures build pods to use this Secret's key."""
    folder = Path(os.environ["DOCKER_CONFIG"])
    key = next((key for key in ("config.json", DOCKERCONFIGJSON) if (folder / key).exists()), None)
    if not key:
        raise KeyError(
            f"The Secret {registry['existingSecret']} has no key config.json or {DOCKERCONFIGJSON}. "
            "Make it with `kubectl create secret docker-registry`."
        )
    if key == DOCKERCONFIGJSON:
        c.ServiceBuildExecutor.push_secret_key = DOCKERCONFIGJSON
        c.BinderHub.build_class = "binderhub_service.executor.DockerConfigJsonExecutor"
    c.ServiceDockerRegistry.login_file, c.ServiceDockerRegistry.login_key = str(folder / key), registry["authKey"]
    login = read(folder / key, registry["authKey"])
    if not login:
        print(f"{registry['existingSecret']} has no login for {registry['host']}: images are looked for without one")
    return login or ("", "")


def read(file: Path, auth_key: str) -> tuple[str, str] | None:
    """The login in a docker config that docker would use: under the registry's key, or under one with the same host.

    The scheme and path of keys are ignored, as by ConvertToHostname in docker/cli, cli/config/credentials.
    Raises OSError or ValueError if the file cannot be read.
    """
    auths: dict[str, dict[str, str]] = json.loads(file.read_text(encoding="utf-8")).get("auths") or {}
    found = auths.get(auth_key) or {_host(key): entry for key, entry in auths.items()}.get(_host(auth_key)) or {}
    if found.get("identitytoken"):
        return IDENTITY_TOKEN_USER, found["identitytoken"]
    if found.get("auth"):
        username, _, password = base64.b64decode(found["auth"]).decode().partition(":")
        return username, password
    if found.get("username"):
        return found["username"], found.get("password", "")
    return None


def _host(key: str) -> str:
    return key.removeprefix("https://").removeprefix("http://").partition("/")[0]
