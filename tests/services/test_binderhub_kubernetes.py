"""BinderHub's own executor and cleaner, against an API that a test plays: pods, watches, logs, deletions."""

from collections.abc import Iterator
from contextlib import AbstractContextManager
from pathlib import Path
from urllib.parse import quote

import pytest
from support.binderhub import Installed, Service, new_ref, running, until
from support.scripted_kubernetes_api import NAMESPACE, PODS, Api, pod, serving

URL = "https://git.example/group/project"
WAITING = {"phase": "waiting", "message": "Waiting for build to start...\n"}
UNHANDLED = {"phase": "failed", "message": "Unhandled error watching for build events. Please try again.\n"}

CONFIG = """
c.BinderHub.builder_required = True
c.BinderHub.build_class = "binderhub.build.KubernetesBuildExecutor"
"""


@pytest.fixture
def api(tmp_path: Path) -> Iterator[Api]:
    with serving(tmp_path) as serves:
        yield serves


def start(installed: Installed, api: Api, config: str = "") -> AbstractContextManager[Service]:
    env = {"KUBECONFIG": str(api.kubeconfig), "BUILD_NAMESPACE": NAMESPACE}
    return running(installed, api.kubeconfig.parent, CONFIG + config, env)


@pytest.fixture
def service(binderhub: Installed, api: Api) -> Iterator[Service]:
    with start(binderhub, api) as started:
        yield started


def spec(ref: str) -> str:
    return f"{quote(URL, safe='')}/{ref}"


def test_the_pod_of_a_build(service: Service, api: Api) -> None:
    ref = new_ref()
    with service.build(spec(ref)) as stream:
        assert stream.event() == WAITING
        made = api.asked("POST").body
        name = made["metadata"]["name"]
        api.watch("DELETED", "Succeeded")
        image = stream.rest()[-1]["imageName"]
    assert made["metadata"] == {
        "name": name,
        "labels": {"name": name, "component": "binderhub-build"},
        "annotations": {"binder-repo": URL},
    }
    (container,) = made["spec"].pop("containers")
    command = ["jupyter-repo2docker", f"--ref={ref}", f"--image={image}", "--no-clean", "--no-run", "--json-logs"]
    assert container == {
        "name": "builder",
        "image": "quay.io/jupyterhub/repo2docker:2024.07.0",
        "args": [*command, "--user-name=jovyan", "--user-id=1000", "--push", URL],
        "env": [],
        "resources": {"limits": {}, "requests": {}},
        "volumeMounts": [
            {"name": "docker-socket", "mountPath": "/var/run/docker.sock"},
            {"name": "docker-config", "mountPath": "/root/.docker/config.json", "subPath": "config.json"},
        ],
    }
    selector = {"matchLabels": {"component": "binderhub-build"}}
    term = {"topologyKey": "kubernetes.io/hostname", "labelSelector": selector}
    apart = [{"weight": 100, "podAffinityTerm": term}]
    assert made["spec"] == {
        "restartPolicy": "Never",
        "nodeSelector": {},
        "imagePullSecrets": [],
        "tolerations": [
            {"key": key, "operator": "Equal", "value": "user", "effect": "NoSchedule"}
            for key in ("hub.jupyter.org/dedicated", "hub.jupyter.org_dedicated")
        ],
        "volumes": [
            {"name": "docker-socket", "hostPath": {"path": "/var/run/docker.sock", "type": "Socket"}},
            {"name": "docker-config", "secret": {"secretName": "binder-build-docker-config"}},
        ],
        "affinity": {"podAntiAffinity": {"preferredDuringSchedulingIgnoredDuringExecution": apart}},
    }


