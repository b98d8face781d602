"""Hostile repositories built by a release, with secrets planted in all its credentials and looked for afterwards."""

import base64
import io
import json
import secrets
import ssl
import tarfile
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import httpx
import pytest
from demonstration.target import Target
from local_cluster.layout import GATEWAY
from services.test_hostile_repositories import committed, git
from support.git_servers import GitServer, serving
from support.hostile_repositories import FORGED, MARKER, REPOSITORIES, Fill, of
from support.release import WAY_TO_THIS_MACHINE, Answer, Release, released

pytestmark = pytest.mark.local

PRINTS = "FROM docker.io/library/debian:trixie-slim\nCOPY forged /\nRUN cat /forged{end}\n"
READS = """FROM docker.io/library/debian:trixie-slim
RUN env | tee /environment
RUN cat /run/logins/* /run/git-credential/* /run/handover/* ~/.docker/* /run/secrets/* /proc/*/environ \\
    2>/dev/null | tee /seen || true
"""
LONG = f"{FORGED}\n{'[' * 100_000}\n{'x' * 1_000_000}\n"

# By name: what fills the repository, the code that the request fails with (none where the image is built), and a text
# of what happened.
BUILDS: dict[str, tuple[Fill, str, str]] = {
    # Its base image is not in the mirror: the build ends there, after repo2docker has read the repository.
    "shadows": (REPOSITORIES["shadows-python"].fill, "BHS111", "buildpack-deps"),
    "link": (REPOSITORIES["link-0"].fill, "BHS108", "runtime.txt"),
    "link-long": (REPOSITORIES["link-long"].fill, "BHS108", "runtime.txt"),
    "link-folder": (REPOSITORIES["link-folder"].fill, "BHS108", "binder"),
    "forged-runtime": (REPOSITORIES["forged-runtime"].fill, "BHS101", ""),
    "forged-and-fails": (of({"Dockerfile": PRINTS.format(end=" && exit 3"), "forged": LONG}), "BHS101", "exit code 3"),
    "forged-and-built": (of({"Dockerfile": PRINTS.format(end=""), "forged": LONG}), "", ""),
    "reads": (of({"Dockerfile": READS}), "", ""),
}


@dataclass
class Run:
    """A release, its answers, and what was seen of it."""

    release: Release
    canaries: dict[str, str]
    server: GitServer
    answers: dict[str, Answer] = field(default_factory=dict)
    pods: list[Any] = field(default_factory=list)


@pytest.fixture(scope="module")
def run(cluster: Target, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Run]:
    """All repositories built, one after the other; their host gives nothing without the Git token."""
    canaries = {name: f"canary-{secrets.token_hex(12)}" for name in ("git", "registry", "hub")}
    with serving(tmp_path_factory.mktemp("hostile") / "git", GATEWAY, f"x:{canaries['git']}") as server:
        other = base64.b64encode(f"x:{canaries['registry']}".encode()).decode()
        values = {
            **WAY_TO_THIS_MACHINE,
            "config": {"GitRepoProvider": {"git_credentials": f"username=x\npassword={canaries['git']}"}},
            "buildPods": {"gitCredentialHosts": [f"http://{server.host}"]},
            "buildPodsDockerConfig": {"auths": {"canary.example": {"auth": other}}},
            "extraEnv": {"JUPYTERHUB_API_TOKEN": canaries["hub"]},
        }
        with released(cluster, values) as release, release.reached():
            seen = Run(release, {**canaries, "registry-auth": other, "password": cluster.password}, server)
            for name, (fill, _, _) in BUILDS.items():
                seen.answers[name] = _build(seen, tmp_path_factory.mktemp(name), name, fill)
            yield seen
            release.nothing_left()


def _build(run: Run, folder: Path, name: str, fill: Fill) -> Answer:
    fill(folder)
    committed(folder)
    git(folder, "clone", "--quiet", "--bare", str(folder), str(run.server.folder / f"{name}.git"))
    answer = Answer()
    commit = git(folder, "rev-parse", "HEAD")
    for event in run.release.ask(f"http://{run.server.host}/{name}.git", commit):
        answer.events.append(event)
        if len(run.pods) < len(run.answers) + 1:
            run.pods += run.release.pods()[:1]
    return answer


@pytest.mark.parametrize("name", BUILDS)
def test_a_hostile_repository_ends_as_it_must(run: Run, name: str) -> None:
    _, code, says = BUILDS[name]
    answer = run.answers[name]
    if code:
        assert says in answer.failed(code)
    else:
        assert answer.end["phase"] == "ready", answer.end
        assert answer.end["digest"] != "sha256:" + "0" * 64
    assert MARKER not in json.dumps(answer.events)


def test_no_secret_is_in_a_stream(run: Run) -> None:
    nothing_of(run, json.dumps([answer.events for answer in run.answers.values()]))


def test_the_secrets_were_in_use(run: Run) -> None:
    """Otherwise it would say nothing that none was seen."""
    assert f"x:{run.canaries['git']}" in run.server.logins()
    held = json.dumps(run.release.target.get("secrets", f"--namespace={run.release.namespace}"))
    assert base64.b64encode(run.canaries["git"].encode()).decode()[:8] in held or run.canaries["git"] in _decoded(held)
    assert run.canaries["registry-auth"] in _decoded(held)


def test_no_secret_is_in_a_build_pod(run: Run) -> None:
    assert len(run.pods) == len(BUILDS)
    nothing_of(run, json.dumps(run.pods))


def test_no_secret_is_in_binderhubs_log_or_its_metrics(run: Run) -> None:
    target, where = run.release.target, f"--namespace={run.release.namespace}"
    log = target.run(target.kubectl, "logs", where, "deployment/binderhub", "--tail=-1")
    assert "audit " in log
    nothing_of(run, log)
    metrics = httpx.get(f"{run.release.url}/metrics", trust_env=False)
    nothing_of(run, metrics.raise_for_status().text)


@pytest.mark.parametrize("name", [name for name, (_, code, _) in BUILDS.items() if not code])
def test_no_secret_is_in_an_image(run: Run, name: str) -> None:
    target, end = run.release.target, run.answers[name].end
    path = end["imageName"].partition("/")[2].rpartition(":")[0]
    trust = ssl.create_default_context(cafile=str(target.authority))
    base = target.login_url.partition("/v2/")[0]
    with httpx.Client(verify=trust, auth=(target.username, target.password), trust_env=False) as client:
        accept = "application/vnd.oci.image.manifest.v1+json,application/vnd.docker.distribution.manifest.v2+json"
        answer = client.get(f"{base}/v2/{path}/manifests/{end['digest']}", headers={"Accept": accept})
        manifest = answer.raise_for_status().json()
        nothing_of(run, answer.text)
        nothing_of(run, client.get(f"{base}/v2/{path}/blobs/{manifest['config']['digest']}").raise_for_status().text)
        for layer in manifest["layers"][1:]:  # the first is the base image's
            blob = client.get(f"{base}/v2/{path}/blobs/{layer['digest']}").raise_for_status().content
            with tarfile.open(fileobj=io.BytesIO(blob)) as tar:
                for member in tar:
                    file = tar.extractfile(member) if member.isfile() else None
                    nothing_of(run, file.read().decode("utf-8", "replace") if file else "")


def nothing_of(run: Run, text: str) -> None:
    """None of the canaries is in the text."""
    found = [name for name, canary in run.canaries.items() if canary in text]
    assert not found


def _decoded(held: str) -> str:
    data = [value for one in json.loads(held)["items"] for value in (one.get("data") or {}).values()]
    return "\n".join(base64.b64decode(value).decode("utf-8", "replace") for value in data)
