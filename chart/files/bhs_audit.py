"""One JSON line in BinderHub's log for each request that came to the executor, and for each build."""

import json
import logging
import sys
from types import FrameType

from tornado.web import RequestHandler

log = logging.getLogger("tornado.application")


def told(what: str, **particulars: object) -> None:
    """Log one line, `audit ` and then JSON."""
    log.info("audit %s", json.dumps({"what": what, **particulars}, default=str))


def asker() -> str:
    """Who sent the request in whose handler this is called; empty without authentication.

    BinderHub does not tell an executor, which is made by the handler: so the handler is looked for among the callers.
    """
    frame: FrameType | None = sys._getframe(1)
    while frame:
        handler = frame.f_locals.get("self")
        if isinstance(handler, RequestHandler):
            if not handler.settings.get("auth_enabled"):
                return ""
            user = handler.current_user
            return str(user.get("name", "")) if isinstance(user, dict) else str(user or "")
        frame = frame.f_back
    return ""
