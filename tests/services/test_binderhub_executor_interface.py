"""Between BinderHub and an executor: who calls what from which thread, and what ends a stream."""

import json
from pathlib import Path
from urllib.parse import quote

import pytest
from support.binderhub import PREFIX, Installed, Service, running

URL = "https://git.example/group/Project"
WAITING = {"phase": "waiting", "message": "Waiting for build to start...\n"}
UNHANDLED = {"phase": "failed", "message": "Unhandled error watching for build events. Please try again.\n"}
BUILT = ("status", "BUILT")
RUNNING = ("status", "RUNNING")


def spec(ref: str) -> str:
    return f"{quote(URL, safe='')}/{ref}"


def line(message: str, phase: str = "building") -> tuple[str, str]:
    return "line", json.dumps({"phase": phase, "message": message})


def test_one_is_made_at_start_up_without_a_request(service: Service) -> None:
    (made,) = service.notes("start-up", "made")
    assert made["given"] == {}  # nothing but its parent: no queue, no name
    assert made["thread"] == "main"


def test_one_is_made_a_request_and_told_what_to_build(service: Service) -> None:
    ref = service.script([BUILT])
    *_, ready = service.events(spec(ref))
    (made,) = service.notes(ref, "made")
    given = made["given"]
    assert set(given) == {"q", "name", "repo_url", "ref", "image_name", "git_credentials"}
    assert (given["repo_url"], given["ref"], given["git_credentials"]) == (URL, ref, "")
    assert given["image_name"] == ready["imageName"]
    assert given["image_name"].startswith(PREFIX)
    assert given["name"].startswith("build-https-3a-2f-2fgit-2eexample")
    assert made["thread"] == "main"


def test_submit_and_stream_logs_run_in_threads_of_their_own(service: Service) -> None:
    ref = service.script([RUNNING, ("wait", "logs-done"), BUILT], [line("one")])
    with service.build(spec(ref)) as stream:
        assert [stream.event(), stream.event()] == [WAITING, {"phase": "building", "message": "one"}]
        service.let(ref, "logs-done")
        assert [event["phase"] for event in stream.rest()] == ["ready"]
    threads = [service.noted(ref, what)["thread"] for what in ("made", "submit", "stream_logs")]
    assert threads[0] == "main"
    assert len(set(threads)) == 3


def test_logs_are_asked_for_once_at_the_first_running(service: Service) -> None:
    ref = service.script([("wait", "go"), RUNNING, RUNNING, ("wait", "end"), BUILT], [line("one")])
    with service.build(spec(ref)) as stream:
        assert stream.event() == WAITING
        service.noted(ref, "submit")
        assert not service.notes(ref, "stream_logs")
        service.let(ref, "go")
        assert stream.event() == {"phase": "building", "message": "one"}
        service.let(ref, "end")
        assert [event["phase"] for event in stream.rest()] == ["ready"]
    assert len(service.notes(ref, "stream_logs")) == 1


def test_without_running_nobody_asks_for_logs(service: Service) -> None:
    ref = service.script([("status", "PENDING"), BUILT], [line("never read")])
    assert [event["phase"] for event in service.events(spec(ref))] == ["waiting", "ready"]
    assert not service.notes(ref, "stream_logs")


def test_built_ends_the_stream_with_the_image_and_stops_the_watch(service: Service) -> None:
    ref = service.script([BUILT, ("wait", "for ever")])
    image = f"{PREFIX}https-3a-2f-2fgit-2eexample-2fgroup-2f-"
    first, ready = service.events(spec(ref))
    assert first == WAITING
    assert ready.pop("imageName").startswith(image.removesuffix("-"))
    assert ready == {"phase": "ready", "message": "Done! Image built\n"}
    assert service.noted(ref, "stop")["thread"] == "main"
    assert service.noted(ref, "end of submit")["stopped"]


def test_lines_pass_as_they_are(service: Service) -> None:
    text = '{"message":  "sp\\u00e4t",   "phase": "fetching", "more": [1, {"x": null}]}'
    ref = service.script([("line", text), BUILT])
    with service.build(spec(ref)) as stream:
        raw = [item for item in stream.response.iter_lines() if item.startswith("data: ")]
    assert raw[1] == f"data: {text}"


@pytest.mark.parametrize(("status", "phase"), [("FAILED", "failed"), ("UNKNOWN", "unknown")])
def test_failed_and_unknown_are_told_and_end_nothing(service: Service, status: str, phase: str) -> None:
    ref = service.script([("status", status), ("wait", "go"), BUILT])
    with service.build(spec(ref)) as stream:
        assert [stream.event(), stream.event()] == [WAITING, {"phase": phase}]
        stream.stays_open()
        service.let(ref, "go")
        assert [event["phase"] for event in stream.rest()] == ["ready"]


