"""Faults on both sides at the same time: seconds from each fault to the end of the stream."""

import base64
import json
import re
import threading
import time
from collections.abc import Callable
from functools import partial
from typing import Any

from common.errors import UserError
from common.progress import step

from benchmarking.api_proxy import until
from benchmarking.release import Release
from benchmarking.rows import CUT_SECONDS
from benchmarking.setup import Bench, at_once

BEFORE_SECONDS = 25
"""Within so long after a request its fault has come; a stream is cut that much later."""
DAEMON = "app.kubernetes.io/component=docker-api"
SECRET = "build-pods-docker-config"  # noqa: S105 - the name of an object

STEP = re.compile(r"exit code: 3")
SPEAKS = re.compile(r"second 2\b")
REFUSED = re.compile(r"(?i)unauthorized|denied|no basic auth")
UNKNOWN = re.compile(r"(?i)no such host|server misbehaving|dial tcp: lookup")

Json = dict[str, Any]
Ends = dict[str, float | None]


class Stream:
    """A request whose build will fail, followed in a thread."""

    def __init__(
        self, release: Release, url: str, fault: re.Pattern[str] | None, do: Callable[[], None] | None
    ) -> None:
        """The fault is there when a message matches `fault`, and `do` brings it then; without it, from the start."""
        self._release, self._url, self._pattern, self._do = release, url, fault, do
        self.seconds: float | None = None
        self.met = threading.Event()
        """Set when the fault has come."""
        self._since = 0.0
        self._wrong: BaseException | None = None
        self._thread = threading.Thread(target=self._run, daemon=True)
        if not fault:
            self._meet()
        self._thread.start()

    def end(self) -> float | None:
        """Wait for it: seconds from the fault, or None where the stream was still open.

        Raises UserError where it ended well, or the fault never came.
        """
        self._thread.join()
        if self._wrong:
            raise self._wrong
        return self.seconds

    def _meet(self) -> None:
        self._since = time.monotonic()
        if self._do:
            self._do()
        self.met.set()

    def _told(self, event: Json) -> None:
        if self._pattern and not self.met.is_set() and self._pattern.search(str(event.get("message"))):
            self._meet()

    def _run(self) -> None:
        try:
            end = self._release.tell(self._url, CUT_SECONDS + (BEFORE_SECONDS if self._pattern else 0), self._told)
            if not end["cut"] and (end["phase"] == "ready" or not self.met.is_set()):
                raise UserError(
                    f"A build of {self._release.executor} that was to fail ended with {end['phase']}: {end['message']}",
                    "This is a mistake of the benchmark: please report it.",
                )
            if not end["cut"]:
                self.seconds = time.monotonic() - self._since
        except BaseException as wrong:
            self._wrong = wrong
            self.met.set()


class Pair:
    """The same fault on both sides."""

    def __init__(
        self,
        bench: Bench,
        releases: dict[str, Release],
        kind: str,
        fault: re.Pattern[str] | None = None,
        do: Callable[[Release], None] | None = None,
    ) -> None:
        """`kind` is that of the repository; `do` brings the fault when a line matches `fault`."""
        self._streams = {
            side: Stream(release, bench.url(kind), fault, partial(do, release) if do else None)
            for side, release in releases.items()
        }

    def met(self) -> None:
        """Wait until the fault has come on both sides, or will not."""
        for stream in self._streams.values():
            stream.met.wait(BEFORE_SECONDS)

    def ends(self) -> Ends:
        """See Stream.end."""
        return {side: stream.end() for side, stream in self._streams.items()}


def faults(bench: Bench) -> dict[str, Ends]:
    """All faults. Those that need other values have releases of their own, which go with the rest."""
    variants: dict[str, Json] = {
        "image": {"config": {"KubernetesBuildExecutor": {"build_image": f"{bench.image}-that-nobody-made"}}},
        "node": {
            "builders": {"nodeSelector": {"benchmark": "no-such-node"}},
            "buildPods": {"startTimeoutSeconds": 10},
        },
        "registry": {"config": {"BinderHub": {"image_prefix": "registry.invalid/benchmark/"}}},
    }
    found: dict[str, Ends] = {}
    pairs: dict[str, Pair] = {}
    with step("faults that are made on the two releases"):
        both = bench.releases
        pairs["step"] = Pair(bench, both, "fails", STEP)
        pairs["step"].met()
        pairs["pod"] = Pair(bench, both, "speaks", SPEAKS, _delete_pods)
        pairs["pod"].met()
        pairs["daemon"] = Pair(bench, both, "speaks", SPEAKS, _delete_daemon)
        pairs["daemon"].met()
        until(lambda: all(_daemon_ready(release) for release in both.values()), "docker-api pod that is ready")
        kept = {side: bench.api.get(f"{release.path}/secrets/{SECRET}") for side, release in both.items()}
        for side, release in both.items():
            _put(release, {**kept[side], "data": {**kept[side]["data"], "config.json": _wrong(kept[side])}})
        pairs["refused"] = Pair(bench, both, "quick", REFUSED)
        pairs["refused"].met()
        for release in both.values():
            bench.api.delete(f"{release.path}/secrets/{SECRET}")
        pairs["secret"] = Pair(bench, both, "quick")
        found |= {name: pair.ends() for name, pair in pairs.items()}
        for side, release in both.items():
            bench.api.create(f"{release.path}/secrets", _bare(kept[side]))
    with step(f"installing {2 * len(variants)} releases more, for faults that need other values"):
        made = dict(
            zip(variants, at_once([partial(bench.add, f"{name}-", variants[name]) for name in variants]), strict=True)
        )
    with step("faults that need other values"):
        lines = {"registry": UNKNOWN}
        pairs = {name: Pair(bench, made[name], "quick", lines.get(name)) for name in variants}
        found |= {name: pair.ends() for name, pair in pairs.items()}
    return found


def _delete_pods(release: Release) -> None:
    for pod in release.pods():
        if "speaks" in json.dumps(pod["spec"]):
            release.api.delete(f"{release.path}/pods/{pod['metadata']['name']}")


def _delete_daemon(release: Release) -> None:
    for pod in release.pods(DAEMON):
        release.api.delete(f"{release.path}/pods/{pod['metadata']['name']}", grace=1)


def _daemon_ready(release: Release) -> bool:
    return any(
        not pod["metadata"].get("deletionTimestamp")
        and any(one["type"] == "Ready" and one["status"] == "True" for one in pod["status"].get("conditions", []))
        for pod in release.pods(DAEMON)
    )


def _put(release: Release, secret: Json) -> None:
    release.api.replace(f"{release.path}/secrets/{SECRET}", secret)


def _bare(secret: Json) -> Json:
    """The object as it was created, without what the API server added."""
    metadata = {key: secret["metadata"][key] for key in ("name", "labels", "annotations") if key in secret["metadata"]}
    return {"metadata": metadata, "type": secret["type"], "data": secret["data"]}


def _wrong(secret: Json) -> str:
    """The Secret's docker config with passwords that are not the registry's, as a Secret has it."""
    config = json.loads(base64.b64decode(secret["data"]["config.json"]))
    for host, entry in config["auths"].items():
        user = base64.b64decode(entry["auth"]).decode().partition(":")[0]
        config["auths"][host] = {"auth": base64.b64encode(f"{user}:wrong".encode()).decode()}
    return base64.b64encode(json.dumps(config).encode()).decode()
