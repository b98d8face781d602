"""One line a request, without the secrets that can stand in an address."""

import logging
import re
from typing import Any

from tornado.log import access_log

_SECRET = re.compile(r"([?&][^=&]*(?:token|auth|key|code|state)[^=&]*=)[^&]*")


def log_request(handler: Any) -> None:
    """Log the request that `handler` has answered; quietly when the handler asks for that and all went well."""
    status = handler.get_status()
    request = handler.request
    level = logging.ERROR if status >= 500 else logging.WARNING if status >= 400 else logging.INFO
    if level == logging.INFO and getattr(handler, "log_success_debug", False):
        level = logging.DEBUG
    uri = _SECRET.sub(r"\1[secret]", request.uri)
    milliseconds = 1000 * request.request_time()
    access_log.log(level, "%d %s %s (%s) %.2fms", status, request.method, uri, request.remote_ip, milliseconds)
