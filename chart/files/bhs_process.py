"""What this process is part of: the release, and the API server that it asks."""

import os
from typing import Any

import kubernetes.config
from bhs_pod import owner
from kubernetes import client


def release() -> str:
    """The value of the label that tells this release's build pods from those of others."""
    return owner(os.environ.get("NAMESPACE", ""), os.environ.get("HELM_RELEASE_NAME", ""))


def configuration() -> Any:  # noqa: ANN401 - each client version has its own class
    """The kubernetes client's configuration, from the pod's service account or else the kubeconfig."""
    try:
        kubernetes.config.load_incluster_config()
    except kubernetes.config.ConfigException:
        kubernetes.config.load_kube_config()
    return client.CoreV1Api().api_client.configuration
