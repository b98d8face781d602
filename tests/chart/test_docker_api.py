"""The DaemonSet docker-api and its files; test_paths.py has where it keeps things."""

import base64
import json
import tomllib
from collections.abc import Callable
from pathlib import PurePosixPath
from typing import Any

import pytest
import yaml
from chart_values.rendering import Chart, Object, Objects
from common.errors import UserError


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


def host(objects: Objects) -> str:
    """Where dockerd listens."""
    arguments = container(objects)["args"]
    (found,) = [argument.removeprefix("--host=") for argument in arguments if argument.startswith("--host=")]
    assert isinstance(found, str)
    return found


@pytest.mark.parametrize("probe", ["startupProbe", "readinessProbe", "livenessProbe"])
def test_probes_ask_the_daemon_on_its_socket(defaults: Objects, probe: str) -> None:
    assert container(defaults)[probe]["exec"]["command"] == ["docker", "--host", host(defaults), "version"]


def test_a_daemon_is_taken_for_dead_only_after_minutes_of_silence(defaults: Objects) -> None:
    for name in ("livenessProbe", "startupProbe"):
        probe = container(defaults)[name]
        assert probe["periodSeconds"] * probe["failureThreshold"] >= 600


def test_a_stale_socket_is_removed_first(chart: Chart) -> None:
    objects = chart.render({"dockerApi": {"initContainers": [{"name": "mine", "image": "i"}]}})
    first, mine = template(objects)["spec"]["initContainers"]
    socket = host(objects).removeprefix("unix://")
    assert first["command"] == ["rm", "-rf", socket]  # a directory too
    assert [mount["mountPath"] for mount in first["volumeMounts"]] == [str(PurePosixPath(socket).parent)]
    assert first["image"] == container(objects)["image"]
    assert mine == {"name": "mine", "image": "i"}


def test_an_upgrade_replaces_no_daemon_unless_it_is_told_to(chart: Chart, defaults: Objects) -> None:
    assert defaults.one("DaemonSet", "docker-api")["spec"]["updateStrategy"] == {"type": "OnDelete"}
    rolling = {"type": "RollingUpdate", "rollingUpdate": {"maxUnavailable": 2}}
    told = chart.render({"dockerApi": {"updateStrategy": rolling}})
    assert told.one("DaemonSet", "docker-api")["spec"]["updateStrategy"] == rolling


@pytest.mark.parametrize(
    ("values", "replaced"),
    [
        ({"dockerApi": {"extraArgs": ["--debug"]}}, True),
        ({"dockerApi": {"image": {"tag": "29"}}}, True),
        (
            {"dockerApi": {"extraFiles": {"f": {"mountPath": "/etc/docker/daemon.json", "data": {"debug": True}}}}},
            True,
        ),
        ({"dockerApi": {"updateStrategy": {"type": "RollingUpdate"}}}, False),
        ({"replicas": 2}, False),
    ],
)
def test_the_next_upgrade_can_see_whether_pods_have_to_be_replaced(
    chart: Chart, defaults: Objects, values: dict[str, Any], replaced: bool
) -> None:
    def mark(objects: Objects) -> str:
        return str(objects.one("DaemonSet", "docker-api")["metadata"]["annotations"]["checksum/pod"])

    assert (mark(chart.render(values)) != mark(defaults)) is replaced
    assert (template(chart.render(values)) != template(defaults)) is replaced


ENVIRONMENT = [
    {"name": "HTTPS_PROXY", "value": "http://proxy.ns1:3128"},
    {"name": "NODE", "valueFrom": {"fieldRef": {"fieldPath": "spec.nodeName"}}},
]


LOG_LIMITS = {"BUILDKIT_STEP_LOG_MAX_SIZE": "10485760", "BUILDKIT_STEP_LOG_MAX_SPEED": "-1"}


def own_environment(objects: Objects) -> list[Any]:
    """The environment of the daemon without the limits of BuildKit's log."""
    return [one for one in container(objects)["env"] if one["name"] not in LOG_LIMITS]


def test_the_output_of_a_step_is_cut_where_the_kubelet_cuts_logs(chart: Chart, defaults: Objects) -> None:
    assert {one["name"]: one["value"] for one in container(defaults)["env"]} == LOG_LIMITS
    given = {"dockerApi": {"extraEnv": {"BUILDKIT_STEP_LOG_MAX_SIZE": 1000}}}
    assert {one["name"]: one["value"] for one in container(chart.render(given))["env"]} == {
        **LOG_LIMITS,
        "BUILDKIT_STEP_LOG_MAX_SIZE": "1000",
    }


def test_numbers_in_a_list_of_variables_become_text(chart: Chart) -> None:
    objects = chart.render(
        {"dockerApi": {"extraEnv": [{"name": "N", "value": 10000000}, {"name": "T", "value": True}]}}
    )
    assert own_environment(objects) == [{"name": "N", "value": "10000000"}, {"name": "T", "value": "true"}]


