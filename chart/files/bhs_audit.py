"""One JSON line in BinderHub's log for each request that came to the executor, and for each build."""

import json
import logging

log = logging.getLogger("tornado.application")


def told(what: str, **particulars: object) -> None:
    """Log one line, `audit ` and then JSON."""
    log.info("audit %s", json.dumps({"what": what, **particulars}, default=str))
