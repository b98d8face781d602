"""How images and build pods are named. Images live long, pods are locks; hence two rules."""

import hashlib
import re
import string

import escapism


def safe_slug(text: str, limit: int, hash_length: int = 6) -> str:
    """`text` in lower-case letters, digits and `-`, cut so that with its hash it has at most `limit` characters."""
    escaped = escapism.escape(text, safe=set(string.ascii_letters + string.digits), escape_char="-")
    digest = hashlib.sha256(text.encode()).hexdigest()[:hash_length]
    return f"{escaped[: limit - hash_length - 1]}-{digest}".lower()


def image_name(prefix: str, build_slug: str, ref: str) -> str:
    """The image's full name with its tag, at most 255 characters before the tag.

    Underscores and capitals are replaced over the whole string, the prefix included.
    """
    return f"{prefix}{safe_slug(build_slug, 255 - len(prefix))}:{ref}".replace("_", "-").lower()


def build_name(build_slug: str, ref: str) -> str:
    """The name of the build pod, at most 63 characters; the same slug and ref always give the same name."""
    prefix, limit, ref_length = "build-", 63, 6
    slug = safe_slug(build_slug, limit - len(prefix) - ref_length - 1)
    return f"{prefix}{slug}-{safe_slug(ref, ref_length, hash_length=2)[:ref_length]}".lower()


def image_basename_and_tag(full_name: str) -> tuple[str, str]:
    """The name within its registry, and the tag (`latest` when there is none)."""
    name, colon, tag = full_name.rpartition(":")
    if not colon:
        name, tag = full_name, "latest"
    if re.fullmatch("[a-z0-9]{4,40}/[a-z0-9._-]{2,255}", name):
        return name, tag  # a name at Docker Hub, which goes without a host
    return name.partition("/")[2], tag
