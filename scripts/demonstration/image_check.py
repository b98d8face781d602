"""Prove that the image works: run a pod from it, on another node than the one that built it."""

import base64
import json
import secrets
import time
from dataclasses import dataclass

from common.errors import UserError

from demonstration.release import NAMESPACE
from demonstration.target import Target

START_SECONDS = 180


@dataclass(frozen=True)
class Ran:
    """The result of the pod."""

    node: str
    digest: str
    said: str


def build_node(target: Target) -> str:
    """The node of the newest build pod; empty while there is none that has a node."""
    pods = target.get("pods", f"--namespace={NAMESPACE}", "--selector=component=binderhub-build")["items"]
    placed = [pod for pod in pods if pod["spec"].get("nodeName")]
    newest = max(placed, key=lambda pod: str(pod["metadata"]["creationTimestamp"]), default=None)
    return str(newest["spec"]["nodeName"]) if newest else ""


def run_elsewhere(target: Target, image: str, builder: str) -> Ran:
    """Run a pod from `image` on a node that is not `builder`, if the cluster has one, and say what it did.

    Raises UserError when the pod has not begun to run within three minutes, or when it ends with an error.
    """
    name = f"from-image-{secrets.token_hex(3)}"
    several = len(target.get("nodes")["items"]) > 1
    objects = [_login(target, name), _pod(name, image, avoid=builder if several else "")]
    target.run(
        target.kubectl, "apply", f"--namespace={NAMESPACE}", "--filename=-",
        given=json.dumps({"apiVersion": "v1", "kind": "List", "items": objects}),
    )  # fmt: skip
    try:
        return _watch(target, name)
    finally:
        target.run(
            target.kubectl, "delete", f"--namespace={NAMESPACE}", "--wait=false", f"pod/{name}", f"secret/{name}"
        )


def _watch(target: Target, name: str) -> Ran:
    deadline = time.monotonic() + START_SECONDS
    while time.monotonic() < deadline:
        pod = target.get(f"pod/{name}", f"--namespace={NAMESPACE}")
        status = pod["status"]
        if status.get("phase") in ("Running", "Succeeded", "Failed") and status.get("containerStatuses"):
            said = target.run(target.kubectl, "logs", f"--namespace={NAMESPACE}", name).strip()
            if status["phase"] == "Failed":
                raise UserError(f"The pod from the image failed. Its log:\n{said}", "Fix the image's command.")
            if status["phase"] == "Succeeded" or said:
                digest = status["containerStatuses"][0]["imageID"].rpartition("@")[2]
                return Ran(pod["spec"]["nodeName"], digest, said.splitlines()[0] if said else "")
        time.sleep(0.5)
    events = target.run(target.kubectl, "events", f"--namespace={NAMESPACE}", f"--for=pod/{name}")
    raise UserError(
        f"A pod from the image did not run within {START_SECONDS} s:\n{events}", "Fix the reason that the events give."
    )


def _login(target: Target, name: str) -> dict[str, object]:
    login = {"auths": {target.host: {"username": target.username, "password": target.password}}}
    return {
        "apiVersion": "v1",
        "kind": "Secret",
        "metadata": {"name": name},
        "type": "kubernetes.io/dockerconfigjson",
        "data": {".dockerconfigjson": base64.b64encode(json.dumps(login).encode()).decode()},
    }


def _pod(name: str, image: str, *, avoid: str) -> dict[str, object]:
    term = {"matchFields": [{"key": "metadata.name", "operator": "NotIn", "values": [avoid]}]}
    elsewhere = {"nodeAffinity": {"requiredDuringSchedulingIgnoredDuringExecution": {"nodeSelectorTerms": [term]}}}
    return {
        "apiVersion": "v1",
        "kind": "Pod",
        "metadata": {"name": name},
        "spec": {
            "restartPolicy": "Never",
            "automountServiceAccountToken": False,
            "imagePullSecrets": [{"name": name}],
            "terminationGracePeriodSeconds": 0,
            "affinity": elsewhere if avoid else {},
            "containers": [{"name": "main", "image": image}],
        },
    }
