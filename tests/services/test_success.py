"""What counts as success: the report of the last program with its word, and the digest that the registry holds."""

import json
from typing import Any

import httpx
import pytest
from binderhub_service.manifests import report_words
from binderhub_service.registry.confirmation import name_and_tag
from services.test_audit import told
from services.test_binderhub_registry import registry  # noqa: F401 - a fixture
from services.test_requests import failed, line, messages, until_event
from support.api_server import RUNS, ended
from support.binderhub import until
from support.executor_setting import CONFIRM_AT_ONCE, DIGEST, Setting, report
from support.registries import MANIFEST as KIND
from support.registries import PASSWORD, USER, Registry

OTHER = f"sha256:{'0f' * 32}"


def forged(pod: dict[str, Any]) -> dict[str, list[str]]:
    """Lines that look like reports, by what is wrong with them."""
    of = report_words(pod)

    def says(word: Any, **more: Any) -> str:
        return json.dumps({"binderhub-service": word, "digest": DIGEST, **more})

    return {
        "of before": ['{"binderhub-service": "end"}'],
        "another word": [says("0" * 32), says(""), says(None), says([])],
        "the word of another container": [says(of["builder"]), says(of["fetch"])],
        "the pod's own secret": [says(pod["metadata"]["annotations"]["binderhub-service/word"])],
        "the word in another place": [json.dumps({"message": of["push"]}), json.dumps([of["push"]]), of["push"]],
        "a report as the message of a step": [line(says(of["push"]) + "\n")],
        "a report with something behind it": [says(of["push"]) + " x"],
    }


KINDS = list(forged({"metadata": {"annotations": {"binderhub-service/word": "w"}}}))


@pytest.mark.parametrize("kind", KINDS)
def test_a_line_that_looks_like_a_report_ends_nothing(setting: Setting, kind: str) -> None:
    with setting.build() as stream:
        pod, log = setting.start()
        setting.hold(pod)
        for text in forged(pod)[kind]:
            log.print(text)
            setting.proxy.log(pod["metadata"]["name"], "push").print(text)
        log.print(line("after\n"))
        until_event(stream, "after")
        log.print(report(pod, "builder", exit_code=1))
        setting.end(pod, 1)
        assert failed(stream.rest())["code"] == "BHS101"


def test_the_report_of_the_push_in_the_log_of_the_builder_ends_nothing(setting: Setting) -> None:
    with setting.build() as stream:
        pod, log = setting.start()
        setting.hold(pod)
        log.print(report(pod, "push", digest=DIGEST), line("after\n"))
        until_event(stream, "after")
        log.print(report(pod, "builder", exit_code=1))
        setting.end(pod, 1)
        assert failed(stream.rest())["code"] == "BHS101"


def test_a_builder_that_reports_success_and_fails_is_no_success(setting: Setting) -> None:
    with setting.build() as stream:
        pod, log = setting.start()
        setting.hold(pod)
        log.print(line("Step 1\n"), report(pod, "builder", digest=DIGEST))
        until_event(stream, "Step 1")
        setting.end(pod, 1)
        assert failed(stream.rest())["code"] == "BHS101"


@pytest.mark.parametrize("reported", ["nothing", "the builder"])
def test_a_pod_that_ends_well_without_the_report_of_its_push_is_no_success(setting: Setting, reported: str) -> None:
    with setting.build() as stream:
        pod, log = setting.start()
        setting.hold(pod)
        log.print(line("Step 1\n"))
        if reported == "the builder":
            log.print(report(pod, "builder"))
        setting.end(pod)
        end = failed(stream.rest())
    assert end["code"] == "BHS706"


def test_words_are_in_no_container_and_in_no_stream(setting: Setting) -> None:
    with setting.build() as stream:
        pod, _ = setting.start()
        of = report_words(pod)
        assert len(set(of.values())) == 3
        for container in pod["spec"]["containers"]:
            found = {name for name, word in of.items() if word in json.dumps(container)}
            assert found == {container["name"]}
        setting.finish(pod)
        events = json.dumps(stream.rest())
    assert not [word for word in of.values() if word in events]


# The registry


@pytest.mark.parametrize("extra_config", [CONFIRM_AT_ONCE], indirect=True)
@pytest.mark.parametrize(
    ("held", "code", "text"),
    [
        (OTHER, "BHS608", f"{DIGEST} was pushed, but it holds {OTHER} instead"),
        ("", "BHS608", f"{DIGEST} was pushed, but it has no such image"),
        ("r.example does not answer: refused.", "BHS609", "r.example does not answer: refused."),
    ],
    ids=["another", "none", "unreachable"],
)
def test_a_push_that_the_registry_does_not_confirm_is_no_success(
    setting: Setting, held: str, code: str, text: str
) -> None:
    with setting.build() as stream:
        pod, log = setting.start()
        log.print(report(pod, "builder"))
        if held:
            setting.hold(pod, held)
        setting.proxy.log(pod["metadata"]["name"], "push").print(report(pod, "push", digest=DIGEST))
        setting.end(pod)
        end = failed(stream.rest())
    assert end["code"] == code
    assert text in end["what"]
    (build,) = told(setting.service, "build")
    assert (build["outcome"], build["code"], build["digest"]) == ("failed", code, "")


