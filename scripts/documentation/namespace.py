"""A namespace for one page, and the check that the page leaves nothing in the cluster."""

import time
import uuid
from pathlib import Path

from documentation.cluster import Cluster

# They come and go by themselves, on any cluster, whatever a page does.
_RESTLESS = {
    "certificatesigningrequests.certificates.k8s.io",
    "componentstatuses",
    "events",
    "events.events.k8s.io",
    "leases.coordination.k8s.io",
    "nodes.metrics.k8s.io",
    "pods.metrics.k8s.io",
}


class Namespace:
    """A namespace made for a page, with a kubeconfig in which it is the current one."""

    def __init__(self, cluster: Cluster, folder: Path) -> None:
        """Make the namespace, and `folder`/kubeconfig that names it; remember what else is in the cluster."""
        self.cluster = cluster
        self.name = f"page-{uuid.uuid4().hex[:8]}"
        self.kubeconfig = folder / "kubeconfig"
        config = cluster.tell("kubectl", "config", "view", "--raw", "--minify", "--flatten")
        self.kubeconfig.touch(mode=0o600)
        self.kubeconfig.write_text(config)
        own = Cluster(self.kubeconfig, path=cluster.path)
        cluster.tell("kubectl", "create", "namespace", self.name)
        own.tell("kubectl", "config", "set-context", "--current", f"--namespace={self.name}")
        # The default service account and the authority's ConfigMap come a moment after the namespace.
        cluster.tell(
            *("kubectl", "wait", "--for=create", "serviceaccount/default", "configmap/kube-root-ca.crt"),
            *(f"--namespace={self.name}", "--timeout=30s"),
        )
        self._before = self._objects()

    def left_behind(self, patience: float) -> list[str]:
        """What is there now and was not before, after at most `patience` seconds: `namespace kind/name` lines.

        Looked at are all cluster-scoped objects, this namespace, and `default`.
        """
        deadline = time.monotonic() + patience
        while (left := sorted(self._objects() - self._before)) and time.monotonic() < deadline:
            time.sleep(1)
        return left

    def delete(self) -> None:
        """Delete the namespace and wait until it is gone."""
        self.cluster.ask(
            "kubectl", "delete", "namespace", self.name, "--ignore-not-found", "--timeout=120s", timeout=150
        )

    def _objects(self) -> set[str]:
        found = {f"(cluster) {name}" for name in self._names("--namespaced=false")}
        for namespace in (self.name, "default"):
            found |= {f"{namespace} {name}" for name in self._names("--namespaced=true", f"--namespace={namespace}")}
        return found

    def _names(self, scope: str, *where: str) -> list[str]:
        listed = self.cluster.tell("kubectl", "api-resources", "--verbs=list", "--output=name", scope).split()
        kinds = ",".join(sorted(set(listed) - _RESTLESS))
        return self.cluster.tell("kubectl", "get", kinds, "--output=name", "--ignore-not-found", *where).splitlines()
