"""Look-ups of repositories, bounded: how many a requester may have at a time, and how much a host may answer."""

import asyncio
import contextlib
from collections.abc import AsyncIterator
from typing import Any
from weakref import WeakValueDictionary

from tornado.httpclient import AsyncHTTPClient, HTTPRequest, HTTPResponse

from binderhub_service.request import current_handler, requester_of

LOOKUPS_PER_REQUESTER = 4
"""How many look-ups a requester may have at a time. Each holds a process or a connection of BinderHub."""
MAX_LOOKUPS = 100
"""How many answers are awaited at a time, those of all requesters together."""
WAIT_SECONDS = 30.0
MAX_ANSWER = 16 * 2**20
"""Bytes that a host may answer; the longest known answers, lists of files, have some hundred KiB."""

_places: WeakValueDictionary[str, asyncio.Semaphore] = WeakValueDictionary()


@contextlib.asynccontextmanager
async def lookup_place() -> AsyncIterator[None]:
    """One of the places that the sender of the current request has. Raises RuntimeError where none gets free."""
    handler = current_handler()
    key = requester_of(handler).key if handler else ""
    place = _places.get(key)
    if place is None:
        place = _places[key] = asyncio.Semaphore(LOOKUPS_PER_REQUESTER)
    try:
        await asyncio.wait_for(place.acquire(), WAIT_SECONDS)
    except TimeoutError:
        raise RuntimeError(
            f"{LOOKUPS_PER_REQUESTER} of your requests still look up their repositories. Try again when they are done."
        ) from None
    try:
        yield
    finally:
        place.release()


class LookupClient:
    """In place of the AsyncHTTPClient of BinderHub's providers, which takes answers of any length and unpacks them.

    `binderhub.repoproviders` finds it under that name. Superfluous once BinderHub's providers bound what they read.
    """

    async def fetch(self, request: HTTPRequest | str, **options: Any) -> HTTPResponse:  # noqa: ANN401 - tornado's
        """As AsyncHTTPClient.fetch, within the bounds."""
        if isinstance(request, str):
            request = HTTPRequest(request, **options)
        # Nothing asks for a packed answer then, and nothing unpacks one.
        request.decompress_response = False
        async with lookup_place():
            return await _client(request).fetch(request)


def _client(request: HTTPRequest) -> AsyncHTTPClient:
    """The client that BinderHub has chosen, with a bound for this request's answer."""
    if AsyncHTTPClient.configured_class().__name__ == "CurlAsyncHTTPClient":
        request.prepare_curl_callback = _bound_curl
        return _shared_client()
    # The bound of a buffer is that of a body too, also of one without a Content-Length.
    return _shared_client(max_buffer_size=MAX_ANSWER)


_clients: list[AsyncHTTPClient] = []


def _shared_client(**options: int) -> AsyncHTTPClient:
    # One of their own: tornado's usual one has ten places, which ten slow hosts would take.
    if not _clients:
        _clients.append(AsyncHTTPClient(force_instance=True, max_clients=MAX_LOOKUPS, **options))
    return _clients[0]


def _bound_curl(curl: Any) -> None:  # noqa: ANN401 - pycurl's
    """Have curl end the transfer where the answer is too long, also without a Content-Length."""
    import pycurl

    curl.setopt(pycurl.NOPROGRESS, 0)
    curl.setopt(pycurl.XFERINFOFUNCTION, lambda _total, received, *_sent: int(received > MAX_ANSWER))
