"""The value `registry`: what becomes of it for build pods, for BinderHub's check, and for dockerd."""

import base64
import json
import re
from pathlib import Path
from typing import Any

import pytest
from binderhub_service.registry.login import read
from chart_values.rendering import ANONYMOUS, Chart, Object, Objects
from common.errors import UserError
from common.paths import CHART
from support.config_mount import Mount
from support.value_effects import with_notes

CA = "-----BEGIN CERTIFICATE-----\nbm90IG9uZQ==\n-----END CERTIFICATE-----\n"
HUB = (
    "https://index.docker.io/v1/",
    "https://registry-1.docker.io",
    "https://auth.docker.io/token?service=registry.docker.io",
)

# What is written for `server`: docker's key, the API's URL, and where tokens are had, if not where the registry says.
# Keys are what `docker login` writes; URLs are from the registries' own documentation.
DERIVED = {
    "docker.io": HUB,
    "index.docker.io": HUB,
    "https://index.docker.io/v1/": HUB,
    "registry-1.docker.io": HUB,
    "quay.io": ("quay.io", "https://quay.io", None),
    "https://quay.io": ("quay.io", "https://quay.io", None),
    "https://quay.io/": ("quay.io", "https://quay.io", None),
    "Quay.IO": ("quay.io", "https://quay.io", None),
    "ghcr.io": ("ghcr.io", "https://ghcr.io", "https://ghcr.io/token?service=ghcr.io"),
    "us-docker.pkg.dev": (
        "us-docker.pkg.dev",
        "https://us-docker.pkg.dev",
        "https://us-docker.pkg.dev/v2/token?service=us-docker.pkg.dev",
    ),
    "europe-west1-docker.pkg.dev": (
        "europe-west1-docker.pkg.dev",
        "https://europe-west1-docker.pkg.dev",
        "https://europe-west1-docker.pkg.dev/v2/token?service=europe-west1-docker.pkg.dev",
    ),
    "eu.gcr.io": ("eu.gcr.io", "https://eu.gcr.io", "https://eu.gcr.io/v2/token?service=eu.gcr.io"),
    "123456789012.dkr.ecr.eu-west-1.amazonaws.com": (
        "123456789012.dkr.ecr.eu-west-1.amazonaws.com",
        "https://123456789012.dkr.ecr.eu-west-1.amazonaws.com",
        None,
    ),
    "harbor.example.org": ("harbor.example.org", "https://harbor.example.org", None),
    "registry.example.org:5000": ("registry.example.org:5000", "https://registry.example.org:5000", None),
    "notdocker.io": ("notdocker.io", "https://notdocker.io", None),
    "docker.io.example.org": ("docker.io.example.org", "https://docker.io.example.org", None),
}


def registry(server: str = "quay.io", **more: Any) -> dict[str, Any]:
    return {"registry": {"server": server, **more}}


def login(server: str = "quay.io", **more: Any) -> dict[str, Any]:
    return registry(server, username="robot", password="p:ä", **more)  # noqa: S106 - not one


def docker_config(objects: Objects) -> Any:
    return json.loads(objects.one("Secret", "build-pods-docker-config")["stringData"]["config.json"])


def docker_files(objects: Objects) -> dict[str, str]:
    """Content by path of the files that dockerd's container gets."""
    (container,) = objects.one("DaemonSet", "docker-api")["spec"]["template"]["spec"]["containers"]
    data = objects.one("Secret", "docker-api")["data"]
    mounts = [mount for mount in container["volumeMounts"] if mount["name"] == "files"]
    return {mount["mountPath"]: base64.b64decode(data[mount["subPath"]]).decode() for mount in mounts}


def pod(objects: Objects) -> Object:
    spec: Object = objects.one("Deployment", "binderhub")["spec"]["template"]["spec"]
    return spec


def mounts(container: Object) -> dict[str, str]:
    return {mount["mountPath"]: mount["name"] for mount in container["volumeMounts"]}