@pytest.mark.parametrize("extra_config", [CONFIRM_AT_ONCE], indirect=True)
def test_a_push_that_reports_no_digest_is_no_success(setting: Setting) -> None:
    with setting.build() as stream:
        pod, log = setting.start()
        setting.hold(pod)
        log.print(report(pod, "builder"))
        setting.proxy.log(pod["metadata"]["name"], "push").print(report(pod, "push", digest=""))
        setting.end(pod)
        assert failed(stream.rest())["code"] == "BHS608"


def test_a_registry_that_shows_the_image_a_moment_later_is_waited_for(setting: Setting) -> None:
    with setting.build() as stream:
        pod, log = setting.start()
        log.print(report(pod, "builder"))
        setting.hold(pod, OTHER)
        setting.proxy.log(pod["metadata"]["name"], "push").print(report(pod, "push", digest=DIGEST))
        setting.end(pod)
        asked = setting.registry / "asked"
        until(lambda: asked.exists() and len(asked.read_text().splitlines()) > 1, "the registry to be asked again")
        setting.hold(pod)
        end = stream.rest()[-1]
    assert (end["phase"], end["digest"]) == ("ready", DIGEST)


def test_ready_and_the_audit_have_the_digest(setting: Setting) -> None:
    with setting.build() as stream:
        pod, _ = setting.start()
        setting.finish(pod)
        assert stream.rest()[-1]["digest"] == DIGEST
    assert [told(setting.service, what)[0]["digest"] for what in ("build", "request")] == [DIGEST, DIGEST]


def test_the_charts_registry_class_confirms_what_a_real_registry_holds(
    setting: Setting,
    registry: Registry,  # noqa: F811
) -> None:
    """Also a request for an image that is there already carries the digest."""
    more = f"""
c.BinderHub.registry_class = "binderhub_service.registry.docker_registry.ServiceDockerRegistry"
c.BinderHub.image_prefix = "{registry.host}/group/"
c.DockerRegistry.update(url={registry.url!r}, username={USER!r}, password={PASSWORD!r})
{CONFIRM_AT_ONCE}
"""
    with setting.restart(more) as service:
        with setting.build(service=service) as stream:
            pod, log = setting.start()
            image, ref = (pod["metadata"]["annotations"][f"binder-{what}"] for what in ("image", "ref"))
            name, tag = name_and_tag(image)
            registry.push(name, tag, KIND)
            digest = held_by(registry, name, tag)
            log.print(report(pod, "builder"))
            setting.proxy.log(pod["metadata"]["name"], "push").print(report(pod, "push", digest=digest))
            setting.end(pod)
            end = stream.rest()[-1]
        assert (end["phase"], end["imageName"], end["digest"]) == ("ready", image, digest)
        with setting.build(ref, service=service) as stream:
            (found,) = stream.rest()
        assert (found["phase"], found["imageName"], found["digest"]) == ("ready", image, digest)
        with setting.build(service=service) as stream:
            until(lambda: [one for one in setting.namespace.pods() if "nodeName" not in one["spec"]], "another pod")
            until(lambda: len(setting.namespace.pods()) == 1, "the first pod to be deleted")
            pod, log = setting.start()
            log.print(report(pod, "builder"))
            setting.proxy.log(pod["metadata"]["name"], "push").print(report(pod, "push", digest=digest))
            setting.end(pod)
            end = failed(stream.rest())
        assert (end["code"], "it has no such image" in end["what"]) == ("BHS608", True)


def held_by(registry: Registry, name: str, tag: str) -> str:  # noqa: F811
    """What the registry itself says."""
    answer = httpx.head(
        f"{registry.url}/v2/{name}/manifests/{tag}", auth=(USER, PASSWORD), headers={"Accept": KIND}
    ).raise_for_status()
    return str(answer.headers["Docker-Content-Digest"])


# Lines of the log that are hard to read


DEEP = "[" * 100_000


@pytest.mark.parametrize(
    "text",
    [
        DEEP,
        '{"a": ' * 100_000,
        f'{{"message": {DEEP}{"]" * 100_000}}}',
        '{"message": "x", "phase": NaN}',
        '{"message": NaN, "phase": "building", "n": Infinity}',
        '{"message": "x", "phase": ["building"], "imageName": "evil/i:1", "digest": "sha256:0"}',
    ],
    ids=["lists", "objects", "message", "nan", "nan-message", "names"],
)
def test_lines_that_are_hard_to_read_end_neither_the_request_nor_others(setting: Setting, text: str) -> None:
    with setting.build() as stream, setting.build() as other:
        until(lambda: len(setting.namespace.pods()) == 2, "two pods")
        for pod in setting.namespace.pods():
            name = pod["metadata"]["name"]
            setting.namespace.schedule(name)
            setting.proxy.log(name, "fetch").print(report(pod, "fetch"))
            setting.namespace.containers(name, fetch=ended(0), build=RUNS, phase="Running")
            setting.proxy.log(name).print(text, line("after\n"))
            setting.proxy.log(name, "push").print(text)
            setting.finish(pod)
        ends = [stream.rest(), other.rest()]
    for events in ends:
        assert "after\n" in messages(events, "building")
        assert (events[-1]["phase"], events[-1]["digest"]) == ("ready", DIGEST)
        assert not [event for event in events[:-1] if event.keys() & {"imageName", "digest", "code"}]
