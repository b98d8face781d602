"""Providers of archives (Zenodo, Figshare, Dataverse, CKAN) whose images no other address can replace.

BinderHub names their images by a number that the host in the visitor's address tells. Whoever owns a host, or a DOI
that leads to it, could tell the number of somebody else's record, and have it built from files of their own. The name
of the image contains a hash of the address here. Superfluous once BinderHub's names contain the address.
"""

import hashlib
from typing import Any

ARCHIVES = ("zenodo", "figshare", "dataverse", "ckan")
"""Keys of BinderHub.repo_providers."""


def named_by_address(provider: type[Any]) -> type[Any]:
    """A subclass of one of BinderHub's providers, with a hash of the address in its slug."""

    def get_build_slug(self: Any) -> str:  # noqa: ANN401 - BinderHub's class
        address = hashlib.sha256(str(self.get_repo_url()).encode()).hexdigest()
        return f"{provider.get_build_slug(self)}-{address[:32]}"

    return type(f"Service{provider.__name__}", (provider,), {"__module__": __name__, "get_build_slug": get_build_slug})
