"""After a push, before the image counts as ready: does the registry have the digest that was pushed?"""

import asyncio
import time
from typing import Any

from binderhub_service.failures import Failure

CONFIRM_SECONDS = 10.0
"""A registry with several servers may show a push a moment later."""
PAUSE_SECONDS = 0.5


class RegistryUnknown(Exception):  # noqa: N818 - a state, not a defect
    """The registry does not tell whether it has an image. The message is a sentence for visitors."""


def name_and_tag(image: str) -> tuple[str, str]:
    """An image's name in its registry, and its tag, split as by BinderHub's `_get_image_basename_and_tag`."""
    name, _, tag = image.rpartition(":")
    first, _, rest = name.partition("/")
    is_registry = "." in first or ":" in first or first == "localhost"
    return (rest if rest and is_registry else name), tag


async def held_digest(registry: Any, image: str) -> str:  # noqa: ANN401 - BinderHub's registry, or a user's
    """Digest of an image in the registry; empty if the registry does not have it. Raises RegistryUnknown.

    An administrator's own registry class only tells whether the image exists: then the answer is `present`.
    """
    name, tag = name_and_tag(image)
    if hasattr(registry, "digest"):
        return await registry.digest(name, tag) or ""
    try:
        return "present" if await registry.get_image_manifest(name, tag) else ""
    except Exception as wrong:
        raise RegistryUnknown(f"it could not be asked ({type(wrong).__name__})") from wrong


async def confirm_push(registry: Any, image: str, pushed: str) -> tuple[str, Failure | None]:  # noqa: ANN401
    """The digest on which registry and daemon agree, or why the build failed after all."""
    if not pushed:
        return "", Failure("BHS608", {"name": image, "detail": "the daemon reported no digest of what it pushed"})
    end = time.monotonic() + CONFIRM_SECONDS
    while True:
        try:
            held = await held_digest(registry, image)
        except RegistryUnknown as unknown:
            return "", Failure("BHS609", {"name": image, "detail": str(unknown)})
        if held in (pushed, "present"):
            return pushed, None
        if time.monotonic() > end:
            found = f"it holds {held} instead" if held else "it has no such image"
            return "", Failure("BHS608", {"name": image, "detail": f"{pushed} was pushed, but {found}"})
        await asyncio.sleep(PAUSE_SECONDS)


async def confirm_presence(registry: Any, image: str) -> tuple[str, Failure | None]:  # noqa: ANN401
    """The digest of an image that was not to be pushed, or why the build failed: the registry has to hold it."""
    try:
        held = await held_digest(registry, image)
    except RegistryUnknown as unknown:
        return "", Failure("BHS609", {"name": image, "detail": str(unknown)})
    if held:
        return held, None
    detail = "the image was built, and not pushed: push_secret is empty, or repo2docker_extra_args has --no-push"
    return "", Failure("BHS608", {"name": image, "detail": detail})
