"""Branches of private repositories, by each provider that has them, with the values of the page about them."""

import json
import secrets
import ssl
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any
from urllib.parse import quote

import pytest
import trustme
import yaml
from common.paths import CLONE
from documentation.blocks import read
from local_cluster.layout import GATEWAY
from support.git_servers import GitServer, serving
from support.release import WAY_TO_THIS_MACHINE, Release, merge, values

pytestmark = pytest.mark.local

VALUES = WAY_TO_THIS_MACHINE
PAGE = CLONE / "docs" / "how-to" / "build-private-repositories.md"
DOCKERFILE = "FROM scratch\nCOPY README /\n"
BRANCH, OTHER = "topic/new", "other"


@dataclass(frozen=True)
class Provider:
    """A provider as a request and the page's values name it. In all texts HOST and TOKEN stand for the host's."""

    request: str
    folder: str
    """Of the repository, below the host."""
    login: str
    """What git is to show."""
    blocks: tuple[str, ...]
    """Names of the page's blocks with the values."""
    page_host: str
    """What HOST is on the page."""
    api: str = ""
    """Path of the API's answer about the ref REF."""
    key: str = ""
    """Of the commit in that answer."""

    def values(self, host: str) -> dict[str, Any]:
        """The values of the page, for this host."""
        page = read(PAGE.name, PAGE.read_bytes())
        texts = [block.text for block in page.blocks if block.name in self.blocks]
        assert len(texts) == len(self.blocks)
        found: dict[str, Any] = {}
        for text in texts:
            merge(found, yaml.safe_load(text.replace(self.page_host, host)))
        return found


PROVIDERS = {
    "gh": Provider(
        request="/gh/owner/private",
        folder="owner/private",
        login="TOKEN:x-oauth-basic",
        blocks=("github", "enterprise"),
        page_host="github.example.org",
        api="/api/v3/repos/owner/private/commits/REF",
        key="sha",
    ),
    "gl": Provider(
        request="/gl/group%2Fprivate",
        folder="group/private.git",
        login="binderhub:TOKEN",
        blocks=("gitlab", "own-gitlab"),
        page_host="gitlab.example.org",
        api="/api/v4/projects/group%2Fprivate/repository/commits/REF",
        key="id",
    ),
    "git": Provider(
        request=f"/git/{quote('https://HOST/any/private', safe='')}",
        folder="any/private",
        login="robot:TOKEN",
        blocks=("git",),
        page_host="git.example.org",
    ),
}


@pytest.fixture(scope="module")
def authority() -> trustme.CA:
    return trustme.CA(organization_name="binderhub-service tests")


@pytest.fixture
def host(authority: trustme.CA, tmp_path_factory: pytest.TempPathFactory) -> Iterator[GitServer]:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    authority.issue_cert(GATEWAY).configure_cert(context)
    with serving(tmp_path_factory.mktemp("private") / "git", GATEWAY, context=context) as server:
        server.token = secrets.token_hex(20)
        yield server


def give(release: Release, token: str) -> None:
    """Put the token into the Secret that the page's values name."""
    metadata = {"name": "git-token", "namespace": release.namespace}
    secret = {"apiVersion": "v1", "kind": "Secret", "metadata": metadata, "stringData": {"token": token}}
    target = release.target
    target.run(target.kubectl, "apply", "--server-side", "--force-conflicts", "--filename=-", given=json.dumps(secret))


@pytest.mark.parametrize("name", PROVIDERS)
def test_a_branch_is_built_with_the_token_and_with_another_not(
    shared: Release, host: GitServer, authority: trustme.CA, name: str, request: pytest.FixtureRequest
) -> None:
    if name == "gl" and not request.config.getoption("--binderhub-wheel"):
        pytest.skip("the stand-in has no GitLab; --binderhub-wheel has it")
    provider, token = PROVIDERS[name], host.token
    commit = host.repository(provider.folder, dockerfile=DOCKERFILE, branches=(BRANCH, OTHER))
    for ref in (BRANCH, OTHER):
        host.api[provider.api.replace("REF", quote(ref, safe=""))] = json.dumps({provider.key: commit})
    repository = provider.request.replace("HOST", quote(host.host, safe=""))
    give(shared, token)
    authorities = {"certificateAuthorities": {"git": authority.cert_pem.bytes().decode()}}
    with values(shared, {**provider.values(host.host), **authorities}) as release:
        host.token, host.login = "another", "another:one"
        release.answer(repository, OTHER).failed("BHS909")
        host.token, host.login = token, provider.login.replace("TOKEN", token)
        answer = release.answer(repository, BRANCH)
        assert answer.end["phase"] == "ready", answer.end
        release.answer(repository, "no-such-branch").failed("BHS904")
        assert answer.end["imageName"].endswith(f":{commit}")
        assert host.login in host.logins()
        assert token not in str(answer.events)
        assert token not in release.log()
