"""What looks right but would do nothing, or something else, is refused with the mistake and what to write."""

import re
from typing import Any

import pytest
import yaml
from chart.test_schema import SCHEMA, described
from chart_values.rendering import Chart
from common.errors import UserError
from common.paths import CHART
from support.notes import Notes

VALIDATION = (CHART / "templates" / "_validate-values.tpl").read_text()
ADVICE: dict[str, str] = yaml.safe_load(
    VALIDATION.partition('validate-values.other-charts-keys.advice" -}}')[2].partition("{{- end }}")[0]
)
FOREIGN = {path for path, part in described(SCHEMA) if part.get("$ref") == "#/$defs/foreign"}
KEYS = {path for path, _ in described(SCHEMA)}


def nested(path: str, value: Any) -> dict[str, Any]:
    for key in reversed(path.split(".")):
        value = {key: value}
    assert isinstance(value, dict)
    return value


def test_every_key_that_is_admitted_to_be_explained_is_explained() -> None:
    assert set(ADVICE) == FOREIGN


@pytest.mark.parametrize("path", sorted(FOREIGN))
@pytest.mark.parametrize("value", [{"a": {"b": 1}}, "text", False], ids=["mapping", "text", "false"])
def test_a_key_of_binderhubs_own_chart_is_explained(chart: Chart, path: str, value: object) -> None:
    words = rf"{re.escape(path)} is a value of BinderHub's own chart, not of this one\. {re.escape(ADVICE[path])}"
    with pytest.raises(UserError, match=words):
        chart.render(nested(path, value))


@pytest.mark.parametrize("path", sorted(FOREIGN))
def test_a_key_that_was_emptied_is_none(chart: Chart, path: str) -> None:
    assert chart.render(nested(path, None)).names() == chart.render().names()


def test_advice_names_values_that_exist() -> None:
    named = {name.rstrip(".") for advice in ADVICE.values() for name in re.findall(r"\b[a-z]\w*(?:\.\w+)+", advice)}
    assert named
    assert {name for name in named if not name.startswith("config.BinderHub.")} <= KEYS - FOREIGN


@pytest.mark.parametrize(
    ("values", "words"),
    [
        (
            {"KubernetesBuildExecutor": {"nodeSelector": {"a": "b"}}},
            r"config\.KubernetesBuildExecutor\.nodeSelector is not a setting of BinderHub\."
            r" Write config\.KubernetesBuildExecutor\.node_selector, or builders\.nodeSelector",
        ),
        ({"KubernetesBuildExecutor": {"buildImage": "x"}}, r"Write config\.KubernetesBuildExecutor\.build_image\."),
        ({"BinderHub": {"imagePrefix": "x"}}, r"Write config\.BinderHub\.image_prefix\."),
        ({"BinderHub": {"useRegistry": False}}, r"Write config\.BinderHub\.use_registry\."),
        (
            {"BinderHub": {"image_prefix": "Quay.io/My_Org/B_"}},
            r"image_prefix is Quay\.io/My_Org/B_, which BinderHub changes to quay\.io/my-org/b-: .* Set it to",
        ),
        (
            {
                "BinderHub": {"build_node_selector": {"a": "b"}},
                "KubernetesBuildExecutor": {"node_selector": {"a": "c"}},
            },
            r"config\.KubernetesBuildExecutor\.node_selector and config\.BinderHub\.build_node_selector are both set\.",
        ),
        (
            {"BinderHub": {"sticky_builds": True}, "KubernetesBuildExecutor": {"sticky_builds": True}},
            r"Leave config\.BinderHub\.sticky_builds out",
        ),
    ],
)
def test_a_mistake_in_config_is_refused(chart: Chart, values: dict[str, Any], words: str) -> None:
    with pytest.raises(UserError, match=words):
        chart.render({"config": values})


@pytest.mark.parametrize(
    ("value", "trait"),
    [
        ({"buildPods": {"namespace": "builds"}}, {"build_namespace": "others"}),
        ({"builders": {"nodeSelector": {"a": "b"}}}, {"build_node_selector": {"a": "c"}}),
    ],
)
def test_a_value_and_its_old_trait_are_two_settings(chart: Chart, value: dict[str, Any], trait: dict[str, Any]) -> None:
    (name,) = trait
    with pytest.raises(UserError, match=rf"are both set\. Leave config\.BinderHub\.{name} out"):
        chart.render({**value, "config": {"BinderHub": trait}})
    for alone in (value, {"config": {"BinderHub": trait}}):
        assert chart.render(alone).names()


