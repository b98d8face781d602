"""Build the site, and serve it on this machine."""

import functools
import http.server
import sys
from pathlib import Path

from common.errors import UserError
from common.progress import say


def build(folder: Path, output: Path) -> None:
    """Build the pages of `folder` into `output` as HTML, anew, with every warning an error.

    Raises UserError when Sphinx ends with one; it has then said which.
    """
    from sphinx.cmd.build import main as sphinx

    options = ["-n", "-W", "--keep-going", "--fresh-env", "--quiet", "-b", "html"]
    if sphinx([*options, "-d", str(output.parent / "doctrees"), str(folder), str(output)]):
        raise UserError("The site was not built.", "Correct what is said above, then run this again.")


def serve(output: Path, port: int) -> int:
    """Serve `output` on 127.0.0.1:`port` (0: a free one) until interrupted."""
    handler = functools.partial(QuietHandler, directory=str(output))
    try:
        server = http.server.ThreadingHTTPServer(("127.0.0.1", port), handler)
    except OSError as error:
        raise UserError(f"Port {port} cannot be served: {error.strerror}.", "Name another one with --port.") from None
    with server:
        say(f"Serving {output} at http://127.0.0.1:{server.server_port}/ until Ctrl-C")
        try:
            server.serve_forever()
        except KeyboardInterrupt:
            say("")
    return 0


class QuietHandler(http.server.SimpleHTTPRequestHandler):
    """Files of the site; only what goes wrong is logged."""

    def log_request(self, code: int | str = "-", size: int | str = "-") -> None:
        """Say only that something was asked for and is not there."""
        if str(code) >= "400":
            print(f"{code} {self.path}", file=sys.stderr)
