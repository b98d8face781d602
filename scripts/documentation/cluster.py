"""The cluster that pages run on."""

import json
import os
import shutil
import subprocess
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

from common import debian_packages
from common.errors import UserError
from common.kubectl import ClusterAccess

LAB = "lab with substitutes"
UPSTREAM = "upstream images"


@dataclass(frozen=True)
class Cluster:
    """A Kubernetes cluster to run pages on, and its versions for the record."""

    kubeconfig: Path
    context: str | None = None
    """None: the current one of the kubeconfig."""
    path: str = field(default_factory=lambda: os.environ.get("PATH", os.defpath))
    """A search path on which kubectl and helm are found."""
    placeholders: Mapping[str, str] = field(default_factory=dict)
    """Values that replace the declared ones on this cluster."""
    where: str = UPSTREAM
    """`LAB` or `UPSTREAM`: what stands behind the names of the images."""
    binderhub: str = "of the chart's image"
    """Which BinderHub runs there."""
    engine: str = "docker"

    def ask(self, *words: str, timeout: float = 60, stdin: str = "") -> subprocess.CompletedProcess[str]:
        """Run kubectl or helm against this cluster with `stdin`; the caller looks at the exit status."""
        program, *arguments = words
        access = self._access()
        return access.attempt(getattr(access, program), *arguments, given=stdin, timeout=timeout)

    def tell(self, *words: str, timeout: float = 60, stdin: str = "") -> str:
        """The output of `ask`; raises UserError when it failed."""
        program, *arguments = words
        access = self._access()
        return access.run(getattr(access, program), *arguments, given=stdin, timeout=timeout)

    def _access(self) -> ClusterAccess:
        found = {program: shutil.which(program, path=self.path) for program in ("kubectl", "helm")}
        for program, path in found.items():
            if not path:
                raise UserError(f"{program} is not on the search path.", "Install it, or leave out --context.")
        return ClusterAccess(str(found["kubectl"]), str(found["helm"]), str(self.kubeconfig), self.context or "")

    def versions(self) -> dict[str, str]:
        """The versions of the Kubernetes server and of helm, without a leading v."""
        kubernetes = json.loads(self.tell("kubectl", "version", "--output=json"))["serverVersion"]["gitVersion"]
        helm = self.tell("helm", "version", "--template={{.Version}}")
        return {"kubernetes": kubernetes.removeprefix("v"), "helm": helm.strip().removeprefix("v")}


def of_context(context: str) -> Cluster:
    """The cluster of that context in the person's kubeconfig (`$KUBECONFIG`, else ~/.kube/config).

    Raises UserError where there is no such file.
    """
    file = Path(os.environ.get("KUBECONFIG") or Path.home() / ".kube" / "config")
    if not file.is_file():
        raise UserError(
            f"There is no kubeconfig at {file}.",
            "Set KUBECONFIG, or leave out --context: then the pages run on a cluster that is raised here.",
        )
    return Cluster(file, context, where=UPSTREAM)


def local(*, force: bool = False) -> Cluster:
    """The local cluster, raised if it does not run. Raises UserError where this machine cannot have it.

    `force`: replace one that does not fit even while another command uses it.
    """
    from local_cluster import cluster, go_tools, layout, preconditions

    preconditions.check()
    debian_packages.install(("lab",))
    cluster.up(force=force)
    return Cluster(
        layout.KUBECONFIG,
        path=f"{go_tools.folder()}:{os.environ.get('PATH', os.defpath)}",
        where=LAB,
        binderhub=cluster.state()["binderhub"],
    )
