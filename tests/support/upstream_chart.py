"""A chart of our own that makes what the upstream chart makes: names, selectors, keys of Secrets, paths on nodes.

It is what 2i2c-org/binderhub-service at commit fc8bb6a renders for the default `fullnameOverride`, as far as a release
can notice it; the objects stand in it as they are, without templates.
"""

import base64
import json
from pathlib import Path
from typing import Any

import yaml
from common.paths import CLONE

Json = dict[str, Any]

PRODUCTION = [
    CLONE / "tests" / "chart" / "values" / f"{name}.yaml" for name in ("beside-a-jupyterhub", "with-a-page-for-people")
]
"""Values as users of the upstream chart have them."""

CONFIG = """\
from pathlib import Path

import yaml

values = yaml.safe_load(Path("/etc/binderhub/mounted-secret/chart-config.yaml").read_text())


def get_chart_config(config_path=None, default=None):
    found = values
    for key in config_path.split(".") if config_path else []:
        if not isinstance(found, dict) or key not in found:
            return default
        found = found[key]
    return found


for section, traits in values["config"].items():
    c[section].update(traits)
for key in sorted(values["extraConfig"]):
    exec(values["extraConfig"][key])
"""
SNIPPETS = {
    "binderhub-service-01-build-pods-docker-config": (
        'import os\nc.KubernetesBuildExecutor.push_secret = os.environ["PUSH_SECRET_NAME"]\n'
    ),
    "binderhub-service-02-set-docker-api": (
        "import os\n"
        'place = os.environ["NAMESPACE"] + "-" + os.environ["HELM_RELEASE_NAME"]\n'
        'c.KubernetesBuildExecutor.docker_host = "/var/run/" + place + "/docker-api/docker-api.sock"\n'
    ),
}


def write(folder: Path, values: Json, release: str, namespace: str) -> Path:
    """Write the chart for a release with these values into `folder`, and return that.

    Of the values it heeds config, custom, extraConfig, image, buildPodsRegistryCredentials, extraVolumes,
    extraVolumeMounts, dockerApi.image and dockerApi.extraFiles (as `data`, in JSON).
    """
    (folder / "templates").mkdir(parents=True)
    chart = {"apiVersion": "v2", "name": "binderhub-service", "version": "0.0.1-before", "appVersion": "1.0.0"}
    (folder / "Chart.yaml").write_text(yaml.safe_dump(chart))
    (folder / "values.yaml").write_text("{}\n")
    text = yaml.safe_dump_all(_objects(values, release, namespace), sort_keys=False)
    (folder / "templates" / "objects.yaml").write_text(text.replace("{{", "{{ `{{` }}"))
    return folder


def data_folder(release: str, namespace: str) -> str:
    """Where images and build cache are on the nodes."""
    return f"/var/lib/{namespace}-{release}/docker-api"