@pytest.mark.parametrize("phase", ["failed", "failure"])
def test_a_line_that_says_failed_ends_nothing_but_counts(service: Service, phase: str) -> None:
    url = f"https://git.example/counts/{phase}"
    ref = service.script([line("it broke", phase), ("wait", "go"), BUILT])
    with service.build(f"{quote(url, safe='')}/{ref}") as stream:
        assert [stream.event(), stream.event()] == [WAITING, {"phase": phase, "message": "it broke"}]
        stream.stays_open()
        service.let(ref, "go")
        assert [event["phase"] for event in stream.rest()] == ["ready"]
    metrics = service.get("/metrics").text
    for status in ("failure", "success"):
        labels = f'provider="Git",repo="{url}",status="{status}"'
        assert f"binderhub_build_count_total{{{labels}}} 1.0" in metrics


@pytest.mark.parametrize("logs", [None, [line("last")]], ids=["submit alone", "logs too"])
def test_calls_that_return_without_built_leave_the_stream_open(
    service: Service, logs: list[tuple[str, str]] | None
) -> None:
    ref = service.script([RUNNING] if logs else [], logs)
    with service.build(spec(ref)) as stream:
        seen = [stream.event() for _ in range(2 if logs else 1)]
        assert seen == [WAITING, {"phase": "building", "message": "last"}][: len(seen)]
        service.noted(ref, "end of submit")
        stream.stays_open()


def test_submit_that_raises_ends_the_stream_with_one_failed_event(service: Service) -> None:
    ref = service.script([("status", "PENDING"), ("drain", ""), ("raise", "the reason")])
    assert service.events(spec(ref)) == [WAITING, UNHANDLED]
    told = service.notes(ref, "progress")[-1]
    assert json.loads(told["payload"]) == UNHANDLED
    assert told["thread"] == service.noted(ref, "submit")["thread"]
    assert service.noted(ref, "stop")


def test_stream_logs_that_raises_ends_the_stream_too(service: Service) -> None:
    ref = service.script([RUNNING, ("wait", "for ever")], [line("one"), ("drain", ""), ("raise", "the reason")])
    assert service.events(spec(ref)) == [WAITING, {"phase": "building", "message": "one"}, UNHANDLED]
    assert service.noted(ref, "end of submit")["stopped"]


def test_lines_still_queued_when_a_call_raises_are_lost_and_so_is_the_failure(service: Service) -> None:
    ref = service.script([("lose", "line")])
    assert service.events(spec(ref)) == [WAITING, {"phase": "building", "message": "line 1"}]


def test_a_subclass_can_end_a_stream_with_exactly_one_failed_event(service: Service) -> None:
    ref = service.script([line("why", "failed"), ("drain", ""), ("quiet", ""), ("raise", "ends the stream")])
    assert service.events(spec(ref)) == [WAITING, {"phase": "failed", "message": "why"}]


@pytest.mark.parametrize("text", ["7", '"text"', "null", "[1]", "no JSON at all"])
def test_a_line_that_is_no_json_object_breaks_the_request(service: Service, text: str) -> None:
    ref = service.script([line("good"), ("drain", ""), ("line", text), ("wait", "for ever")])
    *before, last = service.events(spec(ref))
    assert before == [WAITING, {"phase": "building", "message": "good"}]
    assert last == {"phase": "failed", "status_code": 500, "message": "Internal Server Error\n"}
    assert service.noted(ref, "end of submit")["stopped"]


def test_binderhub_notices_a_disconnect_at_the_next_event(service: Service) -> None:
    ref = service.script([("wait", "go"), line("to nobody"), ("wait", "for ever")])
    with service.build(spec(ref)) as stream:
        assert stream.event() == WAITING
    # Another request passes through the same loop: the first one's end has been seen by then.
    other = service.script([BUILT])
    assert [event["phase"] for event in service.events(spec(other))] == ["waiting", "ready"]
    assert not service.notes(ref, "stop")
    service.let(ref, "go")
    assert service.noted(ref, "stop")["thread"] == "main"
    assert service.noted(ref, "end of submit")["stopped"]


def test_two_threads_a_build_and_the_next_build_waits_for_them(binderhub: Installed, tmp_path: Path) -> None:
    with running(binderhub, tmp_path, "c.BinderHub.concurrent_build_limit = 1\n") as service:
        first = service.script([RUNNING, ("wait", "go"), BUILT], [("wait", "go")])
        second = service.script([BUILT])
        with service.build(spec(first)) as busy, service.build(spec(second)) as queued:
            service.noted(first, "stream_logs")
            assert [busy.event(), queued.event()] == [WAITING, WAITING]
            queued.stays_open()
            assert not service.notes(second, "submit")
            service.let(first, "go")
            assert [event["phase"] for event in busy.rest()] == ["ready"]
            assert [event["phase"] for event in queued.rest()] == ["ready"]
