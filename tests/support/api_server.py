"""A real kube-apiserver with its etcd on the loopback, without any node: tests say what pods do."""

import json
import shutil
import ssl
import subprocess
import time
import urllib.error
import urllib.request
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import rsa
from local_cluster import go_tools
from support.binderhub import free_port, until

TOKEN = "test-token"  # noqa: S105 - for a server that lives as long as the tests
ATTEMPTS = 3
"""Of a start: somebody else may take a free port first."""
Json = dict[str, Any]


@dataclass(frozen=True)
class ApiServer:
    """Where it is, and requests to it: as its administrator, unless there is another token."""

    url: str
    token: str = TOKEN

    def request(
        self, method: str, path: str, body: Any = None, kind: str = "application/json", attempts: int = 1
    ) -> Json:
        """The JSON answer; raises HTTPError. A conflict with a change of somebody else is tried again."""
        data = json.dumps(body).encode() if body is not None else None
        headers = {"Authorization": f"Bearer {self.token}", "Content-Type": kind}
        request = urllib.request.Request(self.url + path, data, headers, method=method)  # noqa: S310 - https
        context = ssl._create_unverified_context()  # noqa: S323 - its certificate is its own
        with urllib.request.urlopen(request, context=context, timeout=10) as answer:  # noqa: S310
            found: Json = json.load(answer)
            return found

    def namespace(self, name: str) -> "Namespace":
        """Make a namespace."""
        self.request("POST", "/api/v1/namespaces", {"metadata": {"name": name}})
        return Namespace(self, name)


@dataclass(frozen=True)
class Namespace:
    """One namespace of it, with the moves of a scheduler and a kubelet."""

    server: ApiServer
    name: str

    def path(self, kind: str, name: str = "") -> str:
        """Of a kind's objects, or of one."""
        return f"/api/v1/namespaces/{self.name}/{kind}" + (f"/{name}" if name else "")

    def pods(self, selector: str = "component=binderhub-build") -> list[Json]:
        """Pods with these labels."""
        found: list[Json] = self.server.request("GET", self.path("pods") + f"?labelSelector={selector}")["items"]
        return found

    def pod(self) -> Json:
        """The one build pod, waited for."""
        found: list[Json] = until(self.pods, "a build pod")
        assert len(found) == 1
        return found[0]

    def status(self, name: str, **status: Any) -> None:
        """Merge into the pod's status."""
        kind = "application/merge-patch+json"
        self.server.request("PATCH", self.path("pods", name) + "/status", {"status": status}, kind)

    def schedule(self, name: str, node: str = "node-1") -> None:
        """Bind the pod to a node."""
        binding = {"metadata": {"name": name}, "target": {"kind": "Node", "name": node}}
        self.server.request("POST", self.path("pods", name) + "/binding", binding)

    def unschedulable(self, name: str, message: str) -> None:
        """What the scheduler says where no node fits."""
        condition = {"type": "PodScheduled", "status": "False", "reason": "Unschedulable", "message": message}
        self.status(name, conditions=[condition])

    def containers(
        self, name: str, *, fetch: Json, build: Json, push: Json | None = None, phase: str = "Pending", **more: Any
    ) -> None:
        """States of the containers, on a node. Unless it is given, that of `push` follows from the builder's."""
        code = build.get("terminated", {}).get("exitCode")
        push = push or (build if code is None else ended(1 if code else 0))

        def of(container: str, state: Json) -> Json:
            return {"name": container, "state": state, "image": "i", "imageID": "", "ready": False, "restartCount": 0}

        scheduled = {"type": "PodScheduled", "status": "True"}
        self.status(
            name,
            **{
                "phase": phase,
                "conditions": [scheduled],
                "startTime": time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime()),
                "containerStatuses": [of("fetch", fetch), of("builder", build), of("push", push)],
                **more,
            },
        )

    def event(self, pod: Json, reason: str, message: str, count: int = 1) -> None:
        """An event about the pod."""
        metadata = pod["metadata"]
        about = {"kind": "Pod", "namespace": self.name, "name": metadata["name"], "uid": metadata["uid"]}
        now = time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime())
        event = {
            "metadata": {"generateName": f"{metadata['name']}."},
            "involvedObject": about,
            "reason": reason,
            "message": message,
            "count": count,
            "firstTimestamp": now,
            "lastTimestamp": now,
            "type": "Warning",
        }
        self.server.request("POST", self.path("events"), event)

    def daemon(self, node: str = "node-1", *, ready: bool = True, name: str = "docker-api-1") -> None:
        """A docker-api pod on a node."""
        labels = {"app.kubernetes.io/component": "docker-api"}
        pod = {
            "metadata": {"name": name, "labels": labels},
            "spec": {"nodeName": node, "containers": [{"name": "docker-api", "image": "i"}]},
        }
        self.server.request("POST", self.path("pods"), pod)
        self.daemon_ready(ready, name)

    def daemon_ready(self, ready: bool, name: str = "docker-api-1") -> None:
        """Whether the daemon is."""
        reason = {} if ready else {"reason": "ContainersNotReady"}
        condition = {"type": "Ready", "status": "True" if ready else "False", **reason}
        self.status(name, phase="Running", conditions=[condition])

    def delete(self, name: str, grace: int = 0) -> None:
        """Delete a pod."""
        self.server.request("DELETE", self.path("pods", name), {"gracePeriodSeconds": grace})


