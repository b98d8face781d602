"""Faults of the push, by a registry that refuses, each at the time of the others: docker itself tries for 50 s."""

from collections.abc import Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from typing import Any

import pytest
from demonstration.target import Target
from local_cluster.layout import GATEWAY, REGISTRY_ADDRESS
from support.git_servers import serving
from support.refusing_registry import Refusal, Refusing, refusing
from support.release import WAY_TO_THIS_MACHINE, Answer, Release, released, values

pytestmark = pytest.mark.local

PAGE = "<html>\r\n<head><title>{0}</title></head>\r\n<body>\r\n<center><h1>{0}</h1></center>\r\n</body>\r\n</html>\r\n"

# By a word in the image's name, which comes from the repository's URL.
REFUSALS = {
    "forbidden": (Refusal(403), "BHS601", "403"),
    "toolarge": (
        Refusal(413, PAGE.format("413 Request Entity Too Large"), at_layer=True),
        "BHS602",
        "Entity Too Large",
    ),
    "toomany": (
        Refusal(429, '{"errors":[{"code":"TOOMANYREQUESTS","message":"You have reached your rate limit."}]}'),
        "BHS603",
        "rate limit",
    ),
    "gateway": (Refusal(502, PAGE.format("502 Bad Gateway")), "BHS607", "502 Bad Gateway"),
    "reset": (Refusal(0, at_layer=True), "BHS607", "connection reset by peer"),
}


@pytest.fixture(scope="module")
def registry() -> Iterator[Refusing]:
    with refusing(GATEWAY) as told:
        told.refusals.update({word: refusal for word, (refusal, _, _) in REFUSALS.items()})
        yield told


@pytest.fixture(scope="module")
def answers(
    cluster: Target, registry: Refusing, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[dict[str, Future[Answer]]]:
    """The streams of all requests, begun together."""
    changes: dict[str, Any] = {
        **WAY_TO_THIS_MACHINE,
        "registry": {"server": registry.host, "certificateAuthority": registry.authority},
        "config": {
            "BinderHub": {"image_prefix": f"{registry.host}/"},
            "DockerRegistry": {"url": f"https://{registry.host}"},
        },
        "buildPodsRegistryCredentials": {"server": f"https://{registry.host}"},
    }
    with (
        serving(tmp_path_factory.mktemp("refused") / "git", GATEWAY, login=None) as git,
        released(cluster, changes) as release,
        release.reached(),
        ThreadPoolExecutor(len(REFUSALS)) as threads,
    ):
        for word in REFUSALS:
            git.repository(f"{word}.git", dockerfile="FROM scratch\nCOPY README /\n")
        yield {word: threads.submit(release.answer, f"http://{git.host}/{word}.git", "main") for word in REFUSALS}
        release.nothing_left()


@pytest.mark.parametrize("word", REFUSALS)
def test_7_the_push_is_refused(answers: dict[str, Future[Answer]], registry: Refusing, word: str) -> None:
    _, code, says = REFUSALS[word]
    answer = answers[word].result()
    assert says in answer.failed(code)
    # One attempt more where it may help, which goes to the node that has the layers.
    attempts = 2 if code == "BHS607" else 1
    assert ("trying once more on node" in answer.text("waiting")) == (attempts == 2)
    assert registry.tries(word) >= attempts  # docker itself tries some of them again


# With a prefix of its own: an image that a test before this one pushed would be found, and not pushed again.
WRONG = {
    "config": {"BinderHub": {"image_prefix": "registry.lab.test/refused/"}},
    "buildPodsRegistryCredentials": {"password": "wrong"},
}
NOWHERE = {"config": {"BinderHub": {"image_prefix": "nowhere.lab.test/x/"}}}
UNTRUSTED = {"config": {"BinderHub": {"image_prefix": f"{REGISTRY_ADDRESS}/x/"}}}


@pytest.mark.parametrize(("changes", "code"), [(WRONG, "BHS601"), (NOWHERE, "BHS604"), (UNTRUSTED, "BHS605")])
def test_7_the_push_fails(shared: Release, changes: dict[str, Any], code: str) -> None:
    with values(shared, changes) as release:
        release.answer("one-file", "main").failed(code)
