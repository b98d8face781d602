"""A client that requests an image from BinderHub and follows the events."""

import json
from collections.abc import Callable
from dataclasses import dataclass
from urllib.parse import quote

import httpx
import httpx_sse
from common.errors import UserError

# BinderHub sends a comment every 25 s; a stream that is silent for longer is dead.
SILENCE_SECONDS = 60.0


@dataclass(frozen=True)
class Event:
    """One event of a build's stream."""

    phase: str
    """waiting, fetching, building, pushing, ready, failed …; empty where the event names none."""
    message: str
    image: str = ""


@dataclass(frozen=True)
class Outcome:
    """How a request ended: the image's full name, and the phases on the way."""

    image: str
    message: str
    phases: tuple[str, ...]

    @property
    def built(self) -> bool:
        """Whether anything was built for this request."""
        return bool({"fetching", "building", "pushing"} & set(self.phases))


def url(binderhub: str, repository: str, ref: str) -> str:
    """The URL that asks for an image of a Git repository, without launching it."""
    return f"{binderhub}/build/git/{quote(repository, safe='')}/{quote(ref, safe='')}?build_only=true"


def request(address: str, told: Callable[[Event], None]) -> Outcome:
    """Ask for an image at `address` (see `url`), hand every event to `told`, and return how it ended.

    Raises UserError at the first `failed` event, since BinderHub may leave the stream open after one, and if the stream
    ends or stops without an answer.
    """
    phases: list[str] = []
    last: list[str] = []
    try:
        with (
            httpx.Client(timeout=httpx.Timeout(10.0, read=SILENCE_SECONDS), trust_env=False) as client,
            httpx_sse.connect_sse(client, "GET", address) as source,
        ):
            source.response.raise_for_status()
            for message in source.iter_sse():
                event = _event(json.loads(message.data))
                told(event)
                last = [*last, event.message.rstrip()][-20:]
                if event.phase not in phases:
                    phases.append(event.phase)
                if event.phase == "failed":
                    raise UserError(
                        "The build failed. The last that was heard of it:\n    " + "\n    ".join(filter(None, last)),
                        "Fix the reason, then run this again. BinderHub's log may say more.",
                    )
                if event.phase == "ready":
                    return Outcome(event.image, event.message.strip(), tuple(phases))
    except httpx.HTTPError as error:
        raise UserError(
            f"BinderHub stopped answering: {error}.", "Look at its pod's log, then run this again."
        ) from error
    raise UserError("BinderHub ended the stream without an answer.", "Look at its pod's log, then run this again.")


def _event(data: dict[str, object]) -> Event:
    return Event(str(data.get("phase") or ""), str(data.get("message") or ""), str(data.get("imageName") or ""))
