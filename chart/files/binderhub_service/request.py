"""The request in whose handler BinderHub creates an executor: who sent it, and when its client disconnects.

BinderHub tells an executor neither, so this module looks into BinderHub's handler, and is the only one that does.
It also adds codes to the failures that the handler itself sends.
Delete it once BinderHub passes the request to the executor.
"""

import json
import logging
import re
import sys
from collections.abc import Callable
from dataclasses import dataclass
from types import FrameType
from typing import Any

from tornado.web import RequestHandler

from binderhub_service.build_queue import requester_key
from binderhub_service.failures import Failure

log = logging.getLogger("tornado.application")

_STATUS_CODES = {400: "BHS903", 401: "BHS901", 403: "BHS901", 404: "BHS903", 429: "BHS902"}
# BinderHub's sentences, in binderhub/builder.py and repoproviders.py. The first that matches counts.
_MESSAGES = (
    ("BHS904", re.compile("Could not resolve ref for ")),
    ("BHS904", re.compile("(?s)Error resolving ref for .*(?:it is private|could not read Username|' not found)")),
    ("BHS909", re.compile("Error resolving ref for .*(?:HTTP 401|Authentication failed for)")),
    ("BHS906", re.compile("Error resolving ref for .*(?:rate limit|HTTP 429)", re.IGNORECASE)),
    ("BHS905", re.compile("Error resolving ref for ")),
    ("BHS907", re.compile(r" is not allowed to launch\.")),
)


def current_handler() -> RequestHandler | None:
    """The handler among the callers: binderhub/builder.py creates the executor in `BuildHandler.get`."""
    frame: FrameType | None = sys._getframe(1)
    while frame:
        handler = frame.f_locals.get("self")
        if isinstance(handler, RequestHandler):
            return handler
        frame = frame.f_back
    return None


def add_digest(handler: Any, digest: str) -> None:  # noqa: ANN401 - BinderHub's BuildHandler
    """Add the digest to the event that names the image.

    `BuildHandler.get` creates that event, with `phase`, `message` and `imageName`, and passes it to `emit`.
    """
    if handler is None:
        return
    emit = handler.emit

    async def emit_with_digest(event: Any) -> None:  # noqa: ANN401 - an event, or one as JSON
        if isinstance(event, dict) and "imageName" in event:
            event = {**event, "digest": digest}
        await emit(event)

    handler.emit = emit_with_digest


def forget_digest(handler: Any) -> None:  # noqa: ANN401 - BinderHub's BuildHandler
    """Undo `add_digest`, which makes the handler refer to itself."""
    vars(handler).pop("emit", None)


def refusal(message: str, status: int = 0, *, began: bool = False) -> dict[str, Any]:
    """The `failed` event for a refusal of BinderHub's own, by its HTTP status or, without one, by its words.

    `began` says that BinderHub has taken the address for one of a repository.
    """
    if status:
        code = _STATUS_CODES.get(status, "BHS908")
    else:
        code = next((code for code, pattern in _MESSAGES if pattern.search(message)), "BHS908" if began else "BHS903")
    event = Failure(code, {"detail": message.strip()}).event()
    return {**event, "status_code": status} if status else event


def add_codes() -> None:
    """Make BinderHub's handler send its own refusals with a code and what to do next.

    BuildHandler sends them with `emit`, which `fail` calls, and those of HTTP errors with `send_error`.
    """
    from binderhub.builder import BuildHandler

    emit, send_error = BuildHandler.emit, BuildHandler.send_error
    if getattr(send_error, "adds_codes", False):
        return

    async def emit_with_code(self: Any, event: Any) -> None:  # noqa: ANN401 - BinderHub's BuildHandler
        if isinstance(event, dict) and event.get("phase") == "failed" and "code" not in event:
            event = {**event, **refusal(str(event.get("message", "")), began=hasattr(self, "repo_url"))}
        await emit(self, event)

    def send_error_with_code(self: Any, status_code: int, **options: Any) -> None:  # noqa: ANN401
        write = self.write

        def write_with_code(text: str) -> None:
            try:
                event = json.loads(text.removeprefix("data: "))
                text = f"data: {json.dumps({**event, **refusal(str(event['message']), status_code)})}\n\n"
            except (ValueError, TypeError, KeyError):
                log.warning("BinderHub sends an error in another form than the chart knows, so it has no code")
            write(text)

        self.write = write_with_code
        send_error(self, status_code, **options)

    send_error_with_code.adds_codes = True  # type: ignore[attr-defined]
    BuildHandler.emit, BuildHandler.send_error = emit_with_code, send_error_with_code


@dataclass(frozen=True)
class Requester:
    """Who sent a request."""

    name: str = ""
    """The user's name; empty without authentication."""
    key: str = ""
    """What the queue of builds counts turns by."""


def requester_of(handler: RequestHandler) -> Requester:
    """Who sent the handler's request."""
    # BinderHub's rate limit counts by this address as well.
    address = str(handler.request.remote_ip)
    if not handler.settings.get("auth_enabled"):
        return Requester("", requester_key("", address))
    user = handler.current_user
    name, kind = (user.get("name", ""), user.get("kind", "")) if isinstance(user, dict) else (user or "", "")
    return Requester(str(name), requester_key(f"{kind} {name}" if name else "", address))


def call_when_closed(handler: RequestHandler, on_disconnect: Callable[[], None]) -> None:
    """Call `on_disconnect` when the client disconnects. The handler itself notices that only when it writes.

    Delete this once BuildHandler overrides tornado's on_connection_close.
    """

    def closed() -> None:
        on_disconnect()
        handler.on_connection_close()

    handler.request.connection.set_close_callback(closed)  # tornado removes it when the request has ended
