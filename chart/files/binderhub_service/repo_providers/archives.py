"""Providers of archives (Zenodo, Figshare, Dataverse, CKAN) whose images cannot be replaced from another address.

BinderHub names their images by the number of a record, which the host in the visitor's address returns. The owner of a
host, or of a DOI that leads to it, could return the number of another record, and have its image built from other
files. Here, the image's name contains a hash of the address. Delete this module once BinderHub's names contain it.
"""

import hashlib
from typing import Any

from binderhub_service.repo_providers import git_address

ARCHIVES = ("zenodo", "figshare", "dataverse", "ckan")
"""Keys of BinderHub.repo_providers."""


def named_by_address(provider: type[Any]) -> type[Any]:
    """A subclass of one of BinderHub's providers, with a hash of the address in image names, and without logins."""

    def check(self: Any, *args: Any, **kwargs: Any) -> None:  # noqa: ANN401 - BinderHub's signature
        provider.__init__(self, *args, **kwargs)
        if git_address.has_login(str(self.get_repo_url())):
            raise ValueError(git_address.LOGIN_IN_ADDRESS)

    def get_build_slug(self: Any) -> str:  # noqa: ANN401 - BinderHub's class
        address = hashlib.sha256(str(self.get_repo_url()).encode()).hexdigest()
        return f"{provider.get_build_slug(self)}-{address[:32]}"

    methods = {"__init__": check, "get_build_slug": get_build_slug}
    return type(f"Service{provider.__name__}", (provider,), {"__module__": __name__, **methods})