@pytest.mark.parametrize("server", DERIVED)
def test_one_login_serves_pushes_and_the_check(mount: Mount, server: str) -> None:
    key, url, token_url = DERIVED[server]
    encoded = base64.b64encode("robot:p:ä".encode()).decode()
    assert docker_config(mount.chart.render(login(server))) == {"auths": {key: {"auth": encoded}}}
    told = {"url": url, "username": "robot", "password": "p:ä", **({"token_url": token_url} if token_url else {})}
    assert mount.load(login(server)).DockerRegistry == told


def test_a_line_end_behind_the_password_is_none_of_it(mount: Mount) -> None:
    values = registry(username="robot", password="word\n")  # noqa: S106 - not one
    assert mount.load(values).DockerRegistry.password == "word"  # noqa: S105 - not one
    assert docker_config(mount.chart.render(values)) == {"auths": {"quay.io": {"auth": "cm9ib3Q6d29yZA=="}}}


def test_a_key_of_several_lines_arrives_whole(mount: Mount) -> None:
    key = '{\n  "type": "service_account",\n  "private_key": "-----BEGIN\\nx\\n"\n}'
    values = registry("us-docker.pkg.dev", username="_json_key", password=key + "\n")
    assert mount.load(values).DockerRegistry.password == key


def test_a_registry_without_a_login_is_asked_without_one(mount: Mount) -> None:
    values = registry("registry.example.org:5000", insecure=True)
    assert mount.load(values).DockerRegistry == {"url": "http://registry.example.org:5000"}
    assert docker_config(mount.chart.render(values)) == {}


def test_config_overrides_the_value_registry(mount: Mount) -> None:
    values = {**login(), "config": {"DockerRegistry": {"token_url": "https://t", "not_found_401": True}}}
    config = mount.load(values).DockerRegistry
    assert (config.token_url, config.not_found_401, config.url) == ("https://t", True, "https://quay.io")


def test_a_login_of_upstreams_keys_joins_a_registry_that_is_trusted_only(mount: Mount) -> None:
    old = {"url": "https://quay.io", "username": "a", "password": "b"}
    pushes = {"server": "https://quay.io", "username": "c", "password": "d"}
    values = {
        **registry(certificateAuthority=CA),
        "config": {"DockerRegistry": old},
        "buildPodsRegistryCredentials": pushes,
    }
    assert mount.load(values).DockerRegistry == old
    assert docker_config(mount.chart.render(values)) == {"auths": {"https://quay.io": {"auth": "Yzpk"}}}


def test_an_unused_registry_is_not_configured(mount: Mount) -> None:
    values = {
        **login(),
        "config": {"BinderHub": {"use_registry": False}},
        "extraEnv": {"DOCKER_HOST": "tcp://docker:2375"},
    }
    assert "DockerRegistry" not in mount.load(values)
    assert docker_config(mount.chart.render(values)) == {}


def test_the_login_joins_the_docker_config_that_was_given(chart: Chart) -> None:
    given = {"credHelpers": {"x": "ecr-login"}, "auths": {"ghcr.io": {"auth": "eDp5"}}}
    joined = docker_config(chart.render({**login(), "buildPodsDockerConfig": given}))
    assert joined["credHelpers"] == given["credHelpers"]
    assert set(joined["auths"]) == {"ghcr.io", "quay.io"}


def test_the_password_is_in_two_secrets_and_nowhere_else(chart: Chart) -> None:
    objects = chart.render(registry(username="robot", password="needle"))  # noqa: S106 - not one
    encoded = base64.b64encode(b"robot:needle").decode()
    holding = {
        (found["kind"], found["metadata"]["name"])
        for found in objects
        if re.search(f"needle|{encoded}", json.dumps(found))
    }
    assert holding == {("Secret", "binderhub"), ("Secret", "build-pods-docker-config")}


def test_a_new_password_restarts_binderhub(chart: Chart) -> None:
    before, after = (chart.render(registry(username="a", password=word)) for word in ("before", "after"))
    assert before.one("Deployment", "binderhub") != after.one("Deployment", "binderhub")
    assert before.one("DaemonSet", "docker-api") == after.one("DaemonSet", "docker-api")


