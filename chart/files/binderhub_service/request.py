"""The request in whose handler BinderHub makes an executor, which is not told of it.

All that looks into BinderHub's handler is here. Delete it once BinderHub hands the request on.


Who sent a request, and when that client hangs up. BinderHub tells an executor neither; see bhs_request.py."""

import sys
from collections.abc import Callable
from dataclasses import dataclass
from types import FrameType
from typing import Any

from tornado.web import RequestHandler

from binderhub_service.build_queue import requester_key


def current_handler() -> RequestHandler | None:
    """The handler among the callers: binderhub/builder.py makes the executor in `BuildHandler.get`."""
    frame: FrameType | None = sys._getframe(1)
    while frame:
        handler = frame.f_locals.get("self")
        if isinstance(handler, RequestHandler):
            return handler
        frame = frame.f_back
    return None


def add_digest(handler: Any, digest: str) -> None:  # noqa: ANN401 - BinderHub's BuildHandler
    """Have the event that names the image carry its digest too.

    `BuildHandler.get` makes that event of its own, with `phase`, `message` and `imageName`, and passes it to `emit`.
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
    """Who sent one request."""

    name: str = ""
    """The user's name; empty without authentication."""
    key: str = ""
    """What turns are counted by."""


def find_requester(handler: RequestHandler, on_disconnect: Callable[[], None]) -> Requester:
    """The sender of the handler's request; `hung_up` is called when the client hangs up."""
    _call_when_closed(handler, on_disconnect)
    return requester(handler)


def requester(handler: RequestHandler) -> Requester:
    """The sender of the handler's request."""
    # The address that BinderHub's own rate limit counts by, too.
    address = str(handler.request.remote_ip)
    if not handler.settings.get("auth_enabled"):
        return Requester("", requester_key("", address))
    user = handler.current_user
    name, kind = (user.get("name", ""), user.get("kind", "")) if isinstance(user, dict) else (user or "", "")
    return Requester(str(name), requester_key(f"{kind} {name}" if name else "", address))


def _call_when_closed(handler: RequestHandler, on_disconnect: Callable[[], None]) -> None:
    """Take tornado's call of `on_connection_close`, which BinderHub's handler does not use.

    The handler itself notices only when it writes. Superfluous once BuildHandler overrides on_connection_close.
    """

    def closed() -> None:
        on_disconnect()
        handler.on_connection_close()

    handler.request.connection.set_close_callback(closed)  # tornado drops it when the request is over
