"""BinderHub's Deployment, Service, Ingress, Secret and ServiceAccount."""

import json
from typing import Any

import pytest
from chart_values.rendering import Chart, Object, Objects
from common.paths import CHART


def pod(objects: Objects) -> Object:
    template: Object = objects.one("Deployment", "binderhub")["spec"]["template"]
    return template


def container(objects: Objects) -> Object:
    (found,) = pod(objects)["spec"]["containers"]
    assert isinstance(found, dict)
    return found


def test_the_whole_command_is_named_so_that_no_images_entry_point_matters(defaults: Objects) -> None:
    found = container(defaults)
    assert found["name"] == "binderhub"
    assert found["command"] == ["tini", "--", "python3", "-m", "binderhub"]
    assert found["args"] == ["--config", "/etc/binderhub/mounted-secret/binderhub_config.py"]


def test_the_config_that_the_command_names_is_mounted(defaults: Objects) -> None:
    mount, _ = container(defaults)["volumeMounts"]
    volume, _ = pod(defaults)["spec"]["volumes"]
    assert mount == {"name": volume["name"], "mountPath": "/etc/binderhub/mounted-secret/", "readOnly": True}
    secret = defaults.one("Secret", volume["secret"]["secretName"])
    assert {"chart-config.yaml", "binderhub_config.py"} <= set(secret["stringData"])


def test_the_package_is_mounted_where_the_config_looks_for_it(defaults: Objects) -> None:
    _, mount = container(defaults)["volumeMounts"]
    _, volume = pod(defaults)["spec"]["volumes"]
    assert mount == {"name": volume["name"], "mountPath": "/etc/binderhub/python/", "readOnly": True}
    files: dict[str, str] = {}
    for source in volume["projected"]["sources"]:
        data = defaults.one("ConfigMap", source["configMap"]["name"])["data"]
        files |= {item["path"]: data[item["key"]] for item in source["configMap"]["items"]}
    package = CHART / "files" / "binderhub_service"
    assert files == {str(file.relative_to(package.parent)): file.read_text() for file in package.rglob("*.py")}


def test_no_object_is_too_large_for_kubectl_apply(defaults: Objects) -> None:
    """It keeps a copy of the object, as JSON, in an annotation, and Kubernetes takes 256 KiB of annotations."""
    assert max(len(json.dumps(found, ensure_ascii=False).encode()) for found in defaults) < 250_000


@pytest.mark.parametrize(
    ("base_url", "path"),
    [
        ("/", "/versions"),
        ("/services/binder", "/services/binder/versions"),
        ("/services/binder/", "/services/binder/versions"),
        (None, "/versions"),
    ],
)
def test_probes_and_ingress_follow_the_base_url(chart: Chart, base_url: str | None, path: str) -> None:
    values = {"config": {"BinderHub": {"base_url": base_url}}, "ingress": {"enabled": True}, "allowAnonymous": True}
    objects = chart.render(values)
    probes = [container(objects)[f"{kind}Probe"]["httpGet"] for kind in ("startup", "readiness", "liveness")]
    assert probes == [{"path": path, "port": "http"}] * 3
    (rule,) = objects.one("Ingress", "binderhub")["spec"]["rules"]
    assert rule["http"]["paths"][0]["path"] == path.removesuffix("versions")


def test_the_service_leads_to_the_port_that_binderhub_listens_on(chart: Chart) -> None:
    objects = chart.render({"config": {"BinderHub": {"port": 8586}}, "service": {"port": 8090}})
    (port,) = objects.one("Service", "binderhub")["spec"]["ports"]
    assert port == {"name": "http", "port": 8090, "targetPort": "http"}
    assert container(objects)["ports"] == [{"name": "http", "containerPort": 8586}]


def test_nulls_remove_limits_and_labels_of_nodes(chart: Chart) -> None:
    objects = chart.render({"resources": {"limits": {"cpu": None}}, "nodeSelector": {"a": None, "b": 1}})
    assert container(objects)["resources"]["limits"] == {}
    assert pod(objects)["spec"]["nodeSelector"] == {"b": "1"}


