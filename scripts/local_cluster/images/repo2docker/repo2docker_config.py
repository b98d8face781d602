"""Read by repo2docker from its working directory.

Its other content providers ask hosts on the internet about every URL before Git gets its turn, and wait for each where
there is no internet.
"""

from repo2docker import contentproviders

c.Repo2Docker.content_providers = [contentproviders.Local, contentproviders.Git]  # type: ignore[name-defined]  # noqa: F821
