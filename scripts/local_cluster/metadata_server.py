"""`python3 -m local_cluster.metadata_server` answers at the addresses where a cloud's nodes ask for their metadata.

A real one hands out the node's credentials, so that pods must not reach it; this one shows whether they do.
"""

import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

from local_cluster.layout import METADATA_ADDRESSES

ANSWER = b"the credentials of the node\n"


class Handler(BaseHTTPRequestHandler):
    """Answers any GET alike."""

    def do_GET(self) -> None:
        """Send it."""
        self.send_response(200)
        self.send_header("Content-Length", str(len(ANSWER)))
        self.end_headers()
        self.wfile.write(ANSWER)


def main() -> None:
    """Serve on all the addresses, for ever."""
    threads = [
        threading.Thread(target=ThreadingHTTPServer((address, 80), Handler).serve_forever)
        for address in METADATA_ADDRESSES
    ]
    for thread in threads:
        thread.start()


if __name__ == "__main__":
    main()