def test_environment_names_are_upstreams(chart: Chart) -> None:
    objects = chart.render({"extraCredentials": {"googleServiceAccountKey": '{"a": 1}'}})
    told = {entry.pop("name"): entry for entry in container(objects)["env"]}
    of_the_pod = {"valueFrom": {"fieldRef": {"fieldPath": "metadata.namespace"}}}
    for own in ("DOCKER_API_SOCKET", "DOCKER_API_SELECTOR", "DOCUMENTATION_URL", "MALLOC_ARENA_MAX"):
        del told[own]
    assert told == {
        "PUSH_SECRET_NAME": {"value": "build-pods-docker-config"},
        "HELM_RELEASE_NAME": {"value": "rel"},
        "NAMESPACE": of_the_pod,
        "BUILD_NAMESPACE": of_the_pod,
        "GOOGLE_APPLICATION_CREDENTIALS": {"value": "/etc/binderhub/mounted-secret/gcp-sa-key.json"},
    }
    assert objects.one("Secret", "binderhub")["stringData"]["gcp-sa-key.json"].strip() == '{"a": 1}'


def test_extra_environment_volumes_and_mounts_are_templates(chart: Chart) -> None:
    objects = chart.render(
        {
            "extraEnv": [{"name": "HUB", "value": "http://hub.{{ .Release.Namespace }}"}],
            "extraVolumes": [{"name": "ca", "secret": {"secretName": "{{ .Release.Name }}-ca"}}],
            "extraVolumeMounts": [{"name": "ca", "mountPath": "/etc/{{ .Release.Name }}"}],
        }
    )
    assert {"name": "HUB", "value": "http://hub.ns1"} in container(objects)["env"]
    assert {"name": "ca", "secret": {"secretName": "rel-ca"}} in pod(objects)["spec"]["volumes"]
    assert {"name": "ca", "mountPath": "/etc/rel"} in container(objects)["volumeMounts"]


@pytest.mark.parametrize(
    ("values", "restarts"),
    [
        ({"custom": {"a": 1}}, True),
        ({"config": {"BinderHub": {"image_prefix": "a/"}}}, True),
        ({"extraConfig": {"a": "pass"}}, True),
        ({"extraCredentials": {"googleServiceAccountKey": "{}"}}, True),
        ({"service": {"port": 81}}, False),
        ({"buildPodsDockerConfig": {"auths": {}}}, False),
        ({"dockerApi": {"extraArgs": ["--debug"]}}, False),
    ],
)
def test_binderhub_restarts_when_its_configuration_changes_and_only_then(
    chart: Chart, defaults: Objects, values: dict[str, Any], restarts: bool
) -> None:
    assert (pod(chart.render(values)) != pod(defaults)) is restarts


@pytest.mark.parametrize(
    ("account", "made", "used", "bound"),
    [
        ({}, {"binderhub"}, "binderhub", "binderhub"),
        ({"name": "builder"}, {"builder"}, "builder", "builder"),
        ({"create": False, "name": "builder"}, set(), "builder", "builder"),
        ({"create": False}, set(), None, "default"),
    ],
)
def test_the_role_is_bound_to_the_account_that_the_pod_runs_as(
    chart: Chart, account: dict[str, Any], made: set[str], used: str | None, bound: str
) -> None:
    objects = chart.render({"serviceAccount": account})
    assert {name for kind, name in objects.names() if kind == "ServiceAccount"} == made
    assert pod(objects)["spec"].get("serviceAccountName") == used
    binding = objects.one("RoleBinding", "binderhub")
    assert binding["subjects"] == [{"kind": "ServiceAccount", "name": bound, "namespace": "ns1"}]
    assert binding["roleRef"] == {"apiGroup": "rbac.authorization.k8s.io", "kind": "Role", "name": "binderhub"}


def test_no_role_is_made_where_that_is_someone_elses_work(chart: Chart) -> None:
    kinds = {kind for kind, _ in chart.render({"rbac": {"create": False}}).names()}
    assert not kinds & {"Role", "RoleBinding"}
    assert "ServiceAccount" in kinds


