"""Who sent a request, and when that client hangs up. BinderHub tells an executor neither; see bhs_request.py."""

from collections.abc import Callable
from dataclasses import dataclass

from bhs_queue import requester_key
from tornado.web import RequestHandler


@dataclass(frozen=True)
class Requester:
    """Who sent one request."""

    name: str = ""
    """The user's name; empty without authentication."""
    key: str = ""
    """What turns are counted by."""


def find_requester(handler: RequestHandler, hung_up: Callable[[], None]) -> Requester:
    """The sender of the handler's request; `hung_up` is called when the client hangs up."""
    _call_when_closed(handler, hung_up)
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


def _call_when_closed(handler: RequestHandler, hung_up: Callable[[], None]) -> None:
    """Take tornado's call of `on_connection_close`, which BinderHub's handler does not use.

    The handler itself notices only when it writes. Superfluous once BuildHandler overrides on_connection_close.
    """

    def closed() -> None:
        hung_up()
        handler.on_connection_close()

    handler.request.connection.set_close_callback(closed)  # tornado drops it when the request is over