@pytest.mark.parametrize(
    "config",
    [
        {"KubernetesBuildExecutor": {"nodeSelector": None, "node_selector": {"a": "b"}}},
        {"BinderHub": {"image_prefix": "quay.io/my-org/b-"}},
        {"BinderHub": {"image_prefix": None, "build_image": "x"}},
        {"MyExecutor": {"nodeSelector": {"a": "b"}}},
    ],
)
def test_harmless_settings_are_accepted(chart: Chart, config: dict[str, Any]) -> None:
    assert chart.render({"config": config}).names() == chart.render().names()


def test_a_foreign_prefix_and_a_missing_login_are_only_warnings(notes: Notes) -> None:
    values = {"registry": {"server": "quay.io"}, "config": {"BinderHub": {"image_prefix": "ghcr.io/me/"}}}
    told = " ".join(notes.warnings(values))
    assert "registry.server is quay.io, but config.BinderHub.image_prefix" in told
    assert "knows no login" in told


def daemon_json(**options: Any) -> dict[str, Any]:
    return {"extraFiles": {"daemon.json": {"mountPath": "/etc/docker/daemon.json", "data": options}}}


@pytest.mark.parametrize(
    ("docker_api", "words"),
    [
        (daemon_json(**{"data-root": "/data"}), r"daemon\.json sets data-root, .* Set dockerApi\.storage"),
        (daemon_json(hosts=["tcp://0.0.0.0:2375"]), r"daemon\.json sets hosts, .* Leave it out\."),
        (daemon_json(**{"exec-root": "/x"}), r"daemon\.json sets exec-root, "),
        (
            {**daemon_json(mtu=1400), "extraArgs": ["--mtu=1300"]},
            r"extraArgs has --mtu, and dockerApi\.extraFiles\.daemon\.json sets mtu\.",
        ),
        (
            {**daemon_json(**{"registry-mirrors": ["https://m"]}), "extraArgs": ["--registry-mirror=https://n"]},
            r"extraArgs has --registry-mirror, and dockerApi\.extraFiles\.daemon\.json sets registry-mirrors\.",
        ),
        (
            {**daemon_json(**{"insecure-registries": ["m"]}), "extraArgs": ["--insecure-registry", "n"]},
            r"extraArgs has --insecure-registry, ",
        ),
        ({**daemon_json(debug=True), "extraArgs": ["-D"]}, r"extraArgs has -D, .* sets debug\."),
        (
            {**daemon_json(**{"log-level": "info"}), "extraArgs": ["-l", "warn"]},
            r"extraArgs has -l, .* sets log-level\.",
        ),
        (
            {**daemon_json(runtimes={"runsc": {"path": "/x"}}), "extraArgs": ["--add-runtime=a=/b"]},
            r"extraArgs has --add-runtime, .* sets runtimes\.",
        ),
        ({"extraArgs": ["--config-file=/etc/d.json"]}, r"extraArgs has --config-file, "),
        (
            {"extraFiles": {"daemon.json": {"mountPath": "/etc/docker/daemon.json", "stringData": "{mtu: 1}"}}},
            r"daemon\.json is not JSON, .* Correct it",
        ),
    ],
)
def test_options_with_which_dockerd_does_not_start_are_refused(
    chart: Chart, docker_api: dict[str, Any], words: str
) -> None:
    with pytest.raises(UserError, match=words):
        chart.render({"dockerApi": docker_api})


def test_options_of_daemon_json_beside_other_arguments_are_taken(chart: Chart) -> None:
    assert chart.render({"dockerApi": {**daemon_json(mtu=1400), "extraArgs": ["--debug"]}}).names()


