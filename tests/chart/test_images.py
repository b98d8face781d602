"""Images by tag and by digest, the same way for each."""

from typing import Any

import pytest
from chart_values.rendering import Chart, Objects
from common.errors import UserError

DIGEST = "sha256:" + "0123456789abcdef" * 4
CERTIFICATE = {"server": "r.example.org", "certificateAuthority": "-----BEGIN CERTIFICATE-----"}


def images(objects: Objects) -> list[str]:
    """The image of each container of the chart, in all its pods."""
    specs = [found["spec"]["template"]["spec"] for found in objects if found["kind"] in ("Deployment", "DaemonSet")]
    return [one["image"] for spec in specs for one in (*spec.get("initContainers", []), *spec["containers"])]


def test_an_image_may_have_a_digest_behind_its_tag(chart: Chart) -> None:
    values: dict[str, Any] = {
        "registry": CERTIFICATE,
        "image": {"repository": "r/binderhub", "tag": f"1@{DIGEST}"},
        "dockerApi": {"image": {"repository": "r/docker", "tag": f"29-dind@{DIGEST}"}},
    }
    assert set(images(chart.render(values))) == {f"r/binderhub:1@{DIGEST}", f"r/docker:29-dind@{DIGEST}"}


@pytest.mark.parametrize("tag", ["", "a b", "1@sha256:abc", f"1@sha512:{'0' * 64}", DIGEST, "r/i:1"])
def test_an_invalid_tag_is_refused(chart: Chart, tag: str) -> None:
    with pytest.raises(UserError, match="tag"):
        chart.render({"dockerApi": {"image": {"tag": tag}}})