def _objects(values: Json, release: str, namespace: str) -> list[Json]:
    own = {"app.kubernetes.io/name": "binderhub-service", "app.kubernetes.io/instance": release}
    labels = {
        "helm.sh/chart": "binderhub-service-0.0.1-before",
        **own,
        "app.kubernetes.io/version": "1.0.0",
        "app.kubernetes.io/managed-by": "Helm",
    }

    def an(kind: str, name: str, version: str = "v1", **more: Any) -> Json:
        return {"apiVersion": version, "kind": kind, "metadata": {"name": name, "labels": labels}, **more}

    binderhub, docker_api = ({**own, "app.kubernetes.io/component": name} for name in ("binderhub", "docker-api"))
    login = values["buildPodsRegistryCredentials"]
    auth = base64.b64encode(f"{login['username']}:{login['password']}".encode()).decode()
    mounted = {
        "custom": values.get("custom", {}),
        "config": values["config"],
        "extraConfig": {**SNIPPETS, **values.get("extraConfig", {})},
    }
    files = values["dockerApi"]["extraFiles"]
    rbac = "rbac.authorization.k8s.io/v1"
    rules = [
        {"apiGroups": [""], "resources": ["pods"], "verbs": ["get", "watch", "list", "create", "delete"]},
        {"apiGroups": [""], "resources": ["pods/log"], "verbs": ["get"]},
    ]
    account = {"kind": "ServiceAccount", "namespace": namespace, "name": "binderhub"}
    return [
        an("ServiceAccount", "binderhub"),
        an(
            "Secret",
            "build-pods-docker-config",
            type="Opaque",
            stringData={"config.json": json.dumps({"auths": {login["server"]: {"auth": auth}}})},
        ),
        an(
            "Secret",
            "docker-api",
            type="Opaque",
            stringData={
                key: file["stringData"] if "stringData" in file else json.dumps(file["data"])
                for key, file in files.items()
            },
        ),
        an(
            "Secret",
            "binderhub",
            type="Opaque",
            stringData={"chart-config.yaml": yaml.safe_dump(mounted), "binderhub_config.py": CONFIG},
        ),
        an("Role", "binderhub", rbac, rules=rules),
        an(
            "RoleBinding",
            "binderhub",
            rbac,
            subjects=[account],
            roleRef={"apiGroup": "rbac.authorization.k8s.io", "kind": "Role", "name": "binderhub"},
        ),
        an(
            "Service",
            "binderhub",
            spec={
                "type": "ClusterIP",
                "ports": [{"name": "http", "port": 80, "targetPort": "http"}],
                "selector": binderhub,
            },
        ),
        an(
            "DaemonSet",
            "docker-api",
            "apps/v1",
            spec={
                "selector": {"matchLabels": docker_api},
                "template": {"metadata": {"labels": docker_api}, "spec": _daemon(values, release, namespace)},
            },
        ),
        an(
            "Deployment",
            "binderhub",
            "apps/v1",
            spec={
                "replicas": 1,
                "selector": {"matchLabels": binderhub},
                "template": {
                    "metadata": {"labels": {**binderhub, "hub.jupyter.org/network-access-hub": "true"}},
                    "spec": _server(values, release),
                },
            },
        ),
    ]


def _server(values: Json, release: str) -> Json:
    def of_the_pod(name: str) -> Json:
        return {"name": name, "valueFrom": {"fieldRef": {"fieldPath": "metadata.namespace"}}}

    return {
        "serviceAccountName": "binderhub",
        "volumes": [{"name": "secret", "secret": {"secretName": "binderhub"}}, *values.get("extraVolumes", [])],
        "containers": [
            {
                "name": "binderhub",
                "image": f"{values['image']['repository']}:{values['image']['tag']}",
                "ports": [{"name": "http", "containerPort": 8585}],
                "volumeMounts": [
                    {"name": "secret", "mountPath": "/etc/binderhub/mounted-secret/", "readOnly": True},
                    *values.get("extraVolumeMounts", []),
                ],
                "env": [
                    {"name": "PUSH_SECRET_NAME", "value": "build-pods-docker-config"},
                    {"name": "HELM_RELEASE_NAME", "value": release},
                    of_the_pod("BUILD_NAMESPACE"),
                    of_the_pod("NAMESPACE"),
                ],
                "securityContext": {
                    "capabilities": {"drop": ["ALL"]},
                    "readOnlyRootFilesystem": True,
                    "runAsNonRoot": True,
                    "runAsUser": 1000,
                },
                "startupProbe": {
                    "periodSeconds": 1,
                    "failureThreshold": 60,
                    "httpGet": {"path": "/versions", "port": "http"},
                },
            }
        ],
    }


def _daemon(values: Json, release: str, namespace: str) -> Json:
    data, run = data_folder(release, namespace), f"/var/run/{namespace}-{release}/docker-api"
    files = values["dockerApi"]["extraFiles"]
    image = values["dockerApi"]["image"]
    return {
        "containers": [
            {
                "name": "docker-api",
                "image": f"{image['repository']}:{image['tag']}",
                "args": [
                    "dockerd",
                    f"--data-root={data}",
                    f"--exec-root={run}",
                    f"--host=unix://{run}/docker-api.sock",
                ],
                "volumeMounts": [
                    {"name": "data", "mountPath": data},
                    {"name": "exec", "mountPath": run},
                    *({"name": "files", "mountPath": file["mountPath"], "subPath": key} for key, file in files.items()),
                ],
                "securityContext": {"privileged": True, "runAsUser": 0},
            }
        ],
        "volumes": [
            {"name": "data", "hostPath": {"path": data, "type": "DirectoryOrCreate"}},
            {"name": "exec", "hostPath": {"path": run, "type": "DirectoryOrCreate"}},
            {
                "name": "files",
                "secret": {"secretName": "docker-api", "items": [{"key": key, "path": key} for key in files]},
            },
        ],
    }
