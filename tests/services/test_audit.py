"""One line of JSON for each request and for each build: who, what, where, and how it ended."""

import json
from typing import Any
from urllib.parse import quote

from services.test_binderhub_auth import CONFIG as AUTH
from services.test_binderhub_auth import FORBIDDEN, hub  # noqa: F401 - a fixture
from services.test_requests import failed, line, until_event
from support.binderhub import Service, new_ref, until
from support.executor_setting import DIGEST, URL, Setting
from support.jupyterhub import Hub


def told(service: Service, what: str, count: int = 1) -> list[dict[str, Any]]:
    """The audit's lines of one kind, waited for: a line comes when its request is over."""

    def read() -> list[dict[str, Any]]:
        rows = [row.partition(" audit ")[2] for row in service.log.read_text().splitlines()]
        return [told for told in map(json.loads, filter(None, rows)) if told["what"] == what]

    found: list[dict[str, Any]] = until(lambda: (rows := read()) and len(rows) >= count and rows, f"{count} of {what}")
    assert len(found) == count
    return found


def test_the_audit_line_names_the_user(setting: Setting, hub: Hub) -> None:  # noqa: F811
    ref, path = new_ref(), f"{quote(URL, safe='')}/"
    with setting.restart(AUTH, **hub.environment(JUPYTERHUB_SERVICE_NAME="binder")) as service:
        with service.build(path + ref, headers={"Authorization": f"token {hub.people.ada}"}) as stream:
            pod, _ = setting.start()
            setting.finish(pod)
            assert stream.rest()[-1]["phase"] == "ready"
        assert service.events(path + new_ref(), headers={"Authorization": "token unknown"}) == FORBIDDEN
        (request,) = told(service, "request")
        (build,) = told(service, "build")
        assert hub.people.ada not in service.log.read_text()
    same = {
        "repo": URL,
        "ref": ref,
        "image": pod["metadata"]["annotations"]["binder-image"],
        "name": pod["metadata"]["name"],
        "node": "node-1",
        "digest": DIGEST,
        "code": "",
    }
    for row, more in (
        (request, {"what": "request", "who": "ada", "outcome": "ready"}),
        (build, {"what": "build", "outcome": "built"}),
    ):
        assert 0 < row.pop("seconds") < 60
        assert row == {**same, **more}


def test_the_audit_line_has_no_user_without_authentication(setting: Setting) -> None:
    with setting.build() as stream:
        pod, log = setting.start()
        log.print(line("Step 1\n"))
        until_event(stream, "Step 1")
        setting.namespace.delete(pod["metadata"]["name"])
        code = failed(stream.rest())["code"]
    (request,) = told(setting.service, "request")
    (build,) = told(setting.service, "build")
    assert (request["who"], request["outcome"], request["code"]) == ("", "failed", code)
    assert (build["outcome"], build["code"], build["node"]) == ("failed", code, "node-1")


def test_each_viewer_is_a_request_and_one_that_leaves_is_told(setting: Setting) -> None:
    ref = new_ref()
    with setting.build(ref) as stays:
        pod, log = setting.start()
        with setting.build(ref) as leaves:
            log.print(line("Step 1\n"))
            until_event(leaves, "Step 1")
        (left,) = told(setting.service, "request")
        setting.finish(pod)
        assert stays.rest()[-1]["phase"] == "ready"
    assert [row["outcome"] for row in told(setting.service, "request", 2)] == ["left", "ready"]
    assert (left["name"], left["code"]) == (pod["metadata"]["name"], "")
    assert len(told(setting.service, "build")) == 1
