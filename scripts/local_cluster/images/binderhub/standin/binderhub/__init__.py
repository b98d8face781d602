"""A stand-in for BinderHub: the same configuration, executor classes and event streams, for a local cluster only.

BinderHub is installed from its Git repository, which some machines cannot reach. There this package takes its place: it
reads the same config file, loads the same build, cleaner and registry classes, and answers `/build`, `/versions`,
`/health`, `/metrics` and `/api/repoproviders` as BinderHub does in api-only mode. tests/services runs on both.

Left out: the pages for people, launching on a JupyterHub, launch quotas, events, and all providers but `git` and `gh`.
"""

__version__ = "0.2.0+standin"
STAND_IN = "This is a stand-in for BinderHub, made for local clusters; it builds images and launches nothing."
