"""Faults of the build image."""

import pytest
import yaml
from common.paths import CHART
from demonstration.target import Target
from local_cluster.layout import GATEWAY
from support.release import Answer, Release, released, together, values
from support.slow_registry import slow_image

pytestmark = pytest.mark.local

SLOW_SECONDS = 50.0
"""More than a missing image is given, and than the tests' `buildPods.startTimeoutSeconds`."""


@pytest.mark.parametrize(
    ("image", "code"),
    [("quay.io/Not/valid:1", "BHS201"), ("quay.io/jupyterhub/repo2docker:there-is-none", "BHS202")],
)
def test_2_the_build_image(shared: Release, image: str, code: str) -> None:
    with values(shared, build_image(image)) as release:
        answer = release.answer("fails-in-a-step")
        answer.failed(code)
        assert answer.seconds < (10 if code == "BHS201" else 60)


def test_2_a_registry_that_is_away_and_one_that_is_slow(shared: Release, cluster: Target) -> None:
    """Two releases at a time: the one takes two minutes to fail, the other must not."""
    nowhere = f"{GATEWAY.rpartition('.')[0]}.199:5000/repo2docker:1"
    image = yaml.safe_load((CHART / "values.yaml").read_text())["config"]["KubernetesBuildExecutor"]["build_image"]

    def away() -> Answer:
        with values(shared, build_image(nowhere)) as release:
            return release.answer("fails-in-a-step")

    def slow() -> Answer:
        with (
            slow_image(image, GATEWAY, SLOW_SECONDS) as name,
            released(cluster, build_image(name)) as other,
            other.reached() as release,
        ):
            answer = release.answer("one-file")
            release.nothing_left()
            return answer

    failed, built = together(away, slow)
    what = failed.failed("BHS203")
    assert nowhere in what
    assert "no route to host" in what
    assert "cannot be pulled yet, trying again" in failed.text("waiting")
    assert 120 <= failed.seconds < 140
    assert built.end["phase"] == "ready"
    assert built.seconds > SLOW_SECONDS
    assert "Pulling the build image on node" in built.text("waiting")


def build_image(name: str) -> dict[str, object]:
    """The values that set it."""
    return {"config": {"KubernetesBuildExecutor": {"build_image": name}}}
