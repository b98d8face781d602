"""Limits for look-ups of repositories: how many a requester may have at a time, and how long an answer may be."""

import asyncio
import contextlib
from collections.abc import AsyncIterator
from typing import Any
from weakref import WeakValueDictionary

from tornado.httpclient import AsyncHTTPClient, HTTPRequest, HTTPResponse

from binderhub_service.request import current_handler, requester_of

LOOKUPS_PER_REQUESTER = 4
"""Look-ups of one requester at a time. Each takes a process or a connection of BinderHub."""
MAX_LOOKUPS = 100
"""HTTP look-ups of all requesters at a time."""
WAIT_SECONDS = 30.0
MAX_ANSWER = 16 * 2**20
"""Bytes of an answer. The longest that are known, lists of files, have some hundred KiB."""

_places: WeakValueDictionary[str, asyncio.Semaphore] = WeakValueDictionary()


@contextlib.asynccontextmanager
async def lookup_place() -> AsyncIterator[None]:
    """Wait for a look-up of the current requester to be allowed. Raises RuntimeError if that takes too long."""
    handler = current_handler()
    key = requester_of(handler).key if handler else ""
    place = _places.get(key)
    if place is None:
        place = _places[key] = asyncio.Semaphore(LOOKUPS_PER_REQUESTER)
    try:
        await asyncio.wait_for(place.acquire(), WAIT_SECONDS)
    except TimeoutError:
        raise RuntimeError(
            f"{LOOKUPS_PER_REQUESTER} of your requests are still looking up repositories. Try again when they are done."
        ) from None
    try:
        yield
    finally:
        place.release()


class LookupClient:
    """Replaces the AsyncHTTPClient of BinderHub's providers, which reads and decompresses answers of any length.

    Delete it once BinderHub's providers limit what they read.
    """

    async def fetch(self, request: HTTPRequest | str, **options: Any) -> HTTPResponse:  # noqa: ANN401 - tornado's
        """As AsyncHTTPClient.fetch, within the limits."""
        if isinstance(request, str):
            request = HTTPRequest(request, **options)
        # Compressed answers are then neither requested nor decompressed.
        request.decompress_response = False
        async with lookup_place():
            return await _client(request).fetch(request)


def _client(request: HTTPRequest) -> AsyncHTTPClient:
    """A client of the kind that BinderHub has chosen, with a limit for answers."""
    if AsyncHTTPClient.configured_class().__name__ == "CurlAsyncHTTPClient":
        request.prepare_curl_callback = _bound_curl
        return _shared_client()
    # The limit of the buffer applies to bodies, including those without a Content-Length.
    return _shared_client(max_buffer_size=MAX_ANSWER)


_clients: list[AsyncHTTPClient] = []


def _shared_client(**options: int) -> AsyncHTTPClient:
    # Not tornado's shared client: ten slow hosts would occupy its ten connections.
    if not _clients:
        _clients.append(AsyncHTTPClient(force_instance=True, max_clients=MAX_LOOKUPS, **options))
    return _clients[0]


def _bound_curl(curl: Any) -> None:  # noqa: ANN401 - pycurl's
    """Make curl end a transfer that is too long, with or without a Content-Length."""
    import pycurl

    curl.setopt(pycurl.NOPROGRESS, 0)
    curl.setopt(pycurl.XFERINFOFUNCTION, lambda _total, received, *_sent: int(received > MAX_ANSWER))
