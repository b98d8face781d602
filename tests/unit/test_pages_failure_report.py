"""What a bundle must not hold."""

import yaml
from documentation.failure_report import MASK, masked

MANIFEST = """\
apiVersion: v1
kind: Secret
metadata: {name: login}
stringData: {config.json: hunter2}
data: {other: aHVudGVyMg==}
---
apiVersion: v1
kind: ConfigMap
metadata: {name: words}
data: {greeting: hello}
"""
VALUES = """\
config:
  BinderHub: {image_prefix: registry/x-, build_token_secret: hunter2}
  DockerRegistry: {url: https://registry, username: ada, password: hunter2}
buildPodsRegistryCredentials: {password: hunter2, server: registry}
extraConfig: {}
"""


def test_data_of_secrets_is_masked_and_of_others_kept() -> None:
    secret, words = yaml.safe_load_all(masked(MANIFEST))
    assert secret["stringData"] == secret["data"] == MASK
    assert secret["metadata"] == {"name": "login"}
    assert words["data"] == {"greeting": "hello"}


def test_values_that_sound_secret_are_masked_and_others_kept() -> None:
    text = masked(VALUES)
    assert "hunter2" not in text
    values = yaml.safe_load(text)
    assert values["config"]["DockerRegistry"] == {"url": "https://registry", "username": "ada", "password": MASK}
    assert values["config"]["BinderHub"]["image_prefix"] == "registry/x-"


def test_environment_that_sounds_secret_is_masked_and_other_kept() -> None:
    env = [{"name": "API_TOKEN", "value": "hunter2"}, {"name": "API_URL", "value": "http://hub"}]
    pod = {"kind": "Pod", "spec": {"containers": [{"name": "main", "env": env}]}}
    (container,) = yaml.safe_load(masked(yaml.safe_dump(pod)))["spec"]["containers"]
    assert [entry["value"] for entry in container["env"]] == [MASK, "http://hub"]


def test_text_that_is_not_yaml_is_masked_completely() -> None:
    assert "hunter2" not in masked("password: [hunter2")
