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
def test_what_does_no_harm_is_let_through(chart: Chart, config: dict[str, Any]) -> None:
    assert chart.render({"config": config}).names() == chart.render().names()


def test_another_registrys_prefix_and_a_push_without_a_login_are_only_told(notes: Notes) -> None:
    values = {"registry": {"server": "quay.io"}, "config": {"BinderHub": {"image_prefix": "ghcr.io/me/"}}}
    told = " ".join(notes.warnings(values))
    assert "registry.server is quay.io, but config.BinderHub.image_prefix" in told
    assert "knows no login" in told


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
    ],
)
def test_malformed_git_credentials_are_refused_and_not_shown(chart: Chart, provider: str, given: str) -> None:
    hosts = {"gitCredentialHosts": ["git.example.org"]}
    with pytest.raises(UserError, match=rf"config\.{provider}\.git_credentials is malformed\.") as refused:
        chart.render({"config": {provider: {"git_credentials": given}}, "buildPods": hosts})
    assert "canary" not in str(refused.value)


@pytest.mark.parametrize("given", [CREDENTIALS, "username=robot\npassword=a=b c\n", "password=a\\n"])
def test_well_formed_git_credentials_are_taken(chart: Chart, given: str) -> None:
    hosts = {"gitCredentialHosts": ["git.example.org", "http://git.example.org:3000"]}
    chart.render({"config": {"GitRepoProvider": {"git_credentials": given}}, "buildPods": hosts})
    chart.render({"config": {"GitHubRepoProvider": {"git_credentials": given}}})
