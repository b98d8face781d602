"""The target of the demonstration: the local cluster, or another one."""

import json
import os
import shutil
import subprocess
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from common.errors import UserError
from common.kubectl import ClusterAccess


@dataclass(frozen=True)
class Target(ClusterAccess):
    """A cluster, a registry with a login, and a repository to build."""

    registry: str
    """Where images are pushed to: a host, with a path where the registry wants one, such as quay.io/someone."""
    username: str
    password: str = field(repr=False)
    repository: str
    ref: str
    values: tuple[Path, ...] = ()
    """Values files that any install on this cluster needs."""
    login_url: str = ""
    """An URL of the registry, reachable from here, that must ask for a login; empty where it cannot be asked."""
    authority: Path | None = None

    @property
    def host(self) -> str:
        """The registry's host, which is also the key of its login in a docker config."""
        return self.registry.partition("/")[0]

    def get(self, *arguments: str) -> Any:  # noqa: ANN401 - as JSON is
        """What `kubectl get … --output json` answers."""
        return json.loads(self.run(self.kubectl, "get", *arguments, "--output=json"))


def local(repository: str | None, ref: str) -> Target:
    """The local cluster, which must run, with its own registry and Git server."""
    from local_cluster import go_tools, layout, registries

    programs = go_tools.folder()
    return Target(
        kubectl=str(programs / "kubectl"),
        helm=str(programs / "helm"),
        kubeconfig=str(layout.KUBECONFIG),
        context=layout.CONTEXT,
        registry=layout.REGISTRY_NAME,
        username=layout.REGISTRY_USER,
        password=registries.PASSWORD.read_text(),
        repository=repository or f"http://{layout.GIT_NAME}/first-image.git",
        ref=ref,
        values=(layout.VALUES,),
        login_url=f"https://{layout.REGISTRY_ADDRESS}/v2/",
        authority=layout.AUTHORITY,
    )


def named(context: str, registry: str, repository: str | None, ref: str, values: tuple[Path, ...]) -> Target:
    """The cluster of a kubeconfig context; the registry's login comes from the environment."""
    kubectl, helm = shutil.which("kubectl"), shutil.which("helm")
    if not kubectl or not helm:
        raise UserError("kubectl and helm must be on PATH to use your own cluster.", "Install the one that is missing.")
    try:
        username, password = os.environ["REGISTRY_USERNAME"], os.environ["REGISTRY_PASSWORD"]
    except KeyError as missing:
        raise UserError(
            f"The environment variable {missing.args[0]} is not set.",
            "Export REGISTRY_USERNAME and REGISTRY_PASSWORD, a login that may push to the registry.",
        ) from None
    known = subprocess.run([kubectl, "config", "get-contexts", context], capture_output=True, check=False)
    if known.returncode:
        raise UserError(
            f"The kubeconfig has no context {context}.", "See `kubectl config get-contexts` for those that it has."
        )
    return Target(
        kubectl=kubectl,
        helm=helm,
        kubeconfig="",
        context=context,
        registry=registry,
        username=username,
        password=password,
        repository=repository or "https://github.com/binder-examples/minimal-dockerfile",
        ref=ref,
        values=values,
    )
