"""Classes that tests name in BinderHub's configuration. They do what a script says and note what was done to them.

Both lie in $CONTRACT_FOLDER: `<ref>.json` is read, `<ref>.jsonl` is written; `start-up` stands for what has no ref.
"""

import json
import os
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any

from binderhub.build import BuildExecutor, KubernetesCleaner, ProgressEvent
from binderhub.registry import DockerRegistry
from traitlets import Bool

FOLDER = Path(os.environ["CONTRACT_FOLDER"])
Kind = ProgressEvent.Kind
PATIENCE_SECONDS = 30.0


def note(ref: str, what: str, **more: Any) -> None:
    """Append one line about `what` to the notes of `ref`."""
    thread = "main" if threading.current_thread() is threading.main_thread() else threading.current_thread().name
    with (FOLDER / f"{ref or 'start-up'}.jsonl").open("a") as notes:
        notes.write(json.dumps({"what": what, "thread": thread, **more}) + "\n")


class ScriptedExecutor(BuildExecutor):
    """A build that makes nothing; its script has the steps of `submit` and of `logs`, each a word and what it is for.

    status NAME, line TEXT: report it. wait NAME: until the test has made `<ref>.NAME`, or the request is over.
    drain: until the request has taken all that was reported. raise TEXT: end with an exception.
    lose: report two lines while nothing can be read, and end with an exception before they can be.
    quiet: from now on, what is reported from outside the steps becomes PENDING.
    """

    def __init__(self, **traits: Any) -> None:
        super().__init__(**traits)
        self.quiet = False
        self.told = threading.Event()
        given = {name: None if name == "q" else value for name, value in traits.items() if name != "parent"}
        note(self.ref, "made", given=given)

    def submit(self) -> None:
        note(self.ref, "submit", registry_credentials=self.registry_credentials, push_secret=self.push_secret)
        self._run("submit")

    def stream_logs(self) -> None:
        note(self.ref, "stream_logs")
        self._run("logs")

    def stop(self) -> None:
        note(self.ref, "stop")
        super().stop()

    def progress(self, kind: ProgressEvent.Kind, payload: Any) -> None:
        note(self.ref, "progress", payload=payload if isinstance(payload, str) else payload.name)
        if self.quiet:
            kind, payload = Kind.BUILD_STATUS_CHANGE, ProgressEvent.BuildStatus.PENDING
        super().progress(kind, payload)
        if kind == Kind.LOG_MESSAGE:
            self.told.set()

    def _run(self, part: str) -> None:
        for verb, argument in json.loads((FOLDER / f"{self.ref}.json").read_text())[part]:
            getattr(self, f"_{verb}")(argument)
        note(self.ref, f"end of {part}", stopped=self.stop_event.is_set())

    def _status(self, name: str) -> None:
        self.progress(Kind.BUILD_STATUS_CHANGE, ProgressEvent.BuildStatus[name])

    def _line(self, text: str) -> None:
        self.progress(Kind.LOG_MESSAGE, text)

    def _wait(self, name: str) -> None:
        while not (FOLDER / f"{self.ref}.{name}").exists() and not self.stop_event.wait(0.02):
            pass

    def _drain(self, _nothing: str) -> None:
        while self._on_loop(self.q.qsize):
            self.stop_event.wait(0.01)
        self._on_loop(lambda: None)  # so that the request has come back to its queue, too

    def _raise(self, text: str) -> None:
        raise RuntimeError(text)

    def _quiet(self, _nothing: str) -> None:
        self.quiet = True

    def _lose(self, text: str) -> None:
        self._status("PENDING")
        self._drain("")

        def block() -> None:
            for number in (1, 2):
                line = json.dumps({"phase": "building", "message": f"{text} {number}"})
                self.q.put_nowait(ProgressEvent(Kind.LOG_MESSAGE, line))
            self.told.wait(PATIENCE_SECONDS)

        self.main_loop.add_callback(block)
        raise RuntimeError(text)

    def _on_loop(self, function: Callable[[], Any]) -> Any:
        answer: list[Any] = []
        done = threading.Event()

        def call() -> None:
            answer.append(function())
            done.set()

        self.main_loop.add_callback(call)
        done.wait(PATIENCE_SECONDS)
        return answer[0]


class RecordingRegistry(DockerRegistry):
    """Has the images whose tags have a file `<tag>.pushed`, and gives credentials for the others when it should."""

    gives_credentials = Bool(False, config=True)

    def __init__(self, **traits: Any) -> None:
        super().__init__(**traits)
        note("", "made registry", given=sorted(traits))

    async def get_image_manifest(self, image: str, tag: str) -> Any:
        note(tag, "asked", image=image)
        return {"schemaVersion": 2} if (FOLDER / f"{tag}.pushed").exists() else None

    async def get_credentials(self, image: str, tag: str) -> Any:
        note(tag, "credentials", image=image)
        return {"registry": "r.example", "username": "robot", "password": "x"} if self.gives_credentials else None


class RecordingCleaner(KubernetesCleaner):
    """Notes its calls, and fails at every one."""

    def cleanup(self) -> None:
        note("", "cleanup", namespace=self.namespace, has_client=self.kube is not None)
        raise RuntimeError("a cleaner that fails")