# A Secret that exists


def auth(text: str) -> dict[str, str]:
    return {"auth": base64.b64encode(text.encode()).decode()}


def existing(mount: Mount, monkeypatch: pytest.MonkeyPatch, key: str, auths: dict[str, Any]) -> None:
    """Mount a Secret with a docker config where the chart says that it is."""
    folder = mount.folder / "existing"
    folder.mkdir()
    (folder / key).write_text(json.dumps({"auths": auths}))
    monkeypatch.setenv("DOCKER_CONFIG", str(folder))


def test_build_pods_and_binderhub_use_it_in_place_of_the_charts(chart: Chart) -> None:
    objects = chart.render(registry(existingSecret="mine"))
    assert ("Secret", "build-pods-docker-config") not in objects.names()
    spec = pod(objects)
    (container,) = spec["containers"]
    env = {entry["name"]: entry.get("value") for entry in container["env"]}
    assert env["PUSH_SECRET_NAME"] == "mine"  # noqa: S105 - the Secret's name
    volume = mounts(container)[env["DOCKER_CONFIG"] + "/"]
    assert {"name": volume, "secret": {"secretName": "mine"}} in spec["volumes"]


@pytest.mark.parametrize(
    ("server", "auths", "found"),
    [
        ("quay.io", {"quay.io": auth("u:p:w")}, ("u", "p:w")),
        ("quay.io", {"https://quay.io": auth("u:p")}, ("u", "p")),
        ("quay.io", {"https://quay.io/v2/": auth("u:p")}, ("u", "p")),
        ("quay.io", {"other": auth("no:no"), "quay.io": {"username": "u", "password": "p"}}, ("u", "p")),
        ("r.example.org:5000", {"r.example.org": auth("no:no"), "r.example.org:5000": auth("u:p")}, ("u", "p")),
        ("docker.io", {"https://index.docker.io/v1/": auth("u:p")}, ("u", "p")),
        ("docker.io", {"index.docker.io": auth("u:p")}, ("u", "p")),
    ],
)
@pytest.mark.parametrize("key", ["config.json", ".dockerconfigjson"])
def test_the_login_is_found_as_docker_finds_it(
    mount: Mount, monkeypatch: pytest.MonkeyPatch, key: str, server: str, auths: dict[str, Any], found: tuple[str, str]
) -> None:
    existing(mount, monkeypatch, key, auths)
    config = mount.load(registry(server, existingSecret="mine"))
    assert (config.DockerRegistry.username, config.DockerRegistry.password) == found
    assert config.DockerRegistry.url == DERIVED.get(server, ("", f"https://{server}"))[1]
    asked = config.ServiceDockerRegistry
    assert read(Path(asked.login_file), asked.login_key) == found
    assert config.KubernetesBuildExecutor.push_secret == "the-push-secret"  # noqa: S105 - the Secret's name


@pytest.mark.parametrize(
    ("executor", "key", "build_class", "push_secret_key"),
    [
        ("service", "config.json", "binderhub_service.executor.ServiceBuildExecutor", None),
        ("service", ".dockerconfigjson", "binderhub_service.executor.ServiceBuildExecutor", ".dockerconfigjson"),
        ("upstream", "config.json", None, None),
        ("upstream", ".dockerconfigjson", "binderhub_service.executor.DockerConfigJsonExecutor", ".dockerconfigjson"),
    ],
)
def test_build_pods_take_the_key_that_the_secret_has(
    mount: Mount,
    monkeypatch: pytest.MonkeyPatch,
    executor: str,
    key: str,
    build_class: str | None,
    push_secret_key: str | None,
) -> None:
    existing(mount, monkeypatch, key, {"quay.io": auth("u:p")})
    config = mount.load({**registry(existingSecret="mine"), "buildPods": {"executor": executor}})
    assert config.BinderHub.get("build_class") == build_class
    assert config.ServiceBuildExecutor.get("push_secret_key") == push_secret_key