def test_each_host_of_the_ingress_leads_to_the_service(chart: Chart) -> None:
    objects = chart.render(
        {
            "allowAnonymous": True,
            "ingress": {
                "enabled": True,
                "ingressClassName": "nginx",
                "hosts": ["a.example.org", "b.example.org"],
                "pathSuffix": "(.*)",
                "pathType": "ImplementationSpecific",
                "annotations": {"a/b": "c"},
                "tls": [{"secretName": "tls", "hosts": ["a.example.org"]}],
            },
        }
    )
    ingress = objects.one("Ingress", "binderhub")
    assert ingress["metadata"]["annotations"] == {"a/b": "c"}
    assert ingress["spec"] == {
        "ingressClassName": "nginx",
        "rules": [
            {
                "host": host,
                "http": {
                    "paths": [
                        {
                            "path": "/(.*)",
                            "pathType": "ImplementationSpecific",
                            "backend": {"service": {"name": "binderhub", "port": {"name": "http"}}},
                        }
                    ]
                },
            }
            for host in ("a.example.org", "b.example.org")
        ],
        "tls": [{"secretName": "tls", "hosts": ["a.example.org"]}],
    }


def test_values_of_the_pod_reach_the_pod(chart: Chart) -> None:
    objects = chart.render(
        {
            "replicas": 2,
            "image": {"repository": "r/i", "tag": "t", "pullPolicy": "Always", "pullSecrets": [{"name": "s"}]},
            "resources": {"requests": {"cpu": "1"}},
            "podSecurityContext": {"fsGroup": 1},
            "podAnnotations": {"a": "b"},
            "podLabels": {"l": "m"},
            "nodeSelector": {"n": "o"},
            "affinity": {"nodeAffinity": {}},
            "tolerations": [{"key": "k"}],
        }
    )
    assert objects.one("Deployment", "binderhub")["spec"]["replicas"] == 2
    assert {"image": "r/i:t", "imagePullPolicy": "Always"}.items() <= container(objects).items()
    assert container(objects)["resources"] == {"requests": {"cpu": "1"}}
    assert pod(objects)["metadata"]["annotations"]["a"] == "b"
    assert pod(objects)["metadata"]["labels"]["l"] == "m"
    assert {
        "imagePullSecrets": [{"name": "s"}],
        "securityContext": {"fsGroup": 1},
        "nodeSelector": {"n": "o"},
        "affinity": {"nodeAffinity": {}},
        "tolerations": [{"key": "k"}],
    }.items() <= pod(objects)["spec"].items()


@pytest.mark.parametrize(
    "values",
    [{}, {"registry": {"server": "quay.io", "existingSecret": "s", "certificateAuthority": "x"}}],
    ids=["defaults", "with all volumes"],
)
def test_binderhub_meets_pod_security_restricted(chart: Chart, values: dict[str, Any]) -> None:
    # https://kubernetes.io/docs/concepts/security/pod-security-standards/#restricted
    spec = pod(chart.render(values))["spec"]
    containers = [*spec["containers"], *spec.get("initContainers", [])]
    assert len(containers) == (2 if values else 1)
    for found in containers:
        context = found["securityContext"]
        assert context["runAsNonRoot"] is True
        assert context["runAsUser"] > 0
        assert context["allowPrivilegeEscalation"] is False
        assert context["capabilities"] == {"drop": ["ALL"]}
        assert context["seccompProfile"] == {"type": "RuntimeDefault"}
        assert context["readOnlyRootFilesystem"] is True
        assert not [port for port in found.get("ports", []) if "hostPort" in port]
    assert not {"hostNetwork", "hostPID", "hostIPC"} & set(spec)
    kinds = {kind for volume in spec["volumes"] for kind in set(volume) - {"name"}}
    assert kinds <= {"configMap", "csi", "downwardAPI", "emptyDir", "ephemeral", "projected", "secret"}
