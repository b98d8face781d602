"""The DaemonSet docker-api and its files; test_paths.py has where it keeps things."""

import base64
import json
import tomllib
from collections.abc import Callable
from typing import Any

import pytest
import yaml
from machine.problem import Problem
from values.rendering import Chart, Object, Objects


def template(objects: Objects) -> Object:
    found: Object = objects.one("DaemonSet", "docker-api")["spec"]["template"]
    return found


def container(objects: Objects) -> Object:
    (found,) = template(objects)["spec"]["containers"]
    assert isinstance(found, dict)
    return found


def test_the_images_entry_point_runs_because_only_arguments_are_given(chart: Chart) -> None:
    found = container(chart.render({"dockerApi": {"extraArgs": ["--mtu=1450", "--debug"]}}))
    assert found["name"] == "docker-api"
    assert "command" not in found
    assert found["args"][0] == "dockerd"
    assert found["args"][-2:] == ["--mtu=1450", "--debug"]


def test_ready_means_that_the_daemon_answers_on_its_socket(defaults: Objects) -> None:
    found = container(defaults)
    (host,) = [argument.removeprefix("--host=") for argument in found["args"] if argument.startswith("--host=")]
    assert found["readinessProbe"]["exec"]["command"] == ["docker", "--host", host, "version"]


def test_it_runs_where_build_pods_run(defaults: Objects) -> None:
    # BinderHub gives its build pods exactly these two (binderhub/build.py, KubernetesBuildExecutor.submit).
    taints = {"hub.jupyter.org/dedicated", "hub.jupyter.org_dedicated"}
    tolerations = template(defaults)["spec"]["tolerations"]
    assert {toleration.pop("key") for toleration in tolerations} == taints
    assert tolerations == [{"operator": "Equal", "value": "user", "effect": "NoSchedule"}] * 2


def test_its_values_reach_its_pod_and_binderhubs_do_not(chart: Chart) -> None:
    objects = chart.render(
        {
            "podAnnotations": {"of": "binderhub"},
            "dockerApi": {
                "image": {"repository": "r/i", "tag": "t", "pullPolicy": "Always", "pullSecrets": [{"name": "s"}]},
                "resources": {"limits": {"cpu": "1"}},
                "initContainers": [{"name": "first", "image": "i"}],
                "securityContext": {"privileged": False},
                "podSecurityContext": {"fsGroup": 1},
                "podAnnotations": {"of": "docker-api"},
                "nodeSelector": {"n": "o"},
                "affinity": {"nodeAffinity": {}},
                "tolerations": [],
            },
        }
    )
    assert template(objects)["metadata"]["annotations"] == {"of": "docker-api"}
    assert {"image": "r/i:t", "imagePullPolicy": "Always"}.items() <= container(objects).items()
    assert container(objects)["resources"] == {"limits": {"cpu": "1"}}
    assert container(objects)["securityContext"] == {"privileged": False, "runAsUser": 0}
    spec = template(objects)["spec"]
    assert {
        "imagePullSecrets": [{"name": "s"}],
        "initContainers": [{"name": "first", "image": "i"}],
        "securityContext": {"fsGroup": 1},
        "nodeSelector": {"kubernetes.io/arch": "amd64", "n": "o"},
        "affinity": {"nodeAffinity": {}},
    }.items() <= spec.items()
    assert "tolerations" not in spec
    assert spec["automountServiceAccountToken"] is False


def files(*paths_and_contents: tuple[str, dict[str, Any]]) -> dict[str, Any]:
    """Values with extra files, keyed file-0, file-1 …"""
    named = {f"file-{n}": {"mountPath": path, **content} for n, (path, content) in enumerate(paths_and_contents)}
    return {"dockerApi": {"extraFiles": named}}


def test_files_are_mounted_with_their_mode(chart: Chart) -> None:
    objects = chart.render(files(("/etc/a", {"stringData": "a", "mode": 0o400}), ("/etc/b", {"stringData": "b"})))
    assert [mount for mount in container(objects)["volumeMounts"] if mount["name"] == "files"] == [
        {"name": "files", "mountPath": "/etc/a", "subPath": "file-0"},
        {"name": "files", "mountPath": "/etc/b", "subPath": "file-1"},
    ]
    (volume,) = [volume for volume in template(objects)["spec"]["volumes"] if volume["name"] == "files"]
    assert volume["secret"] == {
        "secretName": "docker-api",
        "items": [{"key": "file-0", "path": "file-0", "mode": 0o400}, {"key": "file-1", "path": "file-1"}],
    }


@pytest.mark.parametrize(
    ("path", "reads"),
    [
        ("/etc/docker/daemon.json", json.loads),
        ("/etc/x.yaml", yaml.safe_load),
        ("/etc/x.yml", yaml.safe_load),
        ("/etc/x.toml", tomllib.loads),
    ],
)
def test_a_mapping_is_written_as_the_paths_ending_says(chart: Chart, path: str, reads: Callable[[str], object]) -> None:
    content = {"insecure-registries": ["localhost:5000"], "debug": True, "a": {"b": "c"}}
    secret = chart.render(files((path, {"data": content}))).one("Secret", "docker-api")
    assert reads(base64.b64decode(secret["data"]["file-0"]).decode()) == content


@pytest.mark.parametrize("text", ["one line", "two\nlines\n", "  indented\n\n\nends with blanks\n\n", "ü = 1\n"])
def test_text_arrives_as_it_was_given(chart: Chart, text: str) -> None:
    secret = chart.render(files(("/etc/x", {"stringData": text}))).one("Secret", "docker-api")
    assert base64.b64decode(secret["data"]["file-0"]).decode() == text


def test_bytes_arrive_as_they_were_given(chart: Chart) -> None:
    wrapped = base64.encodebytes(bytes(range(256))).decode()
    secret = chart.render(files(("/etc/x", {"binaryData": wrapped}))).one("Secret", "docker-api")
    assert base64.b64decode(secret["data"]["file-0"], validate=True) == bytes(range(256))


def test_a_changed_file_restarts_the_daemon_and_nothing_else_in_the_release(chart: Chart) -> None:
    before, after = (chart.render(files(("/etc/x", {"stringData": text}))) for text in ("before", "after"))
    assert template(before) != template(after)
    assert before.one("Deployment", "binderhub") == after.one("Deployment", "binderhub")


def test_without_files_there_is_no_secret_for_them(defaults: Objects) -> None:
    assert ("Secret", "docker-api") not in defaults.names()


@pytest.mark.parametrize(
    ("file", "complaint"),
    [
        ({"mountPath": "/etc/x.conf", "data": {"a": 1}}, r"Let mountPath end in \.json, \.toml, \.yaml or \.yml"),
        ({"mountPath": "/etc/x"}, "oneOf"),
        ({"mountPath": "/etc/x", "stringData": "a", "binaryData": "YQ=="}, "oneOf"),
        ({"stringData": "a"}, "mountPath"),
    ],
)
def test_a_file_that_cannot_be_is_refused(chart: Chart, file: dict[str, Any], complaint: str) -> None:
    with pytest.raises(Problem, match=complaint):
        chart.render({"dockerApi": {"extraFiles": {"f": file}}})