@pytest.mark.parametrize("value", ["", "tcp://docker:2375", "/var/run/docker.sock", "unix://"])
@pytest.mark.parametrize(
    "place",
    [
        ("KubernetesBuildExecutor", "docker_host"),
        ("ServiceBuildExecutor", "docker_host"),
        ("BinderHub", "build_docker_host"),
    ],
)
def test_a_daemon_without_a_socket_on_the_node_is_refused(chart: Chart, place: tuple[str, str], value: str) -> None:
    values = {"config": {place[0]: {place[1]: value}}}
    with pytest.raises(UserError, match=rf"config\.{place[0]}\.{place[1]} is .* Write unix:///PATH, or leave it out"):
        chart.render(values)
    assert chart.render({**values, "buildPods": {"executor": "upstream"}}).names()
    assert chart.render({"config": {place[0]: {place[1]: "unix:///var/run/docker.sock"}}}).names()


def mounted(path: str) -> dict[str, Any]:
    return {"extraVolumes": [{"name": "a"}], "extraVolumeMounts": [{"name": "a", "mountPath": path}]}


@pytest.mark.parametrize(
    "daemon",
    [
        {"extraEnv": {"DOCKER_HOST": "tcp://docker:2375"}},
        mounted("/var/run/docker.sock"),
        mounted("/run"),
        mounted("/run/"),
    ],
)
def test_images_may_be_looked_for_in_a_daemon_that_binderhub_is_given(chart: Chart, daemon: dict[str, Any]) -> None:
    assert chart.render({"config": {"BinderHub": {"use_registry": False}}, **daemon}).names()


@pytest.mark.parametrize("other", [{}, mounted("/etc/ssl/certs")])
def test_images_are_not_looked_for_in_a_daemon_that_does_not_exist(chart: Chart, other: dict[str, Any]) -> None:
    values = {"config": {"BinderHub": {"use_registry": False}}, **other}
    with pytest.raises(UserError, match=r"use_registry is false\. .* Set config\.BinderHub\.use_registry to true"):
        chart.render(values)


@pytest.mark.parametrize("prefix", [None, "", "binder-", "docker.io/binder-"])
def test_images_without_an_organization_are_warned_of(notes: Notes, prefix: str | None) -> None:
    warnings = notes.warnings({"config": {"BinderHub": {"image_prefix": prefix}}})
    assert any("would be pushed to docker.io/library" in one for one in warnings)
    warnings = notes.warnings({"config": {"BinderHub": {"image_prefix": "my-org/binder-"}}})
    assert not any("docker.io/library" in one for one in warnings)


CREDENTIALS = "username=robot\\npassword=canary"


@pytest.mark.parametrize("provider", ["GitRepoProvider", "RepoProvider", "ServiceGitRepoProvider"])
def test_git_credentials_need_their_hosts(chart: Chart, provider: str) -> None:
    values: dict[str, Any] = {"config": {provider: {"git_credentials": CREDENTIALS}}}
    with pytest.raises(UserError, match=r"Set buildPods\.gitCredentialHosts to a list") as refused:
        chart.render(values)
    assert "canary" not in str(refused.value)
    chart.render({**values, "buildPods": {"gitCredentialHosts": ["git.example.org"]}})
    chart.render({**values, "buildPods": {"executor": "upstream"}})


@pytest.mark.parametrize("provider", ["GitRepoProvider", "GitHubRepoProvider", "GitLabRepoProvider"])
@pytest.mark.parametrize(
    "given",
    [
        "canary-t0ken",
        "canary==",
        "robot:canary",
        "username=robot password\ncanary",
        "username=a\\ncanary",
        "user=canary",
        "username=canary",
        "username=canary\npassword=",
        "password=canary",
    ],
)
def test_malformed_git_credentials_are_refused_and_not_shown(chart: Chart, provider: str, given: str) -> None:
    hosts = {"gitCredentialHosts": ["git.example.org"]}
    with pytest.raises(UserError, match=rf"config\.{provider}\.git_credentials is malformed\.") as refused:
        chart.render({"config": {provider: {"git_credentials": given}}, "buildPods": hosts})
    assert "canary" not in str(refused.value)


@pytest.mark.parametrize("given", [CREDENTIALS, "username=robot\npassword=a=b c\n", "username=robot\\npassword=a\\n"])
def test_well_formed_git_credentials_are_taken(chart: Chart, given: str) -> None:
    hosts = {"gitCredentialHosts": ["git.example.org", "http://git.example.org:3000"]}
    chart.render({"config": {"GitRepoProvider": {"git_credentials": given}}, "buildPods": hosts})
    chart.render({"config": {"GitHubRepoProvider": {"git_credentials": given}}})
