"""BinderHub's providers of repositories, with bounds on what a host may answer, and on where Git credentials go."""

from typing import Any


def repo_providers() -> dict[str, Any]:
    """The value of BinderHub.repo_providers: BinderHub's own, with the chart's provider for `git`."""
    from binderhub import repoproviders
    from binderhub.app import BinderHub

    from binderhub_service.repo_providers.archives import ARCHIVES, named_by_address
    from binderhub_service.repo_providers.git_provider import ServiceGitRepoProvider
    from binderhub_service.repo_providers.lookup_limits import LookupClient

    repoproviders.AsyncHTTPClient = LookupClient
    providers = {**BinderHub.class_traits()["repo_providers"].default(), "git": ServiceGitRepoProvider}
    for key in ARCHIVES:
        if key in providers:
            providers[key] = named_by_address(providers[key])
    return providers