def test_the_pod_follows_the_configuration(binderhub: Installed, api: Api) -> None:
    config = """
k = c.KubernetesBuildExecutor
k.build_image = "r.example/r2d:1"
k.docker_host = "unix:///var/run/ns1-rel/docker-api.sock"
k.push_secret = "push"
k.image_pull_secrets = ["pull"]
k.node_selector = {"pool": "builds"}
k.extra_envs = {"A": "1"}
k.resources = {"requests": {"cpu": "10m"}}
k.namespace = "builds"
k.appendix = "RUN true"
k.repo2docker_extra_args = ["--debug"]
c.GitRepoProvider.git_credentials = "username=u"
c.BinderHub.registry_class = "recording.RecordingRegistry"
"""
    with start(binderhub, api, config) as service, service.build(spec(new_ref())) as stream:
        assert stream.event() == WAITING
        made = api.asked("POST").body["spec"]
        version = service.get("/versions").json()
    (container,) = made["containers"]
    assert container["image"] == "r.example/r2d:1"
    assert container["args"][-5:] == ["--appendix", "RUN true", "--push", "--debug", URL]
    assert container["env"] == [{"name": "A", "value": "1"}, {"name": "GIT_CREDENTIAL_ENV", "value": "username=u"}]
    assert container["resources"] == {"requests": {"cpu": "10m"}}
    assert made["nodeSelector"] == {"pool": "builds"}
    assert made["imagePullSecrets"] == [{"name": "pull"}]
    assert [volume.get("hostPath", {}).get("path") for volume in made["volumes"]] == [
        "/var/run/ns1-rel/docker-api.sock",
        None,
    ]
    assert made["volumes"][1]["secret"] == {"secretName": "push"}
    assert version["builder_info"] == {"build_image": "r.example/r2d:1"}
    assert version["builder"] == "r.example/r2d:1"


def test_credentials_from_the_registry_take_the_place_of_the_secret(binderhub: Installed, api: Api) -> None:
    config = "c.RecordingRegistry.gives_credentials = True\nc.KubernetesBuildExecutor.docker_host = None\n"
    with start(binderhub, api, config) as service, service.build(spec(new_ref())) as stream:
        assert stream.event() == WAITING
        made = api.asked("POST").body["spec"]
    assert made["volumes"] == []
    (variable,) = made["containers"][0]["env"]
    assert variable["name"] == "CONTAINER_ENGINE_REGISTRY_CREDENTIALS"
    assert variable["value"] == '{"registry": "r.example", "username": "robot", "password": "x"}'
    assert "--push" in made["containers"][0]["args"]


def test_a_build_from_its_start_to_its_end(service: Service, api: Api) -> None:
    with service.build(spec(new_ref())) as stream:
        assert stream.event() == WAITING
        name = api.asked("POST").body["metadata"]["name"]
        watch = api.asked_to_watch()
        assert watch.query["labelSelector"] == f"name={name}"
        assert watch.query["timeoutSeconds"] == "30"
        api.watch("ADDED", "Pending")
        api.watch("MODIFIED", "Running")
        log = api.asked("GET", f"{PODS}/{name}/log")
        assert (log.query["follow"], log.query["tailLines"]) == ("True", "100")
        api.log('{"phase": "building", "message": "Step 1/1"}', "no JSON", "{half")
        assert [stream.event(), stream.event(), stream.event()] == [
            {"phase": "building", "message": "Step 1/1"},
            {"phase": "unknown", "message": "no JSON\n"},
            {"phase": "unknown", "message": "{half\n"},
        ]
        api.watch("MODIFIED", "Succeeded")
        deletion = api.asked("DELETE", f"{PODS}/{name}")
        assert deletion.body == {"gracePeriodSeconds": 0}
        stream.stays_open()  # the end is told when the pod is gone
        api.watch("DELETED", "Succeeded")
        assert [event["phase"] for event in stream.rest()] == ["ready"]


def test_a_pod_that_fails_is_deleted_and_the_stream_stays_open(service: Service, api: Api) -> None:
    with service.build(spec(new_ref())) as stream:
        assert stream.event() == WAITING
        name = api.asked("POST").body["metadata"]["name"]
        api.watch("MODIFIED", "Failed")
        assert stream.event() == {"phase": "failed"}
        api.asked("DELETE", f"{PODS}/{name}")
        api.watch("DELETED", "Failed")
        assert stream.event() == {"phase": "failed"}
        stream.stays_open()


