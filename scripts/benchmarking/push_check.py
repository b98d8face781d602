"""Whether the daemon's pushes hang: many small images, from a pod that has the daemon's socket and the login."""

import json
import secrets
import subprocess
import time
from pathlib import Path

from common.errors import UserError
from common.progress import step

from benchmarking.api_proxy import until
from benchmarking.manual_build import ATTESTATIONS, daemon_pod
from benchmarking.result import Pushes
from benchmarking.rows import PUSH_PATIENCE_SECONDS, PUSHES, PUSHES_AT_ONCE, PUSHES_SECONDS
from benchmarking.setup import Bench

PROGRAM = Path(__file__).with_name("push_program.py")


def pushes(bench: Bench) -> Pushes:
    """Push `PUSHES` images through the daemon of our release, `PUSHES_AT_ONCE` at a time, and count.

    Ends after `PUSHES_SECONDS` with what it has. Raises UserError where the pod does not start.
    """
    name = f"pushes-{secrets.token_hex(4)}"
    job = {
        "prefix": f"{bench.target.registry}/{bench.name}-{name}-",
        "pushes": PUSHES,
        "at_once": PUSHES_AT_ONCE,
        "patience": PUSH_PATIENCE_SECONDS,
        "most": PUSHES_SECONDS,
    }
    ours = bench.ours
    command = ["python3", "-c", PROGRAM.read_text(), json.dumps(job)]
    with step(f"{PUSHES} pushes, {PUSHES_AT_ONCE} at a time"):
        ours.api.create(f"{ours.path}/pods", daemon_pod(ours, name, bench.image, {"command": command}, [ATTESTATIONS]))
        until(lambda: ours.api.get(f"{ours.path}/pods/{name}")["status"]["phase"] != "Pending", "pod that pushes")
        begin = time.monotonic()
        lines = _log(bench, name)
        took = time.monotonic() - begin
        ours.api.delete(f"{ours.path}/pods/{name}")
    events = [json.loads(line) for line in lines if line.startswith("{")]
    if not events:
        raise UserError(
            f"The pod {name} pushed nothing:\n{''.join(lines).strip()[-1000:]}",
            "Look at the log of the docker-api pod.",
        )
    return Pushes(
        asked=PUSHES,
        seconds=[event["seconds"] for event in events if not event.keys() & {"hung", "failed"}],
        hung=[event["hung"] for event in events if "hung" in event],
        failed=[event["failed"] for event in events if "failed" in event],
        took=took,
    )


def _log(bench: Bench, name: str) -> list[str]:
    """All lines of its log, once it has ended."""
    target = bench.target
    kubectl = [target.kubectl, "--context", target.context, f"--namespace={bench.ours.namespace}"]
    done = subprocess.run(
        [*kubectl, "logs", "--follow", name],
        env=target.environment(),
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        check=False,
        timeout=PUSHES_SECONDS + 3 * PUSH_PATIENCE_SECONDS,
    )
    return done.stdout.splitlines(keepends=True)
