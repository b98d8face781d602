"""Faults before the build: no node, no daemon, something that is mounted and missing."""

import pytest
from support.release import Release, values

pytestmark = pytest.mark.local


def test_3_no_node_fits(shared: Release) -> None:
    with values(shared, {"config": {"KubernetesBuildExecutor": {"node_selector": {"no": "node"}}}}) as release:
        answer = release.answer("fails-in-a-step")
        answer.failed("BHS301")
        assert "didn't match Pod's node affinity/selector" in answer.text("waiting")
        assert 10 <= answer.seconds < 20


def test_3_no_daemon_is_ready(shared: Release) -> None:
    with values(shared, {"dockerApi": {"nodeSelector": {"no": "node"}}}) as release:
        answer = release.answer("fails-in-a-step")
        assert "10 s" in answer.failed("BHS302")
        assert "there is no docker-api pod on node" in answer.text("waiting")
        assert 10 <= answer.seconds < 30


def test_4_a_secret_that_is_missing(shared: Release) -> None:
    changes = {"extraConfig": {"zz": 'c.KubernetesBuildExecutor.push_secret = "none-such"'}}
    with values(shared, changes) as release:
        answer = release.answer("fails-in-a-step")
        assert "none-such" in answer.failed("BHS401")
        assert 30 <= answer.seconds < 50
