"""The pod of a build: which container has which secrets, and that no other host gets the Git credential."""

import dataclasses
import json
import os
import subprocess
from pathlib import Path
from typing import Any

import kubernetes_validate  # type: ignore[import-untyped]
import pytest
from binderhub_service.docker_engine import DockerEngine
from binderhub_service.manifests import BuildSpec, build_name, make_pod, make_secret, report_words
from binderhub_service.programs import CONTAINERS
from binderhub_service.programs.fetch import AUTHORITIES

SOCKET = "/run/binderhub-service/0123456789/docker-api.sock"
ENGINE = DockerEngine(SOCKET, True)
WANTED = BuildSpec(
    name="build-https-3a-2f-2fgit-2eexample-2fgroup-2fproject-abcdef-1-23",
    owner="0123456789",
    namespace="ns1",
    repo="https://git.example/group/project",
    ref="1" * 40,
    image_name="r.example/i:1",
    repo2docker=["jupyter-repo2docker", f"--ref={'1' * 40}", "--image=r.example/i:1"],
    build_image="quay.io/r2d:1",
    start_seconds=900,
    push_secret="push",  # noqa: S106 - the name of a Secret
)
TOKEN = "username=x-token\\npassword=t0ps3cret"  # noqa: S105 - as a provider writes it


def wanted(**changes: Any) -> BuildSpec:
    return dataclasses.replace(WANTED, **changes)


def containers(pod: dict[str, Any]) -> tuple[dict[str, Any], dict[str, Any], dict[str, Any]]:
    fetch, build, push = pod["spec"]["containers"]
    return fetch, build, push


def mounts(container: dict[str, Any]) -> set[str]:
    return {mount["name"] for mount in container["volumeMounts"]}


def test_the_pod_is_valid() -> None:
    pod = make_pod(wanted(git_credentials=TOKEN), ENGINE, "p", preferred="node-1")
    kubernetes_validate.validate(pod, "1.34", strict=True)
    assert pod["spec"]["automountServiceAccountToken"] is False


def test_each_container_has_its_own_secrets_alone() -> None:
    fetch, build, push = containers(make_pod(wanted(git_credentials=TOKEN), ENGINE, "p"))
    assert mounts(fetch) == {"source", "git-credential", "tmp-fetch"}
    assert mounts(build) == {"source", "handover", "docker-api", "tmp-builder"}
    assert mounts(push) == {"handover", "docker-api", "logins", "tmp-push"}
    (source,) = (one for one in build["volumeMounts"] if one["name"] == "source")
    assert source["readOnly"] is True


def test_the_container_that_reads_the_repository_has_no_secret() -> None:
    login = {"registry": "r", "username": "u", "password": "pa55word"}
    for build in (wanted(git_credentials=TOKEN), wanted(git_credentials=TOKEN, registry_credentials=login)):
        pod = make_pod(build, ENGINE, "p", "private", "word")
        secret_volumes = {volume["name"] for volume in pod["spec"]["volumes"] if "secret" in volume}
        assert secret_volumes == {"git-credential", "logins"}
        builder = containers(pod)[1]
        assert not mounts(builder) & secret_volumes
        assert all("valueFrom" not in entry for entry in builder["env"])


def test_no_container_knows_the_word_of_another() -> None:
    pod = make_pod(WANTED, ENGINE, "p", "private", "secret-of-the-pod")
    known = report_words(pod)
    assert len({*known.values()}) == len(CONTAINERS)
    for container in pod["spec"]["containers"]:
        text = json.dumps(container)
        assert [name for name, word in known.items() if word in text] == [container["name"]]
        assert "secret-of-the-pod" not in text


def test_without_a_push_there_is_no_login() -> None:
    pod = make_pod(wanted(pushes=False), ENGINE, "p", "private", "word")
    assert [container["name"] for container in pod["spec"]["containers"]] == ["fetch", "builder"]
    assert not [volume for volume in pod["spec"]["volumes"] if "secret" in volume]
    assert json.loads(containers_of(pod)["builder"]["args"][4])["helper"] == ""


def containers_of(pod: dict[str, Any]) -> dict[str, dict[str, Any]]:
    return {container["name"]: container for container in pod["spec"]["containers"]}


def test_containers_may_do_nothing_that_they_need_not() -> None:
    for container in containers(make_pod(WANTED, ENGINE, "p")):
        assert container["args"][:3] == ["python3", "-I", "-c"]
        assert container["securityContext"] == {
            "allowPrivilegeEscalation": False,
            "capabilities": {"drop": ["ALL"]},
            "readOnlyRootFilesystem": True,
            "seccompProfile": {"type": "RuntimeDefault"},
        }


def test_the_kubelet_bounds_the_repository_too() -> None:
    volumes = make_pod(wanted(size_limit=1 << 30), ENGINE, "p")["spec"]["volumes"]
    (source,) = (volume for volume in volumes if volume["name"] == "source")
    assert source["emptyDir"] == {"sizeLimit": str(2 << 30)}


def test_fetch_and_the_steps_have_the_proxy_and_nobody_else() -> None:
    pod = make_pod(wanted(http_proxy="http://proxy:3128", no_proxy="a,.b"), ENGINE, "p")
    fetch, build, push = containers(pod)
    variables = {"http_proxy": "http://proxy:3128", "https_proxy": "http://proxy:3128", "no_proxy": "a,.b"}
    assert {one["name"]: one["value"] for one in fetch["env"]} == variables
    assert not {one["name"] for one in (*build["env"], *push["env"])} & set(variables)
    settings = next(json.loads(word) for word in build["args"] if word.startswith("{"))
    assert (settings["proxy"], settings["no_proxy"]) == ("http://proxy:3128", "a,.b")


