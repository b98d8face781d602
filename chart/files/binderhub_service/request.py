"""The request in whose handler BinderHub creates an executor: who sent it, and when its client disconnects.

BinderHub tells an executor neither, so this module looks into BinderHub's handler, and is the only one that does.
Delete it once BinderHub passes the request to the executor.
"""

import sys
from collections.abc import Callable
from dataclasses import dataclass
from types import FrameType
from typing import Any

from tornado.web import RequestHandler

from binderhub_service.build_queue import requester_key


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
