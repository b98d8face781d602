"""One kind of object in one namespace, listed and then watched, by one thread for the whole process."""

import json
import threading
import time
from collections.abc import Callable, Iterator
from typing import Any

from bhs_api import Api, Refused, Unreachable

WATCH_SECONDS = 50
"""The API server ends a watch after so long; a new one goes on from there."""
FIRST_PAUSE, LONGEST_PAUSE = 0.2, 2.0

Json = dict[str, Any]


class Watch:
    """Tells of every object and every change, and goes on through broken connections and expired versions.

    `changed(kind, object)` is called with ADDED, MODIFIED or DELETED, and `listed(objects)` with all there are, both
    from the thread; `trouble(words)` with what hinders it, and an empty text when that is over.
    """

    def __init__(
        self,
        api: Api,
        path: str,
        query: Json,
        listed: Callable[[list[Json]], None],
        changed: Callable[[str, Json], None],
        trouble: Callable[[str], None],
    ) -> None:
        """`path` is that of the list, `query` its selectors."""
        self._api, self._path, self._query = api, path, query
        self._listed, self._changed, self._trouble = listed, changed, trouble
        self._version = ""
        self._thread = threading.Thread(target=self._run, name=f"watch {path}", daemon=True)

    def start(self) -> None:
        """Begin, in a thread that ends with the process."""
        self._thread.start()

    def _run(self) -> None:
        pause = FIRST_PAUSE
        while True:
            try:
                if not self._version:
                    self._list()
                    self._trouble("")
                self._follow()
                pause = FIRST_PAUSE
            except Refused as refused:
                self._version = ""
                if refused.status != 410:
                    self._trouble(str(refused))
                    time.sleep(pause)
                    pause = min(pause * 2, LONGEST_PAUSE)
            except Unreachable as broken:
                # The version is kept: what happened meanwhile is told when the server is back.
                if not self._answers():
                    self._trouble(str(broken))
                    time.sleep(pause)
                    pause = min(pause * 2, LONGEST_PAUSE)
                else:
                    pause = FIRST_PAUSE

    def _answers(self) -> bool:
        try:
            self._api.request("GET", self._path, {**self._query, "limit": 1})
        except (Refused, Unreachable):
            return False
        self._trouble("")
        return True

    def _list(self) -> None:
        answer = self._api.request("GET", self._path, self._query)
        self._listed([_short(found) for found in answer.get("items") or []])
        self._version = str(answer["metadata"]["resourceVersion"])

    def _follow(self) -> None:
        query = {
            **self._query,
            "watch": "true",
            "allowWatchBookmarks": "true",
            "resourceVersion": self._version,
            "timeoutSeconds": WATCH_SECONDS,
        }
        with self._api.stream(self._path, query, WATCH_SECONDS + 10.0) as pieces:
            self._trouble("")
            for event in _objects(pieces):
                found = event.get("object") or {}
                if event.get("type") == "ERROR":
                    raise Refused(int(found.get("code") or 410), str(found.get("reason")), str(found.get("message")))
                self._version = str(found["metadata"]["resourceVersion"])
                if event["type"] != "BOOKMARK":
                    self._changed(event["type"], _short(found))


def _short(found: Json) -> Json:
    """Without the notes on who set which field: nobody reads them here, and they are a third of an object."""
    found["metadata"].pop("managedFields", None)
    return found


def _objects(pieces: Iterator[bytes]) -> Iterator[Json]:
    rest = b""
    for piece in pieces:
        *whole, rest = (rest + piece).split(b"\n")
        for line in whole:
            if line:
                yield json.loads(line)
