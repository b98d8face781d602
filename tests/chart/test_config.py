"""binderhub_config.py, run as BinderHub runs it: by traitlets, beside the chart-config.yaml of a rendered release."""

import os

import pytest
from support.config_mount import Mount


def test_the_defaults(mount: Mount) -> None:
    config = mount.load({})
    providers = config.BinderHub.pop("repo_providers")
    assert {name: getattr(one, "__name__", one) for name, one in providers.items()} == {
        "gh": "BinderHub's",
        "git": "ServiceGitRepoProvider",
    }
    assert config.BinderHub == {
        "base_url": "/",
        "port": 8585,
        "enable_api_only_mode": True,
        "build_class": "binderhub_service.executor.ServiceBuildExecutor",
        "build_cleaner_class": "binderhub_service.cleaner.ServiceKubernetesCleaner",
        "registry_class": "binderhub_service.registry.docker_registry.ServiceDockerRegistry",
    }
    assert config.KubernetesBuildExecutor.pop("build_image").startswith("quay.io/jupyterhub/repo2docker:")
    keys = [toleration["key"] for toleration in config.KubernetesBuildExecutor.pop("tolerations")]
    assert keys == ["hub.jupyter.org/dedicated", "hub.jupyter.org_dedicated"]
    assert config.KubernetesBuildExecutor == {
        "annotations": {"cluster-autoscaler.kubernetes.io/safe-to-evict": "false"},
        "start_timeout_seconds": 900,
        "silence_timeout_seconds": 120,
        "deadline_seconds": 3600,
        "repository_size_limit": "10G",
        "max_waiting_per_requester": 10,
        "node_selector": {"kubernetes.io/arch": "amd64"},
        "push_secret": "the-push-secret",
        "docker_host": "unix:///run/somewhere/docker-api.sock",
    }


def test_values_become_traits_with_their_types(mount: Mount) -> None:
    traits = {
        "text": "a: b # c\n- d",
        "looks_like_a_number": "0123",
        "looks_like_a_truth": "no",
        "number": 10000000,
        "fraction": 0.5,
        "truth": False,
        "list": [1, {"a": None}],
        "sign": "=",
        "mapping": {"Nested": {"deep": "ü"}},
    }
    assert mount.load({"config": {"SomeClass": traits}}).SomeClass == traits


def test_a_null_leaves_binderhubs_default(mount: Mount) -> None:
    config = mount.load({"config": {"KubernetesBuildExecutor": {"memory_limit": None}, "GitHubRepoProvider": None}})
    assert "memory_limit" not in config.KubernetesBuildExecutor
    assert "GitHubRepoProvider" not in config


def test_a_null_in_a_mapping_removes_its_key(mount: Mount) -> None:
    values = {
        "config": {"KubernetesBuildExecutor": {"extra_envs": {"A": "b", "C": None}}},
        "builders": {"nodeSelector": {"a": "b", "c": None}},
    }
    executor = mount.load(values).KubernetesBuildExecutor
    assert executor.extra_envs == {"A": "b"}
    assert executor.node_selector == {"kubernetes.io/arch": "amd64", "a": "b"}


@pytest.mark.parametrize("sign", ["=", "<<"])
def test_a_password_may_be_a_sign_of_yaml(mount: Mount, sign: str) -> None:
    values = {"registry": {"server": "quay.io", "username": sign, "password": sign}, "custom": {sign: {"a": sign}}}
    config = mount.load(values)
    assert (config.DockerRegistry.username, config.DockerRegistry.password) == (sign, sign)


def test_values_of_labels_of_nodes_are_text_for_build_pods(mount: Mount) -> None:
    config = mount.load({"builders": {"nodeSelector": {"a": True, "b": 1}}})
    assert config.KubernetesBuildExecutor.node_selector == {"kubernetes.io/arch": "amd64", "a": "true", "b": "1"}


@pytest.mark.parametrize("name", ["GITHUB_ACCESS_TOKEN", "GITLAB_PRIVATE_TOKEN"])
def test_white_space_around_a_token_is_removed(mount: Mount, monkeypatch: pytest.MonkeyPatch, name: str) -> None:
    """BinderHub could not send it, and its complaint would show it to visitors."""
    monkeypatch.setenv(name, " canary-t0ken\n")
    mount.load({})
    assert os.environ[name] == "canary-t0ken"


