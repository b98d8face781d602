"""The chart's release: installing it, and reaching BinderHub from here."""

import contextlib
import re
import subprocess
import tempfile
from collections.abc import Iterator
from pathlib import Path

import yaml
from common.errors import UserError
from common.paths import CHART

from demonstration.target import Target

NAMESPACE = "binderhub-demo"
RELEASE = "binderhub-service"


def install(target: Target, image_prefix: str) -> None:
    """Install or upgrade the chart and wait until its pods are ready; raises UserError after five minutes."""
    with tempfile.NamedTemporaryFile("w", suffix=".yaml") as file:  # mode 0600: it holds the registry's password
        yaml.safe_dump(_values(target, image_prefix), file)
        file.flush()
        files = [f"--values={path}" for path in (*target.values, Path(file.name))]
        target.run(
            target.helm, "upgrade", "--install", RELEASE, str(CHART), f"--namespace={NAMESPACE}", "--create-namespace",
            *files, "--wait", "--timeout=5m",
        )  # fmt: skip


@contextlib.contextmanager
def reached(target: Target) -> Iterator[str]:
    """BinderHub's URL on this machine's loopback, for as long as the block runs."""
    command = [target.kubectl, "--context", target.context, f"--namespace={NAMESPACE}", "port-forward"]
    forward = subprocess.Popen(
        [*command, "service/binderhub", ":80"],
        env=target.environment(),
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    )
    assert forward.stdout  # noqa: S101 - asked for above
    try:
        line = forward.stdout.readline()
        port = re.search(r"127\.0\.0\.1:(\d+)", line)
        if not port:
            raise UserError(
                f"kubectl could not forward a port to BinderHub: {line.strip()}",
                f"See `kubectl --namespace {NAMESPACE} get pods`.",
            )
        yield f"http://127.0.0.1:{port[1]}"
    finally:
        forward.terminate()
        forward.communicate()


def _values(target: Target, image_prefix: str) -> dict[str, object]:
    return {
        # A trial, which only a forwarded port and the cluster's pods reach.
        "allowAnonymous": True,
        "registry": {"server": target.host, "username": target.username, "password": target.password},
        "config": {"BinderHub": {"image_prefix": image_prefix, "use_registry": True}},
        # Nobody else builds there, and an upgrade that replaces no daemon is one that Helm 4 waits for in vain.
        "dockerApi": {"updateStrategy": {"type": "RollingUpdate"}},
    }
