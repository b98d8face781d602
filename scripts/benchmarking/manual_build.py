"""The same command without BinderHub: a pod made by hand, with one container that fetches, builds and pushes."""

import secrets
import time
from pathlib import PurePosixPath

from common.errors import UserError

from benchmarking.release import Json, Release

ATTESTATIONS = {"name": "BUILDX_NO_DEFAULT_ATTESTATIONS", "value": "1"}


def build(beside: Release, url: str, image: str, prefix: str) -> float:
    """Seconds from making the pod until the API shows that it has succeeded; it uses the daemon of `beside`.

    `image` is that of repo2docker, `prefix` what the pushed image's name begins with. Raises UserError when it fails.
    """
    name = f"by-hand-{secrets.token_hex(4)}"
    pod = _pod(beside, name, url, image, f"{prefix}{name}:1")
    begin = time.monotonic()
    made = beside.api.create(f"{beside.path}/pods", pod)
    watch = beside.api.watch(
        f"{beside.path}/pods",
        fieldSelector=f"metadata.name={name}",
        resourceVersion=made["metadata"]["resourceVersion"],
    )
    for change in watch:
        phase = change["object"].get("status", {}).get("phase")
        if phase in ("Succeeded", "Failed"):
            seconds = time.monotonic() - begin
            beside.api.delete(f"{beside.path}/pods/{name}")
            if phase == "Succeeded":
                return seconds
            break
    raise UserError(
        f"The pod made by hand did not build {url}.", "Look at the cluster's events and the registry's log."
    )


def _pod(beside: Release, name: str, url: str, image: str, pushed: str) -> Json:
    options = ["--no-clean", "--no-run", "--json-logs", "--user-name=jovyan", "--user-id=1000", "--push"]
    args = ["jupyter-repo2docker", "--ref=main", f"--image={pushed}", *options, url]
    return daemon_pod(beside, name, image, {"args": args}, [ATTESTATIONS])


def daemon_pod(beside: Release, name: str, image: str, runs: Json, env: list[Json]) -> Json:
    """A pod on the node of `beside`, with the socket of its daemon and its login for the registry.

    `runs` has the container's command or arguments. Where the daemon listens and what the push Secret is called,
    BinderHub's own pod says.
    """
    (binderhub, *_) = beside.pods("app.kubernetes.io/component=binderhub")
    told = {one["name"]: one.get("value", "") for one in binderhub["spec"]["containers"][0]["env"]}
    socket = PurePosixPath(told["DOCKER_API_SOCKET"])
    return {
        "apiVersion": "v1",
        "kind": "Pod",
        "metadata": {"name": name, "labels": {"component": "benchmark"}},
        "spec": {
            "restartPolicy": "Never",
            "automountServiceAccountToken": False,
            "nodeSelector": {"kubernetes.io/hostname": beside.node},
            "tolerations": [{"operator": "Exists", "effect": "NoSchedule"}],
            "containers": [
                {
                    "name": "builder",
                    "image": image,
                    **runs,
                    "env": [{"name": "DOCKER_HOST", "value": f"unix:///run/docker-api/{socket.name}"}, *env],
                    "volumeMounts": [
                        {"name": "docker-api", "mountPath": "/run/docker-api", "readOnly": True},
                        {"name": "config", "mountPath": "/root/.docker/config.json", "subPath": "config.json"},
                    ],
                }
            ],
            "volumes": [
                {"name": "docker-api", "hostPath": {"path": str(socket.parent), "type": "Directory"}},
                {"name": "config", "secret": {"secretName": told["PUSH_SECRET_NAME"]}},
            ],
        },
    }
