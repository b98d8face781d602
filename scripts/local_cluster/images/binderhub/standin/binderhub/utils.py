"""Small things that several modules share, under the names that BinderHub gives them."""

import ipaddress
from collections.abc import Iterable
from hashlib import blake2b
from typing import Any

from traitlets import Integer, TraitError

KUBE_REQUEST_TIMEOUT = (3, 30)
"""Seconds to connect to the API server, and seconds without a byte from it, before a request is given up."""


def rendezvous_rank(buckets: Iterable[str], key: str) -> list[str]:
    """`buckets` in the order in which `key` prefers them; taking one away leaves the order of the others."""

    def score(bucket: str) -> tuple[int, str]:
        return int.from_bytes(blake2b(f"{key}-{bucket}".encode(), digest_size=8).digest(), "big"), bucket

    return sorted(buckets, key=score, reverse=True)


def ip_in_networks(
    address: str, networks: Iterable[ipaddress.IPv4Network | ipaddress.IPv6Network]
) -> ipaddress.IPv4Network | ipaddress.IPv6Network | None:
    """The first of `networks` that holds `address`."""
    return next((network for network in networks if ipaddress.ip_address(address) in network), None)


class ByteSpecification(Integer[Any, Any]):
    """A number of bytes: an integer, or text such as `512M` or `1.5G` in powers of 1024."""

    allow_none = True
    UNIT_SUFFIXES = {"K": 1024, "M": 1024**2, "G": 1024**3, "T": 1024**4}  # noqa: RUF012 - BinderHub's name and type

    def validate(self, obj: Any, value: Any) -> int:
        """The number of bytes; TraitError when `value` is not of the two forms."""
        if isinstance(value, int | float):
            return int(value)
        try:
            return int(float(value[:-1]) * self.UNIT_SUFFIXES[value[-1]])
        except (ValueError, KeyError, IndexError, TypeError) as wrong:
            raise TraitError(f"{value} is not a memory size: an integer, or a number with K, M, G or T") from wrong
