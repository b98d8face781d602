"""A real JupyterHub in the release's namespace: the value `hub.enabled` is all that BinderHub has to be told."""

import json
import subprocess
from collections.abc import Iterator
from typing import Any

import pytest
from demonstration.target import Target
from local_cluster import substitute_images
from support.hub_users import CONFIG, People
from support.release import Release, namespaced

pytestmark = pytest.mark.local

PORT = 8081
HUB = {"app": "jupyterhub", "component": "hub"}
VALUES: dict[str, Any] = {
    "hub": {"enabled": True},
    "networkPolicy": {"binderhub": {"enabled": True}},
    "test": {
        "enabled": True,
        "repository": "http://git.lab.test/one-file.git",
        "apiTokenSecret": {"name": "ada", "key": "token"},
    },
}


def objects(people: People) -> list[dict[str, Any]]:
    """What Zero to JupyterHub has of a hub that BinderHub relies on, under its names; and the token of a user."""
    image = next(image.substitutes for image in substitute_images.images() if image.folder == "binderhub")
    environment = people.environment(f"http://0.0.0.0:{PORT}")
    container = {
        "name": "hub",
        "image": image,
        "command": ["tini", "--", "python3", "-m", "jupyterhub", "--config=/config/jupyterhub_config.py"],
        "envFrom": [{"secretRef": {"name": "hub-environment"}}],
        "volumeMounts": [{"name": "config", "mountPath": "/config"}],
        "readinessProbe": {"httpGet": {"path": "/hub/api/", "port": PORT}, "periodSeconds": 1},
    }
    spec = {"containers": [container], "volumes": [{"name": "config", "configMap": {"name": "hub"}}]}
    ports = [{"port": PORT}]
    return [
        made("v1", "Secret", "hub", stringData={"hub.services.binder.apiToken": people.service}),
        made("v1", "Secret", "hub-environment", stringData=environment),
        made("v1", "Secret", "ada", stringData={"token": people.ada}),
        made("v1", "ConfigMap", "hub", data={CONFIG.name: CONFIG.read_text()}),
        made("v1", "Service", "hub", spec={"selector": HUB, "ports": ports}),
        made("v1", "Pod", "hub", spec=spec),
    ]


def made(version: str, kind: str, name: str, **content: Any) -> dict[str, Any]:
    return {"apiVersion": version, "kind": kind, "metadata": {"name": name, "labels": HUB}, **content}


@pytest.fixture(scope="module")
def people() -> People:
    return People()


@pytest.fixture(scope="module")
def release(cluster: Target, people: People) -> Iterator[Release]:
    """BinderHub beside the JupyterHub, reached."""
    with namespaced(cluster, VALUES) as beside:
        listed = {"apiVersion": "v1", "kind": "List", "items": objects(people)}
        where = f"--namespace={beside.namespace}"
        cluster.run(cluster.kubectl, "apply", where, "--filename=-", given=json.dumps(listed))
        cluster.run(cluster.kubectl, "wait", where, "pod/hub", "--for=condition=Ready", "--timeout=120s")
        beside.install()
        with beside.reached() as reached:
            yield reached


def end(release: Release, token: str) -> tuple[str, str]:
    """How a request with this token ends: its code, or the phase, and what BinderHub says."""
    release.token = token
    last = release.answer("one-file", url=f"{release.url}/services/binder").end
    return last.get("code", last["phase"]), last.get("what", last["message"]).partition(": ")[2]


def test_only_users_with_the_scope_may_build(release: Release, people: People) -> None:
    assert end(release, people.eve) == ("BHS901", "user eve is not allowed.")
    assert end(release, "unknown") == ("BHS901", "Forbidden")
    assert end(release, "") == ("BHS901", "Forbidden")
    assert end(release, people.ada)[0] == "ready"
    release.nothing_left()


def test_helm_test_builds_with_the_token_of_a_secret(release: Release, people: People) -> None:
    target = release.target
    words = ["--kube-context", target.context, "test", release.name, f"--namespace={release.namespace}", "--logs"]
    done = subprocess.run(
        [target.helm, *words], env=target.environment(), capture_output=True, text=True, check=False, timeout=180
    )
    assert done.returncode == 0, done.stdout + done.stderr
    assert "\nThe test passed: " in done.stdout + done.stderr
    assert people.ada not in done.stdout + done.stderr
