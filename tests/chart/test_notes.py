"""What Helm says at the end: how things are, where the service answers, what to do next, and what may be wrong."""

import subprocess
from typing import Any

import pytest
import yaml
from common.paths import CHART
from support.notes import Notes

HUB = {"hub": {"enabled": True, "serviceName": "b"}}


def test_the_defaults(notes: Notes) -> None:
    told = notes({})
    for words in (
        "BinderHub is installed: release rel, revision 1, in the namespace ns1.\n",
        "http://binderhub.ns1:80/\n",
        "Who may build: anybody who can reach it.",
        "Images are pushed as …",
        "kubectl --namespace ns1 get pods --selector app.kubernetes.io/instance=rel",
        "kubectl --namespace ns1 port-forward service/binderhub 8585:80",
        "curl http://localhost:8585/versions",
        "'http://localhost:8585/build/gh/",
    ):
        assert words in told
    assert "Authorization" not in told
    assert "From outside" not in told


@pytest.mark.parametrize(
    ("values", "words"),
    [
        ({"fullnameOverride": None, "service": {"port": 8090}}, "http://rel-binderhub-service-binderhub.ns1:8090/\n"),
        ({"config": {"BinderHub": {"base_url": "/services/b/"}}}, "http://binderhub.ns1:80/services/b/\n"),
        (HUB, "localhost:8585/services/b/build/gh/"),
        (HUB, "access:services!service=b, at the hub http://hub:8081/hub/api\n"),
        (HUB, "--header 'Authorization: token …'"),
        ({"config": {"BinderHub": {"auth_enabled": True}}}, "Who may build: users with a token of the JupyterHub."),
        ({"config": {"BinderHub": {"image_prefix": "quay.io/me/b-"}}}, "Images are pushed as quay.io/me/b-…"),
        (
            {"config": {"BinderHub": {"use_registry": False}}, "extraEnv": {"DOCKER_HOST": "tcp://docker:2375"}},
            "Images stay in the daemon",
        ),
        ({"buildPods": {"namespace": "builds"}}, "in the namespace ns1, with builds and daemons in builds.\n"),
        ({"buildPods": {"namespace": "builds"}}, "kubectl --namespace builds get pods"),
        (
            {**HUB, "ingress": {"enabled": True, "hosts": ["a.example.org", "b.example.org"]}},
            "Access from outside: ingress.enabled: a.example.org/services/b/, b.example.org/services/b/\n",
        ),
        (
            {**HUB, "httpRoute": {"enabled": True, "parentRefs": [{"name": "g"}], "hostnames": ["a.example.org"]}},
            "Access from outside: httpRoute.enabled: a.example.org/services/b/\n",
        ),
        ({"allowAnonymous": True, "service": {"type": "NodePort"}}, "Access from outside: service.type NodePort\n"),
    ],
)
def test_notes_follow_the_values(notes: Notes, values: dict[str, Any], words: str) -> None:
    assert words in notes(values)


def test_an_upgrade_says_that_it_is_one(notes: Notes) -> None:
    assert notes({}, upgrade=True).startswith("BinderHub is upgraded: release rel")


def test_values_that_leave_no_doubt_have_no_warning(notes: Notes) -> None:
    login = {"server": "quay.io", "username": "u", "password": "needle"}
    values = {**HUB, "registry": login, "config": {"BinderHub": {"image_prefix": "quay.io/me/b-"}}}
    told = notes(values)
    assert "WARNING" not in told
    assert "needle" not in told


def test_helm_shows_them_at_the_end_of_an_installation(notes: Notes) -> None:
    words = [str(notes.helm), "install", "rel", str(CHART), "--namespace", "ns1", "--dry-run=client", "--values", "-"]
    done = subprocess.run(words, input=yaml.safe_dump(HUB), capture_output=True, text=True, check=True)
    assert done.stdout.split("NOTES:\n")[1].strip() == notes(HUB).strip()
