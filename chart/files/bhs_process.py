"""What this process is part of: the release, and the API server that it asks."""

import os
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import kubernetes.config
from bhs_api import Api
from bhs_pod import owner
from kubernetes import client
from kubernetes.config.incluster_config import SERVICE_TOKEN_FILENAME


def release() -> str:
    """The value of the label that tells this release's build pods from those of others."""
    return owner(os.environ.get("NAMESPACE", ""), os.environ.get("HELM_RELEASE_NAME", ""))


def api() -> Api:
    """The API server that the pod's service account or else the kubeconfig leads to.

    Raises kubernetes.config.ConfigException where there is neither.
    """
    login: Callable[[Any], str] = _login_of_service_account
    try:
        kubernetes.config.load_incluster_config()
    except kubernetes.config.ConfigException:
        kubernetes.config.load_kube_config()
        login = _login_of_kubeconfig
    configuration = client.CoreV1Api().api_client.configuration
    return Api(configuration, partial(login, configuration))


def _login_of_kubeconfig(configuration: Any) -> str:  # noqa: ANN401 - each client version has its own class
    return str(configuration.auth_settings().get("BearerToken", {}).get("value") or "")


def _login_of_service_account(_configuration: Any) -> str:  # noqa: ANN401
    # Read anew each time: the kubelet replaces it about every hour, and client 9.0.1 would keep the first one.
    return f"Bearer {Path(SERVICE_TOKEN_FILENAME).read_text(encoding='ascii').strip()}"
