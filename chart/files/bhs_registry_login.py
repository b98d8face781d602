"""The chart's value `registry`, as configuration of BinderHub: whom to ask for images, and with which login."""

import base64
import json
import os
from pathlib import Path
from typing import Any

import yaml

DOCKERCONFIGJSON = ".dockerconfigjson"
"""The key that Secrets of the type kubernetes.io/dockerconfigjson have."""


def configure(c: Any, folder: Path) -> None:  # noqa: ANN401 - traitlets' Config
    """Set `c` as registry.yaml in `folder` says, and the Secret that $DOCKER_CONFIG is a mount of; nothing without them.

    Raises KeyError where the Secret has neither of the two keys that hold a docker config.
    """
    file = folder / "registry.yaml"
    if not file.exists():
        return
    registry: dict[str, str] = yaml.safe_load(file.read_text(encoding="utf-8"))
    login = {key: registry[key] for key in ("username", "password") if key in registry}
    if mounted := os.environ.get("DOCKER_CONFIG"):
        key = next((key for key in ("config.json", DOCKERCONFIGJSON) if (Path(mounted) / key).exists()), None)
        if not key:
            raise KeyError(f"The Secret of registry.existingSecret has no key config.json or {DOCKERCONFIGJSON}.")
        login = _login(json.loads((Path(mounted) / key).read_text(encoding="utf-8")), registry)
        if key == DOCKERCONFIGJSON:
            c.BinderHub.build_class = "bhs_push_secret.DockerConfigJsonExecutor"
    # All three, since BinderHub looks into docker's config itself for what is missing, by rules that miss keys.
    c.DockerRegistry.url = registry["url"]
    c.DockerRegistry.username = login.get("username", "")
    c.DockerRegistry.password = login.get("password", "")
    if registry["tokenUrl"]:
        c.DockerRegistry.token_url = registry["tokenUrl"]


def _login(config: dict[str, Any], registry: dict[str, str]) -> dict[str, str]:
    """The login that docker would use: under the registry's key, or under one with the same host.

    The latter as github.com/docker/cli reads keys (ConvertToHostname in cli/config/credentials): without scheme and path.
    """
    auths: dict[str, dict[str, str]] = config.get("auths") or {}
    hosts = {_host(key): entry for key, entry in auths.items()}
    found = auths.get(registry["authKey"]) or hosts.get(_host(registry["authKey"])) or {}
    if found.get("auth"):
        username, _, password = base64.b64decode(found["auth"]).decode().partition(":")
        return {"username": username, "password": password}
    if not found.get("username"):
        print(f"registry.existingSecret has no login for {registry['host']}; images are looked for without one")
    return found


def _host(key: str) -> str:
    return key.partition("://")[2].partition("/")[0] if "://" in key else key.partition("/")[0]