def test_a_secret_without_a_login_for_the_registry_is_told(
    mount: Mount, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    existing(mount, monkeypatch, "config.json", {"ghcr.io": auth("u:p")})
    assert mount.load(registry(existingSecret="mine")).DockerRegistry.username == ""
    assert "no login for quay.io" in capsys.readouterr().out


def test_a_secret_of_another_kind_is_refused(mount: Mount, monkeypatch: pytest.MonkeyPatch) -> None:
    existing(mount, monkeypatch, "password", {})
    with pytest.raises(KeyError, match=r"no key config\.json or \.dockerconfigjson"):
        mount.load(registry(existingSecret="mine"))


# Registries that not everybody trusts


@pytest.mark.parametrize("server", ["registry.example.org", "registry.example.org:5000"])
def test_dockerd_and_binderhub_trust_a_private_authority(chart: Chart, server: str) -> None:
    objects = chart.render(registry(server, certificateAuthority=CA))
    assert docker_files(objects) == {f"/etc/docker/certs.d/{server}/ca.crt": CA}
    assert objects.one("Secret", "binderhub")["stringData"]["authorities.crt"].strip() == CA.strip()
    spec = pod(objects)
    ((first,), (container,)) = spec["initContainers"], spec["containers"]
    assert (first["image"], first["securityContext"]) == (container["image"], container["securityContext"])
    shared = mounts(container)["/etc/ssl/certs/ca-certificates.crt"]
    assert mounts(first)["/authorities"] == shared
    assert {"name": shared, "emptyDir": {}} in spec["volumes"]


def test_a_new_authority_restarts_both(chart: Chart) -> None:
    before, after = (chart.render(registry(certificateAuthority=word)) for word in ("before", "after"))
    for kind, name in (("Deployment", "binderhub"), ("DaemonSet", "docker-api")):
        assert before.one(kind, name) != after.one(kind, name)


def test_dockerd_speaks_plain_http_only_where_it_is_told(mount: Mount) -> None:
    values = registry("http://registry.example.org:5000", insecure=True)
    daemon = docker_files(mount.chart.render(values))["/etc/docker/daemon.json"]
    assert json.loads(daemon) == {"insecure-registries": ["registry.example.org:5000"]}
    assert mount.load(values).DockerRegistry.url == "http://registry.example.org:5000"


def test_a_daemon_json_is_added_to(chart: Chart) -> None:
    given = {"mtu": 1450, "insecure-registries": ["mirror:5000"]}
    files = {"mine": {"mountPath": "/etc/docker/daemon.json", "data": given}}
    objects = chart.render({**registry("r:5000", insecure=True), "dockerApi": {"extraFiles": files}})
    (daemon,) = docker_files(objects).values()
    assert json.loads(daemon) == {"mtu": 1450, "insecure-registries": ["mirror:5000", "r:5000"]}


# What is refused, and what is only said

DAEMON_JSON = {"mountPath": "/etc/docker/daemon.json", "stringData": "{}"}
CERTIFICATE = {"mountPath": "/etc/docker/certs.d/quay.io/ca.crt", "stringData": CA}


@pytest.mark.parametrize(
    ("values", "complaint"),
    [
        ({"registry": {"url": "https://quay.io"}}, r"into registry\.server"),
        ({"registry": {"username": "robot"}}, r"registry\.username is set, but not .* Set registry\.server"),
        ({"registry": {"existingSecret": "mine"}}, r"registry\.existingSecret is set, but not"),
        ({"registry": {"certificateAuthority": CA}}, r"registry\.certificateAuthority is set, but not"),
        ({"registry": {"insecure": True}}, r"registry\.insecure is set, but not"),
        ({"registry": {"tokenHosts": ["auth.example.org"]}}, r"registry\.tokenHosts is set, but not"),
        (registry("quay.io/me"), r"more than a host\. Set it to quay\.io"),
        (registry("http://r:5000"), r"Set registry\.insecure to true"),
        (registry(insecure=True, certificateAuthority=CA), r"plain HTTP, .* Leave one of them out"),
        (login(existingSecret="mine"), r"registry\.existingSecret and registry\.username are both set"),
        (
            {**registry(existingSecret="mine"), "buildPodsDockerConfig": {"auths": {}, "x": 1}},
            r"Put everything into the Secret",
        ),
        (
            {**login(), "buildPodsRegistryCredentials": {"server": "quay.io", "username": "a", "password": "b"}},
            r"Leave out buildPodsRegistryCredentials",
        ),
        (
            {**login(), "buildPodsDockerConfig": {"auths": {"quay.io": {"auth": "eDp5"}}}},
            r"has a login for quay\.io, and registry\.username sets another",
        ),
        (
            {**login(), "config": {"DockerRegistry": {"url": "https://quay.io"}}},
            r"Leave out config\.DockerRegistry\.url",
        ),
        (
            {**login(), "config": {"DockerRegistry": {"password": "needle"}}},
            r"Leave out config\.DockerRegistry\.password",
        ),
        (
            {**registry(insecure=True), "dockerApi": {"extraFiles": {"mine": DAEMON_JSON}}},
            r"dockerApi\.extraFiles\.mine gives as text\. Give it as data",
        ),
        (
            {**registry(insecure=True), "dockerApi": {"extraArgs": ["--insecure-registry=r:5000"]}},
            r"Leave out the argument",
        ),
        (
            {**registry(certificateAuthority=CA), "dockerApi": {"extraFiles": {"mine": CERTIFICATE}}},
            r"dockerApi\.extraFiles\.mine both set the certificate authority of quay\.io",
        ),
    ],
)
def test_contradictions_are_refused_with_what_to_do(chart: Chart, values: dict[str, Any], complaint: str) -> None:
    with pytest.raises(UserError, match=complaint) as refused:
        chart.render(values)
    assert "needle" not in str(refused.value)


WITHOUT_LOGIN = "This chart knows no login for pushes"
LIBRARY = "images would be pushed to docker.io/library"


@pytest.mark.parametrize(
    ("values", "warned"),
    [
        ({}, [WITHOUT_LOGIN, LIBRARY]),
        ({"config": {"BinderHub": {"use_registry": False}}, "extraEnv": {"DOCKER_HOST": "tcp://docker:2375"}}, []),
        ({"buildPodsDockerConfig": {"credHelpers": {"quay.io": "x"}}}, [LIBRARY]),
        ({"buildPodsRegistryCredentials": {"server": "quay.io", "username": "a", "password": "b"}}, [LIBRARY]),
        ({**registry(existingSecret="mine"), "config": {"BinderHub": {"image_prefix": "quay.io/me/"}}}, []),
        (
            {**registry(username="a"), "config": {"BinderHub": {"image_prefix": "quay.io/me/"}}},
            [r"registry\.password is empty"],
        ),
        (
            {**login(), "config": {"BinderHub": {"image_prefix": "ghcr.io/me/"}}},
            [r'server is quay\.io, but .* \("ghcr\.io/me/"\) sends images to ghcr\.io'],
        ),
        ({**login(), "config": {"BinderHub": {"image_prefix": "me/b-"}}}, [r"sends images to docker\.io"]),
        (login(), [r'\(""\) sends images to docker\.io']),
        ({**login("docker.io"), "config": {"BinderHub": {"image_prefix": "me/b-"}}}, []),
        ({**login("docker.io"), "config": {"BinderHub": {"image_prefix": "docker.io/me/b-"}}}, []),
        ({**login("localhost:5000"), "config": {"BinderHub": {"image_prefix": "localhost:5000/b-"}}}, []),
    ],
)
def test_doubts_are_told_in_the_notes(helm: Path, tmp_path: Path, values: dict[str, Any], warned: list[str]) -> None:
    notes = Chart(helm, with_notes(CHART, tmp_path), (ANONYMOUS,)).render(values).one("Notes", "notes")["notes"]
    warnings = re.findall("^WARNING: (.*)$", notes, re.MULTILINE)
    assert len(warnings) == len(warned)
    for warning, pattern in zip(warnings, warned, strict=True):
        assert re.search(pattern, warning)
