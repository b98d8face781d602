"""What a build pod runs to fetch, against two Git servers: the credential reaches the provider, and nobody else."""

import dataclasses
import os
import subprocess
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest
from binderhub_service.manifests import GIT_FILE, SOURCE, BuildSpec, make_pod, make_secret
from common import virtual_environment
from local_cluster.binderhub_wheel import IMAGE
from support.git_servers import GitServer, serving
from unit.test_manifests import ENGINE, WANTED

REPO2DOCKER = IMAGE.parent / "repo2docker"
USER, PASSWORD = "x-token", "t0ps3cret"
LOGIN = f"{USER}:{PASSWORD}"


@pytest.fixture(scope="module")
def repo2docker() -> Path:
    """An interpreter that has it, as in the image of builds."""
    return virtual_environment.make(REPO2DOCKER / "requirements.lock", "repo2docker") / "bin" / "python"


@dataclass
class Fetch:
    """Two servers, and a pod's fetch of a repository of the first."""

    provider: GitServer
    hostile: GitServer
    python: Path
    folder: Path

    def run(self, name: str, commit: str, **env: str) -> subprocess.CompletedProcess[str]:
        """The command and the environment of the pod's container, with this machine's paths; `env` over them."""
        repo = f"http://{self.provider.host}/{name}"
        wanted: BuildSpec = dataclasses.replace(
            WANTED,
            repo=repo,
            ref=commit,
            repo2docker=["jupyter-repo2docker", f"--ref={commit}", "--image=r.example/i:1"],
            git_credentials=f"username={USER}\\npassword={PASSWORD}",
        )
        pod = make_pod(wanted, ENGINE, "p")
        pod["metadata"]["uid"] = "u"
        made = make_secret(wanted, pod)
        assert made
        credential = self.folder / "credential"
        credential.write_text(made["stringData"]["git-credential"])
        container, *_ = pod["spec"]["containers"]
        interpreter, *arguments = container["args"]
        assert interpreter == "python3"
        given = {one["name"]: one["value"].replace(GIT_FILE, str(credential)) for one in container["env"]}
        return subprocess.run(
            [str(self.python), *(str(self.source) if one == SOURCE else one for one in arguments)],
            cwd=REPO2DOCKER,  # with the configuration that the image has
            env={"PATH": os.environ["PATH"], "HOME": str(self.folder), **given, **env},
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            check=False,
            timeout=60,
        )

    @property
    def source(self) -> Path:
        """Where the repository is fetched to."""
        return self.folder / "source"


@pytest.fixture(params=["127.0.0.2", "127.0.0.1"], ids=["other-host", "other-port"])
def fetch(request: pytest.FixtureRequest, repo2docker: Path, tmp_path: Path) -> Iterator[Fetch]:
    with (
        serving(tmp_path / "provider", "127.0.0.1", LOGIN) as provider,
        serving(tmp_path / "hostile", request.param) as hostile,
    ):
        yield Fetch(provider, hostile, repo2docker, tmp_path)


def nothing_leaked(fetch: Fetch) -> None:
    """The provider got the credential; the other was asked for something, and was not shown it in any way."""
    assert LOGIN in fetch.provider.logins()
    assert fetch.hostile.asked
    assert not [login for login in fetch.hostile.logins() if PASSWORD in login]
    assert PASSWORD not in str(fetch.hostile.asked)


def test_a_private_repository_with_a_private_submodule_of_the_provider(fetch: Fetch) -> None:
    inner = fetch.provider.repository("sub.git")
    commit = fetch.provider.repository("project.git", "../sub.git", inner)
    done = fetch.run("project.git", commit)
    assert done.returncode == 0, done.stdout + done.stderr
    assert (fetch.source / "sub" / "README").exists()
    assert set(fetch.provider.logins()) == {LOGIN}
    assert PASSWORD not in done.stdout + done.stderr


@pytest.mark.parametrize(
    "url",
    [
        "http://{hostile}/sub.git",
        "http://{provider}@{hostile}/sub.git",
        f"http://{USER}@{{hostile}}/sub.git",
        "http://{provider}/moved/sub.git",
        f"http://{USER}@{{provider}}/moved/sub.git",
    ],
    ids=["plain", "provider-as-user", "user-of-the-credential", "redirect", "redirect-with-user"],
)
def test_a_submodule_from_elsewhere_gets_nothing(fetch: Fetch, url: str) -> None:
    fetch.provider.redirects["moved"] = f"http://{fetch.hostile.host}"
    inner = fetch.hostile.repository("sub.git")
    address = url.format(hostile=fetch.hostile.host, provider=fetch.provider.host)
    commit = fetch.provider.repository("project.git", address, inner)
    done = fetch.run("project.git", commit)
    assert (fetch.source / "README").read_text() == f"project.git of {fetch.provider.host}\n", done.stderr
    nothing_leaked(fetch)


def test_a_repository_that_the_provider_redirects_elsewhere(fetch: Fetch) -> None:
    fetch.provider.redirects["moved"] = f"http://{fetch.hostile.host}"
    commit = fetch.hostile.repository("project.git")
    fetch.run("moved/project.git", commit)
    nothing_leaked(fetch)


def test_the_servers_would_notice(fetch: Fetch) -> None:
    """A helper for any host, which is what the pod does not have, gives the credential to the other server."""
    inner = fetch.hostile.repository("sub.git")
    commit = fetch.provider.repository("project.git", f"http://{fetch.hostile.host}/sub.git", inner)
    fetch.run("project.git", commit, GIT_CONFIG_KEY_1="credential.helper")
    assert LOGIN in fetch.hostile.logins()