def test_a_token_with_a_line_break_ends_the_start(mount: Mount, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("GITHUB_ACCESS_TOKEN", "canary\nt0ken")
    with pytest.raises(SystemExit) as ended:
        mount.load({})
    assert str(ended.value).startswith("The variable GITHUB_ACCESS_TOKEN has a space or a line break in it.")
    assert "canary" not in str(ended.value)


@pytest.mark.parametrize("trait", ["GitHubRepoProvider.access_token", "GitLabRepoProvider.private_token"])
def test_a_configured_token_with_a_line_break_ends_the_start(mount: Mount, trait: str) -> None:
    section, name = trait.split(".")
    with pytest.raises(SystemExit) as ended:
        mount.load({"config": {section: {name: "canary-t0ken\n"}}})
    assert str(ended.value).startswith(f"config.{trait} has a space or a line break in it.")
    assert "canary" not in str(ended.value)


def test_snippets_run_in_the_order_of_their_keys_and_see_those_before(mount: Mount) -> None:
    config = mount.load(
        {
            "extraConfig": {
                "b": "seen = [*seen, 'b']",
                "a": "seen = ['a']",
                "c": "def last():\n    return [*seen, 'c']\nc.BinderHub.seen = last()",
                "nothing": None,
                "empty": "",
            }
        }
    )
    assert config.BinderHub.seen == ["a", "b", "c"]


def test_the_order_does_not_depend_on_who_wrote_the_file(mount: Mount) -> None:
    mount.load({})
    (mount.folder / "chart-config.yaml").write_text("extraConfig: {b: c.X.last = 'b', a: c.X.last = 'a'}")
    assert mount.read().X.last == "b"


def test_snippets_come_after_config_and_after_the_charts_own(mount: Mount) -> None:
    config = mount.load(
        {
            "config": {"BinderHub": {"image_prefix": "config/"}},
            "extraConfig": {
                "c-mine": "c.BinderHub.image_prefix += 'snippet/'\nc.KubernetesBuildExecutor.push_secret = None"
            },
        }
    )
    assert config.BinderHub.image_prefix == "config/snippet/"
    assert config.KubernetesBuildExecutor.push_secret is None


@pytest.mark.parametrize("key", ["01-mine", "a", "binderhub", "binderhub-service", "binderhub-service-03-mine", "Z"])
def test_snippets_come_after_the_charts_own_whatever_their_key(mount: Mount, key: str) -> None:
    config = mount.load({"extraConfig": {key: "c.KubernetesBuildExecutor.push_secret += '-and-mine'"}})
    assert config.KubernetesBuildExecutor.push_secret == "the-push-secret-and-mine"  # noqa: S105 - the Secret's name


def test_a_snippet_of_the_chart_can_be_overridden_by_its_key(mount: Mount) -> None:
    key = "binderhub-service-01-build-pods-docker-config"
    config = mount.load({"extraConfig": {key: "c.KubernetesBuildExecutor.push_secret = 'other'"}})
    assert config.KubernetesBuildExecutor.push_secret == "other"  # noqa: S105 - the Secret's name


def test_a_snippet_of_the_chart_can_be_taken_out(mount: Mount) -> None:
    config = mount.load({"extraConfig": {"binderhub-service-02-set-docker-api": None}})
    assert "docker_host" not in config.KubernetesBuildExecutor
    assert config.KubernetesBuildExecutor.push_secret == "the-push-secret"  # noqa: S105 - the Secret's name


@pytest.mark.parametrize(
    ("call", "answer"),
    [
        ('get_chart_config("custom.a.b")', 1),
        ('get_chart_config("custom.a")', {"b": 1}),
        ('get_chart_config("custom.zero", 5)', 0),
        ('get_chart_config("custom.nowhere")', None),
        ('get_chart_config("custom.nowhere", {"x": 2})', {"x": 2}),
        ('get_chart_config("custom.a.b.c", default="d")', "d"),
        ('get_chart_config("service.port", "not ours to read")', "not ours to read"),
        ("sorted(get_chart_config())", ["buildPods", "builders", "config", "custom", "extraConfig"]),
    ],
)
def test_snippets_read_the_charts_values(mount: Mount, call: str, answer: object) -> None:
    config = mount.load({"custom": {"a": {"b": 1}, "zero": 0}, "extraConfig": {"read": f"c.BinderHub.answer = {call}"}})
    assert config.BinderHub.answer == answer


def test_a_broken_snippet_is_named(mount: Mount) -> None:
    with pytest.raises(ZeroDivisionError) as caught:
        mount.load({"extraConfig": {"mine": "a = 1\n\nb = a / 0"}})
    place = caught.traceback[-1]
    assert (str(place.path), place.lineno + 1) == ("extraConfig.mine", 3)


def test_providers_that_configuration_sets_stay(mount: Mount) -> None:
    own = "c.BinderHub.repo_providers = {'gh': 'mine'}"
    assert mount.load({"extraConfig": {"own": own}}).BinderHub.repo_providers == {"gh": "mine"}


def test_binderhubs_own_executor_has_binderhubs_own_providers(mount: Mount) -> None:
    assert "repo_providers" not in mount.load({"buildPods": {"executor": "upstream"}}).BinderHub


def test_hosts_of_git_credentials(mount: Mount) -> None:
    values = {"buildPods": {"gitCredentialHosts": ["git.example.org"]}}
    assert mount.load(values).ServiceGitRepoProvider.credential_hosts == ["git.example.org"]
    assert "ServiceGitRepoProvider" not in mount.load({})


def test_token_hosts(mount: Mount) -> None:
    values = {"registry": {"server": "registry.example.org", "tokenHosts": ["auth.example.org"]}}
    assert mount.load(values).ServiceDockerRegistry.token_hosts == ["auth.example.org"]


@pytest.mark.parametrize("provider", ["GitRepoProvider", "RepoProvider", "GitHubRepoProvider", "GitLabRepoProvider"])
def test_malformed_git_credentials_of_a_snippet_end_the_start(mount: Mount, provider: str) -> None:
    with pytest.raises(SystemExit) as ended:
        mount.load({"extraConfig": {"git": f"c.{provider}.git_credentials = 'canary-t0ken'"}})
    assert str(ended.value).startswith(f"config.{provider}.git_credentials is malformed. Write it as lines")
    assert "canary" not in str(ended.value)
