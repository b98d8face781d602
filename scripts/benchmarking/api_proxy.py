"""The Kubernetes API through `kubectl proxy`: one process for each request would disturb the measurement."""

import contextlib
import json
import re
import subprocess
import time
from collections.abc import Callable, Iterator
from typing import Any

import httpx
from common.errors import UserError
from demonstration.target import Target

Json = dict[str, Any]
PATIENCE_SECONDS = 180.0


class Api:
    """Requests to the API server."""

    def __init__(self, client: httpx.Client) -> None:
        """`client` has the proxy's address."""
        self._client = client

    def get(self, path: str, **query: str) -> Json:
        """An object, or a list of them."""
        return self._answer(self._client.get(path, params=query))

    def create(self, path: str, what: Json) -> Json:
        """Create an object."""
        return self._answer(self._client.post(path, json=what))

    def replace(self, path: str, what: Json) -> Json:
        """Replace an object."""
        return self._answer(self._client.put(path, json=what))

    def delete(self, path: str, grace: int = 0) -> None:
        """Delete an object, if it exists."""
        answer = self._client.request("DELETE", path, params={"gracePeriodSeconds": str(grace)})
        if answer.status_code != httpx.codes.NOT_FOUND:
            self._answer(answer)

    def watch(self, path: str, **query: str) -> Iterator[Json]:
        """Every change, as it comes."""
        with self._client.stream("GET", path, params={**query, "watch": "true"}, timeout=PATIENCE_SECONDS) as answer:
            for line in answer.iter_lines():
                yield json.loads(line)

    @staticmethod
    def _answer(answer: httpx.Response) -> Json:
        if answer.is_error:
            raise UserError(
                f"The API server answered {answer.status_code}: {answer.text[:500]}", "See what the message names."
            )
        found: Json = answer.json()
        return found


@contextlib.contextmanager
def reached(target: Target) -> Iterator[Api]:
    """The API of the target's cluster, for as long as the block runs."""
    proxy = subprocess.Popen(
        [target.kubectl, "--context", target.context, "proxy", "--port=0"],
        env=target.environment(),
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        start_new_session=True,  # Ctrl-C must not end it before what was made is removed
    )
    assert proxy.stdout  # noqa: S101 - asked for above
    try:
        line = proxy.stdout.readline()
        address = re.search(r"127\.0\.0\.1:\d+", line)
        if not address:
            raise UserError(
                f"kubectl proxy did not start: {line.strip()}", "Check that kubectl works with this context."
            )
        with httpx.Client(base_url=f"http://{address[0]}", timeout=60, trust_env=False) as client:
            yield Api(client)
    finally:
        proxy.terminate()
        proxy.communicate()


def until(condition: Callable[[], Any], what: str, seconds: float = PATIENCE_SECONDS) -> Any:  # noqa: ANN401
    """Wait until `condition` returns a true value, and return it. Raises UserError after the timeout."""
    end = time.monotonic() + seconds
    while not (found := condition()):
        if time.monotonic() > end:
            raise UserError(
                f"For {seconds:.0f} s there was no {what}.", "Look at the namespaces that begin with benchmark-."
            )
        time.sleep(0.2)
    return found
