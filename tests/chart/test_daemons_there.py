"""What Helm says of daemons that are there: against a real API server, with a DaemonSet's status from this test."""

import json
import secrets
import subprocess
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from common.paths import CHART
from support.api_server import TOKEN, ApiServer, serving

pytestmark = pytest.mark.together

SAID = "The docker-api pods still run the previous version"
ELSEWHERE = "new builds find no daemon"
CHANGED = {"extraFiles": {"f": {"mountPath": "/etc/docker/daemon.json", "data": {"debug": True}}}}


@dataclass
class Installed:
    """A release, and the DaemonSet that it has."""

    helm: Path
    server: ApiServer
    namespace: str

    def upgrade(self, docker_api: dict[str, Any], **values: Any) -> str:
        """Upgrade, or install; what NOTES say."""
        done = self.attempt(docker_api, **values)
        assert done.returncode == 0, done.stderr
        return done.stdout.split("NOTES:")[1]

    def attempt(self, docker_api: dict[str, Any], **values: Any) -> subprocess.CompletedProcess[str]:
        """The same, also where Helm refuses."""
        words = ["upgrade", "--install", "rel", str(CHART), f"--namespace={self.namespace}", "--values=-"]
        words.append("--force-conflicts")  # with what this test wrote
        where = [f"--kube-apiserver={self.server.url}", f"--kube-token={TOKEN}", "--kube-insecure-skip-tls-verify"]
        unprivileged = {"securityContext": {"privileged": False}}  # as this server wants it
        given = json.dumps({"allowAnonymous": True, "dockerApi": {**unprivileged, **docker_api}, **values})
        return subprocess.run(
            [str(self.helm), *words, *where], input=given, capture_output=True, text=True, check=False
        )

    def patch(self, place: str, change: dict[str, Any]) -> None:
        path = f"/apis/apps/v1/namespaces/{self.namespace}/daemonsets/docker-api{place}"
        self.server.request("PATCH", path, change, "application/merge-patch+json")

    def pods(self, *, updated: int) -> None:
        """What a controller would say of two nodes."""
        self.patch("/status", {"status": {"desiredNumberScheduled": 2, "updatedNumberScheduled": updated}})


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[ApiServer]:
    with serving(tmp_path_factory.mktemp("api-server")) as found:
        yield found


@pytest.fixture
def release(helm: Path, server: ApiServer) -> Installed:
    """A release whose pods are all of its newest kind."""
    namespace = f"notes-{secrets.token_hex(3)}"
    server.namespace(namespace)
    found = Installed(helm, server, namespace)
    assert SAID not in found.upgrade({})
    found.pods(updated=2)
    return found


def test_an_upgrade_that_changes_a_daemons_file_says_so(release: Installed) -> None:
    notes = release.upgrade(CHANGED)
    assert SAID in notes
    assert f"kubectl --namespace {release.namespace} get daemonset docker-api" in notes
    assert ELSEWHERE not in notes


def test_an_upgrade_of_something_else_says_nothing(release: Installed) -> None:
    assert SAID not in release.upgrade({}, replicas=2)


def test_the_note_appears_until_the_daemons_are_replaced(release: Installed) -> None:
    release.upgrade(CHANGED)
    release.pods(updated=1)
    assert SAID in release.upgrade(CHANGED)
    release.pods(updated=2)
    assert SAID not in release.upgrade(CHANGED)


def test_notes_are_silent_if_the_upgrade_replaces_the_daemons(release: Installed) -> None:
    assert SAID not in release.upgrade({**CHANGED, "updateStrategy": {"type": "RollingUpdate"}})


def test_sockets_that_are_elsewhere_are_said(release: Installed) -> None:
    """As of pods that the chart 2i2c-org/binderhub-service made, which know nothing of a checksum."""
    volumes = [
        {"name": "data", "hostPath": {"path": "/var/lib/ns-rel/docker-api"}},
        {"name": "socket", "hostPath": {"path": "/var/run/ns-rel/docker-api"}},
    ]
    annotations = {"checksum/pod": None}
    release.patch("", {"metadata": {"annotations": annotations}, "spec": {"template": {"spec": {"volumes": volumes}}}})
    notes = release.upgrade({})
    assert SAID in notes
    assert ELSEWHERE in notes


def test_a_release_cannot_be_told_to_remove_its_own_data(release: Installed) -> None:
    refused = release.attempt({"cleanUp": True})
    assert refused.returncode != 0
    assert "dockerApi.cleanUp is for `helm template`" in refused.stderr
