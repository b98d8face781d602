"""The chart's executor for Secrets of the type kubernetes.io/dockerconfigjson, on BinderHub's own."""

from pathlib import Path

from common.paths import CHART
from support.binderhub import Installed, new_ref, running
from support.scripted_kubernetes_api import NAMESPACE, serving

CONFIG = f"""
import sys
sys.path.append({str(CHART / "files")!r})
c.BinderHub.builder_required = True
c.BinderHub.build_class = "binderhub_service.executor.DockerConfigJsonExecutor"
c.KubernetesBuildExecutor.push_secret = "mine"
"""


def test_the_secrets_key_is_mounted_as_dockers_config(binderhub: Installed, tmp_path: Path) -> None:
    request = f"https%3A%2F%2Fgit.example%2Fgroup/{new_ref()}"
    with serving(tmp_path) as api:
        env = {"KUBECONFIG": str(api.kubeconfig), "BUILD_NAMESPACE": NAMESPACE}
        with running(binderhub, tmp_path, CONFIG, env) as service, service.build(request) as stream:
            assert stream.event()["phase"] == "waiting"
            spec = api.asked("POST").body["spec"]
    volumes = {volume["name"]: volume for volume in spec["volumes"]}
    (container,) = spec["containers"]
    (name,) = [
        mount["name"]
        for mount in container["volumeMounts"]
        if (mount["mountPath"], mount.get("subPath")) == ("/root/.docker/config.json", "config.json")
    ]
    items = [{"key": ".dockerconfigjson", "path": "config.json"}]
    assert volumes[name]["secret"] == {"secretName": "mine", "items": items}
    (socket,) = [volume for other, volume in volumes.items() if other != name]
    assert "secret" not in socket