def test_numbers_in_the_variables_of_init_containers_become_text(chart: Chart) -> None:
    container = {"name": "a", "image": "b", "env": [{"name": "N", "value": 4}]}
    *_, added = template(chart.render({"dockerApi": {"initContainers": [container]}}))["spec"]["initContainers"]
    assert added == {"name": "a", "image": "b", "env": [{"name": "N", "value": "4"}]}


def test_values_of_labels_of_nodes_are_text(chart: Chart) -> None:
    values = {"builders": {"nodeSelector": {"a": True, "b": 1}}}
    selector = template(chart.render(values))["spec"]["nodeSelector"]
    assert selector == {"kubernetes.io/arch": "amd64", "a": "true", "b": "1"}


def test_a_null_removes_a_limit(chart: Chart) -> None:
    values = {"dockerApi": {"resources": {"limits": {"cpu": None, "memory": "1Gi"}, "requests": None}}}
    (docker_api,) = template(chart.render(values))["spec"]["containers"]
    assert docker_api["resources"] == {"limits": {"memory": "1Gi"}}


def test_a_null_removes_a_label_of_nodes(chart: Chart) -> None:
    values = {"builders": {"nodeSelector": {"a": None, "b": "c"}}, "dockerApi": {"nodeSelector": {"d": None}}}
    assert template(chart.render(values))["spec"]["nodeSelector"] == {"kubernetes.io/arch": "amd64", "b": "c"}


def test_whole_numbers_in_toml_stay_whole(chart: Chart) -> None:
    data = {
        "n": 4,
        "f": 0.5,
        "l": [1, 2],
        "m": [1, 2.5],
        "s": "a = 4.0",
        "t": {"deep": 10000000, "a.b": 4, "x y": {"= 3.0": -5}},
        "x": ["1.0, 2.0", 'quoted " 4.0'],
        "nested": [[1, 2], [3]],
        "tables": [{"n": 1, "f": 1e-7}, {"n": 2}],
    }
    objects = chart.render(files(("/etc/tool.toml", {"data": data})))
    text = base64.b64decode(objects.one("Secret", "docker-api")["data"]["file-0"]).decode()
    read = tomllib.loads(text)
    assert read == data
    whole = (read["n"], read["l"][0], *read["t"].values(), read["nested"][0][1], read["tables"][1]["n"])
    assert [type(one) for one in whole] == [int, int, int, int, dict, int, int]
    assert type(read["t"]["x y"]["= 3.0"]) is int


@pytest.mark.parametrize(
    "given",
    [
        [{"name": "HTTPS_PROXY", "value": "http://proxy.{{ .Release.Namespace }}:3128"}, ENVIRONMENT[1]],
        {
            "HTTPS_PROXY": "http://proxy.{{ .Release.Namespace }}:3128",
            "NODE": {"valueFrom": {"fieldRef": {"fieldPath": "spec.nodeName"}}},
            "NOT_SET": None,
        },
    ],
    ids=["list", "mapping"],
)
def test_extra_environment_is_a_list_or_a_mapping(chart: Chart, given: object) -> None:
    assert own_environment(chart.render({"dockerApi": {"extraEnv": given}})) == ENVIRONMENT


def test_values_of_a_mapping_are_text(chart: Chart) -> None:
    objects = chart.render({"dockerApi": {"extraEnv": {"N": 10000000, "B": True, "E": ""}}})
    assert own_environment(objects) == [
        {"name": "B", "value": "true"},
        {"name": "E", "value": ""},
        {"name": "N", "value": "10000000"},
    ]


def test_extra_volumes_and_mounts_are_templates(chart: Chart) -> None:
    objects = chart.render(
        {
            "dockerApi": {
                "extraVolumes": [{"name": "ca", "secret": {"secretName": "{{ .Release.Name }}-ca"}}],
                "extraVolumeMounts": [{"name": "ca", "mountPath": "/etc/{{ .Release.Name }}"}],
            }
        }
    )
    assert {"name": "ca", "secret": {"secretName": "rel-ca"}} in template(objects)["spec"]["volumes"]
    assert {"name": "ca", "mountPath": "/etc/rel"} in container(objects)["volumeMounts"]


@pytest.mark.parametrize("seconds", [0, 300])
def test_priority_and_grace_period_reach_the_pod(chart: Chart, seconds: int) -> None:
    given = {"priorityClassName": "builders", "terminationGracePeriodSeconds": seconds}
    spec = template(chart.render({"dockerApi": given}))["spec"]
    assert given.items() <= spec.items()
    assert not given.keys() & template(chart.render())["spec"].keys()


def test_docker_api_pods_run_where_build_pods_run(defaults: Objects) -> None:
    # BinderHub gives its build pods exactly these two (binderhub/build.py, KubernetesBuildExecutor.submit).
    taints = {"hub.jupyter.org/dedicated", "hub.jupyter.org_dedicated"}
    tolerations = template(defaults)["spec"]["tolerations"]
    assert {toleration.pop("key") for toleration in tolerations} == taints
    assert tolerations == [{"operator": "Equal", "value": "user", "effect": "NoSchedule"}] * 2