def test_authorities_are_for_fetching_alone() -> None:
    pod = make_pod(wanted(authorities="authorities"), ENGINE, "p")
    kubernetes_validate.validate(pod, "1.34", strict=True)
    fetch, build, push = containers(pod)
    assert mounts(fetch) == {"source", "git-authorities", "tmp-fetch"}
    assert "git-authorities" not in mounts(build) | mounts(push)
    given = {"name": "authorities", "optional": True}
    assert {"name": "git-authorities", "configMap": given} in pod["spec"]["volumes"]
    (file,) = (entry["value"] for entry in fetch["env"] if entry["name"] == AUTHORITIES)
    (mount,) = (one for one in fetch["volumeMounts"] if one["name"] == "git-authorities")
    assert file == f"{mount['mountPath']}/authorities.crt"


def test_the_sockets_directory_is_mounted_read_only() -> None:
    pod = make_pod(WANTED, ENGINE, "p")
    (mount,) = (one for one in containers(pod)[1]["volumeMounts"] if one["name"] == "docker-api")
    assert mount["readOnly"] is True
    (volume,) = (one for one in pod["spec"]["volumes"] if one["name"] == "docker-api")
    assert volume["hostPath"]["path"] == str(Path(SOCKET).parent)


def test_somebody_elses_socket_is_mounted_alone() -> None:
    pod = make_pod(WANTED, DockerEngine("/var/run/docker.sock", False), "p")
    (volume,) = (one for one in pod["spec"]["volumes"] if one["name"] == "docker-api")
    assert volume["hostPath"] == {"path": "/var/run/docker.sock", "type": "Socket"}


def test_no_token_is_in_the_pod() -> None:
    login = {"registry": "r", "username": "u", "password": "pa55word"}
    build = wanted(git_credentials=TOKEN, registry_credentials=login)
    pod = make_pod(build, ENGINE, "p", "private")
    assert "t0ps3cret" not in json.dumps(pod)
    assert "pa55word" not in json.dumps(pod)
    pod["metadata"]["uid"] = "u-1"
    made = make_secret(build, pod)
    assert made
    assert made["stringData"]["git-credential"] == "username=x-token\npassword=t0ps3cret\n"
    assert json.loads(made["stringData"]["registry-credentials"]) == login
    assert made["metadata"]["name"] == "private"
    assert made["metadata"]["ownerReferences"][0]["uid"] == "u-1"
    (volume,) = (one for one in pod["spec"]["volumes"] if one["name"] == "git-credential")
    assert volume["secret"]["secretName"] == "private"
    (volume,) = (one for one in pod["spec"]["volumes"] if one["name"] == "logins")
    assert volume["secret"]["secretName"] == "private"


def test_without_tokens_there_is_no_secret() -> None:
    assert make_secret(WANTED, {"metadata": {"name": "p", "uid": "u"}}) is None


@pytest.mark.parametrize(
    ("asked", "given"),
    [
        ("protocol=https\nhost=git.example\n\n", True),
        ("protocol=https\nhost=evil.example\n\n", False),
        ("protocol=http\nhost=git.example\n\n", False),
        ("protocol=https\nhost=git.example.evil.example\n\n", False),
        ("protocol=https\nhost=git.example:8443\n\n", False),
    ],
)
def test_git_gives_the_credential_to_its_own_host_alone(tmp_path: Path, asked: str, given: bool) -> None:
    fetch, *_ = containers(make_pod(wanted(git_credentials=TOKEN), ENGINE, "p"))
    file = tmp_path / "credential"
    file.write_text("username=x-token\npassword=t0ps3cret\n")
    system = tmp_path / "gitconfig"
    system.write_text('[credential]\n\thelper = "!f() { echo username=leak; echo password=t0ps3cret; }; f"\n')
    env = {entry["name"]: entry["value"].replace("/run/git-credential/credential", str(file)) for entry in fetch["env"]}
    answer = subprocess.run(
        ["git", "credential", "fill"],
        input=asked,
        env={"PATH": os.environ["PATH"], "HOME": str(tmp_path), "GIT_CONFIG_SYSTEM": str(system), **env},
        capture_output=True,
        text=True,
        check=False,
    )
    assert ("t0ps3cret" in answer.stdout) is given


def test_a_node_counts_the_resources_of_a_build_once() -> None:
    asked = {"requests": {"cpu": "100m", "x/gpu": 1}, "limits": {"memory": "1Gi", "x/gpu": 1}}
    fetch, build, push = containers(make_pod(wanted(resources=asked), ENGINE, "p"))
    assert build["resources"] == asked
    assert (
        fetch["resources"]
        == push["resources"]
        == {"requests": {"cpu": "0", "memory": "0"}, "limits": {"memory": "1Gi"}}
    )
    assert [one["resources"] for one in containers(make_pod(WANTED, ENGINE, "p"))] == [{}, {}, {}]


@pytest.mark.parametrize(
    "change",
    [
        {"owner": "other"},
        {"repo": "https://git.example/x"},
        {"ref": "2" * 40},
        {"image_name": "r/j:1"},
        {"build_image": "i"},
        {"resources": {"limits": {"cpu": 1}}},
        {"pod_fields": {"nodeSelector": {"a": "b"}}},
    ],
)
def test_different_builds_have_different_names(change: dict[str, Any]) -> None:
    assert build_name(wanted(**change), ENGINE) != build_name(WANTED, ENGINE)
    assert len(build_name(WANTED, ENGINE)) <= 61


def test_affinity_and_fresh_tokens_make_no_other_name() -> None:
    one, two = wanted(git_credentials="a"), wanted(git_credentials="b", affinity={"nodeAffinity": {}})
    assert build_name(one, ENGINE) == build_name(two, ENGINE)
