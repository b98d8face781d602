"""The kubernetes clients of the images that people run: the executor takes only their configuration, of any version."""

import json
import os
import subprocess
import threading
from collections.abc import Iterator
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest
from services.test_cleaner import CLEANER, leave, names
from services.test_requests import failed, line, messages, until_event
from support.binderhub import KUBERNETES_CLIENTS, Installed, new_ref, until
from support.executor_setting import FILES, Setting

VERSIONS = sorted(file.stem.removeprefix("kubernetes-") for file in KUBERNETES_CLIENTS.glob("*.txt"))
every_client = pytest.mark.parametrize("kubernetes_client", VERSIONS, indirect=True, scope="session")
"""The image's own is what all other tests run on."""


def test_the_oldest_and_the_newest_are_among_them() -> None:
    assert {version.partition(".")[0] for version in VERSIONS} == {"9", "37"}


@every_client
def test_the_client_has_the_requested_version(binderhub: Installed, kubernetes_client: str) -> None:
    asked = [str(binderhub.python), "-c", "import kubernetes; print(kubernetes.__version__)"]
    env = {"PYTHONPATH": str(binderhub.packages)}
    assert (
        subprocess.run(asked, env=env, capture_output=True, text=True, check=True).stdout.strip() == kubernetes_client
    )


@every_client
def test_a_build_is_made_watched_read_and_removed(setting: Setting) -> None:
    with setting.build() as stream:
        pod, log = setting.start()
        log.print(line("Step 1\n"))
        until_event(stream, "Step 1")
        setting.proxy.cut()
        log.print(line("Step 2\n"))
        setting.finish(pod)
        events = stream.rest()
    assert messages(events, "building") == ["Step 2\n"]
    assert events[-1]["phase"] == "ready"
    until(lambda: not setting.namespace.pods(), "the pod to be deleted")


@every_client
def test_a_failure_is_told_and_a_running_pod_is_joined(setting: Setting) -> None:
    ref = new_ref()
    with setting.restart() as other, setting.build(ref) as here, setting.build(ref, service=other) as there:
        pod, log = setting.start()
        log.print(line("Step 1\n"))
        for stream in (here, there):
            until_event(stream, "Step 1")
        setting.namespace.delete(pod["metadata"]["name"])
        ends = [failed(here.rest()), failed(there.rest())]
    assert [end["code"] for end in ends] == ["BHS703", "BHS703"]  # of both, since there was one pod alone


@every_client
@pytest.mark.parametrize("extra_config", [CLEANER], indirect=True)
def test_the_cleaner_takes_away_what_never_started(setting: Setting) -> None:
    leave(setting, "never-started")
    leave(setting, "of-another", "other")
    until(lambda: names(setting) == {"of-another"}, "the pod to be deleted")


@dataclass
class Asked:
    """A server that takes every request for a good one, and the logins it was shown."""

    port: int = 0
    logins: list[str] = field(default_factory=list)


@pytest.fixture
def asked() -> Iterator[Asked]:
    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            kept.logins.append(self.headers.get("Authorization", ""))
            self.send_response(200)
            self.send_header("Content-Length", "2")
            self.end_headers()
            self.wfile.write(b"{}")

        def log_message(self, *_words: Any) -> None:
            """Say nothing."""

    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        kept = Asked(server.server_address[1])
        threading.Thread(target=server.serve_forever, daemon=True).start()
        yield kept
        server.shutdown()


# In place of a pod: the client's own reading of the service account, from other files, and then HTTP in place of HTTPS.
IN_A_POD = """
import sys
from pathlib import Path
from kubernetes.config import incluster_config
folder, port = Path(sys.argv[1]), sys.argv[2]
incluster_config.SERVICE_TOKEN_FILENAME = str(folder / "token")
incluster_config.SERVICE_CERT_FILENAME = str(folder / "ca.crt")
(folder / "token").write_text("first")
from binderhub_service import kubernetes_api
server = kubernetes_api.api_client()
assert server._host == "https://127.0.0.1:" + port, server._host
server._host = "http://127.0.0.1:" + port
server.request("GET", "/")
(folder / "token").write_text("second\\n")
server.request("GET", "/")
"""


@pytest.mark.parametrize("kubernetes_client", ["", *VERSIONS], indirect=True, scope="session")
def test_a_service_accounts_token_is_read_anew(binderhub: Installed, asked: Asked, tmp_path: Path) -> None:
    (tmp_path / "ca.crt").write_text("never looked into: the requests are plain HTTP")
    env = {
        "PATH": os.environ["PATH"],
        "PYTHONPATH": f"{binderhub.packages}:{FILES}",
        "KUBERNETES_SERVICE_HOST": "127.0.0.1",
        "KUBERNETES_SERVICE_PORT": str(asked.port),
    }
    script = [str(binderhub.python), "-c", IN_A_POD, str(tmp_path), str(asked.port)]
    subprocess.run(script, env=env, check=True)
    assert asked.logins == ["Bearer first", "Bearer second"]


TOKEN_KUBECONFIG = {
    "apiVersion": "v1",
    "kind": "Config",
    "clusters": [{"name": "c", "cluster": {"server": ""}}],
    "users": [{"name": "u", "user": {"token": "t0ken"}}],
    "contexts": [{"name": "c", "context": {"cluster": "c", "user": "u"}}],
    "current-context": "c",
}


@pytest.mark.parametrize("kubernetes_client", ["", *VERSIONS], indirect=True, scope="session")
def test_a_kubeconfigs_token_is_shown(binderhub: Installed, asked: Asked, tmp_path: Path) -> None:
    kubeconfig = json.loads(json.dumps(TOKEN_KUBECONFIG))
    kubeconfig["clusters"][0]["cluster"]["server"] = f"http://127.0.0.1:{asked.port}"
    (tmp_path / "kubeconfig").write_text(json.dumps(kubeconfig))
    env = {
        "PATH": os.environ["PATH"],
        "PYTHONPATH": f"{binderhub.packages}:{FILES}",
        "KUBECONFIG": str(tmp_path / "kubeconfig"),
    }
    script = [
        str(binderhub.python),
        "-c",
        "from binderhub_service import kubernetes_api; kubernetes_api.api_client().request('GET', '/')",
    ]
    subprocess.run(script, env=env, check=True)
    assert asked.logins == ["Bearer t0ken"]