def test_a_pod_of_the_same_name_is_joined(service: Service, api: Api) -> None:
    api.create_status = 409
    with service.build(spec(new_ref())) as stream:
        assert stream.event() == WAITING
        api.watch("ADDED", "Running")
        name = api.asked("POST").body["metadata"]["name"]
        api.asked("GET", f"{PODS}/{name}/log")
        api.watch("DELETED", "Succeeded")
        assert [event["phase"] for event in stream.rest()] == ["ready"]


def test_a_pod_that_may_not_be_made_ends_the_stream(service: Service, api: Api) -> None:
    api.create_status = 403
    events = service.events(spec(new_ref()))
    # Whether the failure is still told is a race: see the queue's tests.
    assert events in ([WAITING], [WAITING, UNHANDLED])
    assert not [one for one in api.requests if "watch" in one.query]


def test_a_watch_that_ends_is_opened_again(service: Service, api: Api) -> None:
    with service.build(spec(new_ref())) as stream:
        assert stream.event() == WAITING
        api.asked("POST")
        api.watched.put(None)
        api.watch("DELETED", "Succeeded")
        assert [event["phase"] for event in stream.rest()] == ["ready"]
    assert len([one for one in api.requests if "watch" in one.query]) == 2


def test_sticky_builds_fail_without_pods_of_the_other_charts_labels(binderhub: Installed, api: Api) -> None:
    with start(binderhub, api, "c.KubernetesBuildExecutor.sticky_builds = True\n") as service:
        events = service.events(spec(new_ref()))
        assert "IndexError" in service.log.read_text()
    assert events in ([WAITING], [WAITING, UNHANDLED])
    assert not [one for one in api.requests if one.method == "POST"]


def test_sticky_builds_prefer_a_node_of_those_pods(binderhub: Installed, api: Api) -> None:
    api.listed["component=image-builder,app=binder"] = [pod("dind-1", "Running")]
    sticky = "c.KubernetesBuildExecutor.sticky_builds = True\n"
    with start(binderhub, api, sticky) as service, service.build(spec(new_ref())) as stream:
        assert stream.event() == WAITING
        affinity = api.asked("POST").body["spec"]["affinity"]
    (term,) = affinity["nodeAffinity"]["preferredDuringSchedulingIgnoredDuringExecution"]
    on_node = {"key": "kubernetes.io/hostname", "operator": "In", "values": ["node-1"]}
    assert term == {"weight": 100, "preference": {"matchExpressions": [on_node]}}


def test_the_cleaner_deletes_what_has_ended_or_is_too_old(binderhub: Installed, api: Api) -> None:
    long_ago, in_future = "2020-01-01T00:00:00Z", "2999-01-01T00:00:00Z"
    api.listed["component=binderhub-build"] = [
        pod("failed", "Failed", in_future),
        pod("succeeded", "Succeeded", in_future),
        pod("young", "Running", in_future),
        pod("old", "Running", long_ago),
        pod("never-started", "Pending"),
        pod("last", "Failed"),
    ]
    config = 'c.BinderHub.build_cleaner_class = "binderhub.build.KubernetesCleaner"\n'
    with start(binderhub, api, config):
        api.asked("DELETE", f"{PODS}/last")
    deleted = [one.path.rpartition("/")[2] for one in api.requests if one.method == "DELETE"]
    assert deleted == ["failed", "succeeded", "old", "last"]


def test_the_cleaner_is_made_and_called_again_and_again_even_when_it_fails(binderhub: Installed, api: Api) -> None:
    config = """
c.BinderHub.build_cleaner_class = "recording.RecordingCleaner"
c.BinderHub.build_cleanup_interval = 1
"""
    with start(binderhub, api, config) as service:
        until(lambda: len(service.notes("start-up", "cleanup")) >= 3, "three calls of the cleaner")
        notes = service.notes("start-up", "cleanup")
        assert service.get("/versions").status_code == 200
    assert {note["namespace"] for note in notes} == {NAMESPACE}
    assert all(note["has_client"] for note in notes)
    assert "main" not in {note["thread"] for note in notes}
