"""A client that runs in BinderHub's own pod, so that no port forward is in what it measures.

`kubectl exec` gives it to the pod's Python on stdin, with one job as JSON. What it finds it prints as lines of JSON.
Standard library only.
"""

import contextlib
import json
import socket
import sys
import threading
import time
from http.client import HTTPConnection
from pathlib import Path
from typing import Any
from urllib.parse import quote

PORT = 8585
SILENCE_SECONDS = 90
SAMPLE_SECONDS = 0.2

Json = dict[str, Any]
_printing = threading.Lock()


def say(**told: object) -> None:
    """Print one line."""
    with _printing:
        print(json.dumps(told), flush=True)


def ask(url: str) -> HTTPConnection:
    """Ask for a build of the branch main of a repository."""
    connection = HTTPConnection("127.0.0.1", PORT, timeout=SILENCE_SECONDS)
    path = f"/build/git/{quote(url, safe='')}/main?build_only=true"
    connection.request("GET", path, headers={"Accept": "text/event-stream"})
    return connection


def builds(job: Json) -> None:
    """Requests for all `urls` at once; meanwhile what BinderHub's process takes, at most.

    After `patience` seconds a stream is cut. With `loud`, every event is printed.
    """
    start = threading.Barrier(len(job["urls"]) + 1)
    threads = [threading.Thread(target=follow, args=(number, job, start)) for number in range(len(job["urls"]))]
    for thread in threads:
        thread.start()
    start.wait()
    memory, count = process()
    while any(thread.is_alive() for thread in threads):
        time.sleep(SAMPLE_SECONDS)
        now = process()
        memory, count = max(memory, now[0]), max(count, now[1])
    say(memory=memory, threads=count)


def follow(number: int, job: Json, start: threading.Barrier) -> None:
    """One request, from its start to the end of its stream."""
    start.wait()
    begin = time.monotonic()
    connection = ask(job["urls"][number])
    cut = threading.Timer(job["patience"], shut, [connection.sock])
    cut.start()
    phase, message = "", ""
    try:
        for line in connection.getresponse():
            if line.startswith(b"data:"):
                event = json.loads(line[5:])
                phase, message = event.get("phase") or phase, event.get("message") or message
                if job["loud"]:
                    say(number=number, event=event)
    except OSError as broken:
        message = str(broken)
    seconds = time.monotonic() - begin
    cut.cancel()
    say(number=number, phase=phase, message=message[-300:], seconds=seconds, cut=seconds >= job["patience"])


def shut(stream: socket.socket) -> None:
    """Close a stream."""
    with contextlib.suppress(OSError):
        stream.shutdown(socket.SHUT_RDWR)


def cached(job: Json) -> None:
    """The same request `times` times, one after another: milliseconds of each."""
    taken = []
    for _ in range(job["times"]):
        begin = time.monotonic()
        answer = ask(job["url"]).getresponse().read()
        taken.append((time.monotonic() - begin) * 1000)
        if b'"ready"' not in answer or b'"waiting"' in answer:
            raise SystemExit(f"not answered from the registry: {answer.decode()[-500:]}")
    say(milliseconds=taken)


def hang_up(job: Json) -> None:
    """Let many clients request one build, read its first event, and disconnect."""
    connections = [ask(job["url"]) for _ in range(job["times"])]
    for connection in connections:
        connection.getresponse().readline()
    for connection in connections:
        connection.close()
    say(hung_up=len(connections))


def weigh(_job: Json) -> None:
    """Memory and threads of BinderHub's process now."""
    memory, threads = process()
    say(memory=memory, threads=threads)


def process() -> tuple[float, int]:
    """Resident memory in MiB, and threads, of the process that is BinderHub."""
    for folder in Path("/proc").glob("[0-9]*"):
        try:
            words = (folder / "cmdline").read_bytes().split(b"\0")
            if b"python" in words[0] and b"binderhub" in words:
                status = dict(line.split(":", 1) for line in (folder / "status").read_text().splitlines())
                return int(status["VmRSS"].split()[0]) / 1024, int(status["Threads"])
        except OSError:
            continue
    raise SystemExit("no process here is BinderHub")


if __name__ == "__main__":
    given: Json = json.loads(sys.argv[1])
    {"builds": builds, "cached": cached, "hang_up": hang_up, "weigh": weigh}[given["job"]](given)