RUNS: Json = {"running": {"startedAt": "2026-01-01T00:00:00Z"}}
WAITS: Json = {"waiting": {"reason": "PodInitializing"}}


def ended(code: int, reason: str = "") -> Json:
    """A container's state after its end."""
    return {"terminated": {"exitCode": code, "reason": reason or ("Completed" if code == 0 else "Error")}}


@contextmanager
def serving(folder: Path) -> Iterator[ApiServer]:
    """The two processes, with their data in `folder`."""
    server, processes = _started(folder)
    try:
        yield server
    finally:
        _end(processes, folder)


def _started(folder: Path) -> tuple[ApiServer, list[subprocess.Popen[bytes]]]:
    """The processes on free ports; other ones where somebody else takes a port before they do."""
    for attempt in range(1, ATTEMPTS + 1):
        client, peer, port = free_port(), free_port(), free_port()
        server, processes = ApiServer(f"https://127.0.0.1:{port}"), list[subprocess.Popen[bytes]]()
        try:
            for command in _commands(folder, client, peer, port):
                with (folder / f"{Path(command[0]).name}.log").open("wb") as log:
                    processes.append(subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=log, stderr=log))
            until(lambda: _answers(server) or _runs(processes, folder), "the API server")  # noqa: B023 - called here
            break
        except BaseException as failed:
            _end(processes, folder)
            if attempt == ATTEMPTS or "address already in use" not in str(failed):
                raise
    return server, processes


def _end(processes: list[subprocess.Popen[bytes]], folder: Path) -> None:
    for process in reversed(processes):
        process.kill()  # it would wait for its open watches
        process.wait()
    shutil.rmtree(folder / "etcd", ignore_errors=True)


def _commands(folder: Path, client: int, peer: int, port: int) -> tuple[list[str], list[str]]:
    """Of etcd and the API server."""
    programs = go_tools.folder()
    key = rsa.generate_private_key(public_exponent=65537, key_size=2048)
    signing = folder / "sa.key"
    signing.write_bytes(
        key.private_bytes(
            serialization.Encoding.PEM, serialization.PrivateFormat.TraditionalOpenSSL, serialization.NoEncryption()
        )
    )
    tokens = folder / "tokens.csv"
    tokens.write_text(f"{TOKEN},admin,admin,system:masters\n")
    etcd = f"http://127.0.0.1:{client}"
    return (
        [
            f"{programs}/server",
            f"--data-dir={folder}/etcd",
            f"--listen-client-urls={etcd}",
            f"--advertise-client-urls={etcd}",
            f"--listen-peer-urls=http://127.0.0.1:{peer}",
            f"--initial-advertise-peer-urls=http://127.0.0.1:{peer}",
            f"--initial-cluster=default=http://127.0.0.1:{peer}",
            "--unsafe-no-fsync",
        ],
        [
            f"{programs}/kube-apiserver",
            f"--etcd-servers={etcd}",
            "--bind-address=127.0.0.1",
            "--advertise-address=192.0.2.1",  # it must not be of the loopback, and nobody uses it
            f"--secure-port={port}",
            "--allow-privileged=true",  # as on every cluster where docker-api pods run
            f"--cert-dir={folder}/certificates",
            f"--token-auth-file={tokens}",
            "--authorization-mode=AlwaysAllow",
            "--disable-admission-plugins=ServiceAccount,TaintNodesByCondition",
            "--service-cluster-ip-range=10.0.0.0/24",
            "--service-account-issuer=https://test.invalid",
            f"--service-account-key-file={signing}",
            f"--service-account-signing-key-file={signing}",
        ],
    )


def _runs(processes: list[subprocess.Popen[bytes]], folder: Path) -> bool:
    for process in processes:
        assert process.poll() is None, (folder / f"{Path(str(process.args[0])).name}.log").read_text()[-2000:]  # type: ignore[index]
    return False


def _answers(server: ApiServer) -> bool:
    try:
        server.request("GET", "/api/v1/namespaces/default")
    except (OSError, urllib.error.HTTPError):
        return False
    return True


Condition = Callable[[], Any]