def test_values_of_docker_api_reach_only_its_pod(chart: Chart) -> None:
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
        "securityContext": {"fsGroup": 1},
        "nodeSelector": {"kubernetes.io/arch": "amd64", "n": "o"},
        "affinity": {"nodeAffinity": {}},
    }.items() <= spec.items()
    assert spec["initContainers"][1:] == [{"name": "first", "image": "i"}]
    assert "tolerations" not in spec
    assert spec["automountServiceAccountToken"] is False


DAEMON_JSON = "/etc/docker/daemon.json"


def daemon_json(content: dict[str, Any], form: str = "data") -> dict[str, Any]:
    """Values with this daemon.json, given as a mapping, as text or in base64."""
    text = json.dumps(content)
    given = {"data": content, "stringData": text, "binaryData": base64.b64encode(text.encode()).decode()}[form]
    return {"dockerApi": {"extraFiles": {"d": {"mountPath": DAEMON_JSON, form: given}}}}


def icc(objects: Objects) -> list[str]:
    """What dockerd's arguments say of it."""
    return [one for one in container(objects)["args"] if one.startswith("--icc")]


def test_steps_of_different_builds_do_not_reach_each_other(chart: Chart, defaults: Objects) -> None:
    assert icc(defaults) == ["--icc=false"]
    assert icc(chart.render(daemon_json({"debug": True}, "stringData"))) == ["--icc=false"]


def test_extra_arguments_come_after_the_charts_so_that_they_replace_them(chart: Chart) -> None:
    # dockerd takes the last of an option that is given twice.
    assert icc(chart.render({"dockerApi": {"extraArgs": ["--icc=true"]}})) == ["--icc=false", "--icc=true"]


@pytest.mark.parametrize("form", ["data", "stringData", "binaryData"])
@pytest.mark.parametrize("content", [{"icc": True}, {"icc": False}, {"iptables": False}])
def test_arguments_that_daemon_json_sets_are_left_out(chart: Chart, content: dict[str, Any], form: str) -> None:
    assert icc(chart.render(daemon_json(content, form))) == []


@pytest.mark.parametrize("arguments", [["--iptables=false"], ["--iptables=true", "--iptables=false"]])
def test_arguments_that_need_iptables_are_left_out_without_it(chart: Chart, arguments: list[str]) -> None:
    assert icc(chart.render({"dockerApi": {"extraArgs": arguments}})) == []


def hook(objects: Objects) -> list[str]:
    """The words of the hook that bounds the steps, up to its program; empty for none."""
    command = container(objects).get("lifecycle", {}).get("postStart", {}).get("exec", {}).get("command", [])
    return list(command[1:-3])


def test_the_steps_have_a_bound_of_processes(chart: Chart, defaults: Objects) -> None:
    assert "PROCESSES=8192" in hook(defaults)
    assert "PROCESSES=100" in hook(chart.render({"dockerApi": {"maxProcesses": 100}}))
    for none in (0, None):
        assert hook(chart.render({"dockerApi": {"maxProcesses": none}})) == []


def test_the_steps_have_the_memory_limit_of_the_daemon(chart: Chart, defaults: Objects) -> None:
    assert own_environment(defaults) == []
    limited = chart.render({"dockerApi": {"maxProcesses": 0, "resources": {"limits": {"memory": "2Gi"}}}})
    assert "PROCESSES=0" in hook(limited)
    assert own_environment(limited) == [
        {"name": "STEPS_MEMORY", "valueFrom": {"resourceFieldRef": {"resource": "limits.memory"}}}
    ]


@pytest.mark.parametrize(
    ("values", "parent"),
    [
        ({}, "docker"),
        ({"dockerApi": {"extraArgs": ["--cgroup-parent=/a/b"]}}, "/a/b"),
        ({"dockerApi": {"extraArgs": ["--cgroup-parent", "c", "--debug"]}}, "c"),
        (daemon_json({"cgroup-parent": "d"}, "stringData"), "d"),
    ],
)
def test_the_bounded_group_is_the_one_that_dockerd_has(chart: Chart, values: dict[str, Any], parent: str) -> None:
    assert f"PARENT={parent}" in hook(chart.render(values))


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


def test_a_changed_file_is_a_changed_pod_and_nothing_else_in_the_release(chart: Chart) -> None:
    before, after = (chart.render(files(("/etc/x", {"stringData": text}))) for text in ("before", "after"))
    assert template(before) != template(after)
    assert before.one("Deployment", "binderhub") == after.one("Deployment", "binderhub")


def test_without_files_there_is_no_secret_for_them(defaults: Objects) -> None:
    assert ("Secret", "docker-api") not in defaults.names()


@pytest.mark.parametrize(
    ("file", "complaint"),
    [
        ({"mountPath": "/etc/x.conf", "data": {"a": 1}}, "Use a mountPath with the extension"),
        ({"mountPath": "/etc/x"}, "oneOf"),
        ({"mountPath": "/etc/x", "stringData": "a", "binaryData": "YQ=="}, "oneOf"),
        ({"stringData": "a"}, "mountPath"),
    ],
)
def test_a_file_that_cannot_be_is_refused(chart: Chart, file: dict[str, Any], complaint: str) -> None:
    with pytest.raises(UserError, match=complaint):
        chart.render({"dockerApi": {"extraFiles": {"f": file}}})
