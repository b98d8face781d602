"""A Git host whose certificate a private authority signed: refused with a reason, then trusted by one value."""

import ssl
from collections.abc import Iterator
from dataclasses import dataclass

import pytest
import trustme
from demonstration.target import Target
from local_cluster.layout import GATEWAY
from support.git_servers import serving
from support.release import WAY_TO_THIS_MACHINE, Release, released, values

pytestmark = pytest.mark.local

DOCKERFILE = "FROM scratch\nCOPY Dockerfile /\n"


@dataclass(frozen=True)
class Host:
    """A Git host."""

    url: str
    """Of its one repository."""
    commit: str
    authority: str
    """The certificate of the authority that signed its own, as PEM."""


@pytest.fixture(scope="module")
def host(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Host]:
    authority = trustme.CA(organization_name="binderhub-service tests")
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    authority.issue_cert(GATEWAY).configure_cert(context)
    with serving(tmp_path_factory.mktemp("git") / "served", GATEWAY, None, context) as server:
        commit = server.repository("project.git", dockerfile=DOCKERFILE)
        yield Host(f"https://{server.host}/project.git", commit, authority.cert_pem.bytes().decode())


@pytest.fixture(scope="module")
def shared(cluster: Target) -> Iterator[Release]:
    with released(cluster, WAY_TO_THIS_MACHINE) as release:
        yield release


def test_a_host_that_is_not_trusted_is_a_reason(shared: Release, host: Host) -> None:
    """A commit is not asked for by BinderHub itself, so that it is the build pod that finds out."""
    with values(shared, {}) as release:
        release.answer(host.url, host.commit).failed("BHS107")


def test_one_value_has_binderhub_and_build_pods_trust_it(shared: Release, host: Host) -> None:
    with values(shared, {"certificateAuthorities": {"git": host.authority}}) as release:
        assert release.answer(host.url, "main").end["phase"] == "ready"
