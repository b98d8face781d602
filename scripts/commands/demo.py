"""scripts/demo: the main job, from end to end."""

import argparse
from pathlib import Path

from common.errors import UserError
from common.progress import say


def parser() -> argparse.ArgumentParser:
    """The options."""
    options = argparse.ArgumentParser(
        prog="scripts/demo",
        description="Install the chart on a real Kubernetes, have BinderHub build a Git repository and push the image, "
        "ask again, and run a pod from the image on another node. Without --context this raises the local cluster "
        "first.",
    )
    options.add_argument(
        "--repository", metavar="URL", help="the Git repository to build; it has a Dockerfile by default"
    )
    options.add_argument("--ref", default="HEAD", help="branch, tag or commit of the repository (default: %(default)s)")
    add_place(options)
    return options


def add_place(options: argparse.ArgumentParser) -> None:
    """Add the options that say on which cluster a job runs; `check` is for them."""
    local = options.add_argument_group("on the local cluster")
    local.add_argument(
        "--binderhub-wheel",
        metavar="FILE",
        type=Path,
        help="a wheel of the real BinderHub; without it a stand-in serves",
    )
    local.add_argument("--force", action="store_true", help="replace the cluster even while another command uses it")
    own = options.add_argument_group(
        "on your own cluster", "The registry's login comes from REGISTRY_USERNAME and REGISTRY_PASSWORD."
    )
    own.add_argument("--context", metavar="NAME", help="the kubeconfig context of the cluster")
    own.add_argument("--registry", metavar="HOST[/PATH]", help="where to push, such as quay.io/your-organization")
    own.add_argument(
        "--values", metavar="FILE", type=Path, action="append", default=[], help="values that the chart needs there"
    )


def check(options: argparse.Namespace) -> None:
    """Raise UserError if options contradict each other, or the machine or the wheel is unsuitable."""
    if options.context == "":
        raise UserError("--context is empty.", "Name a context; see `kubectl config get-contexts`.")
    if options.context:
        if not options.registry:
            raise UserError("Your own cluster needs a registry to push to.", "Add --registry HOST/PATH.")
        if options.binderhub_wheel:
            raise UserError(
                "--binderhub-wheel is for the local cluster; yours runs the image that the chart names.",
                "Leave one of --context and --binderhub-wheel out.",
            )
        if options.force:
            raise UserError("--force is for the local cluster; yours is never replaced.", "Leave --force out.")
        return
    if options.registry or options.values:
        raise UserError(
            "The local cluster has its own registry and values.", "Add --context NAME to use your own cluster."
        )
    from local_cluster import preconditions

    preconditions.check(options.binderhub_wheel)


def packages(options: argparse.Namespace) -> tuple[str, ...]:
    """The groups of Debian packages that the job needs."""
    return () if options.context else ("lab",)


def main(options: argparse.Namespace) -> int:
    """Take the steps and print the table."""
    from demonstration import steps, target
    from local_cluster import cluster

    rows = steps.Rows()
    if options.context:
        where = target.named(options.context, options.registry, options.repository, options.ref, tuple(options.values))
    else:
        with rows.step("Raise the local cluster") as evidence:
            cluster.up(options.binderhub_wheel, force=options.force)
            evidence.append(cluster.description())
        where = target.local(options.repository, options.ref)
    steps.run(where, rows)
    rows.show()
    say(
        f"\nThe service stays installed; look at it with: kubectl --context {where.context} --namespace binderhub-demo "
        "get pods\n"
        + (
            "Remove it with: kubectl delete namespace binderhub-demo"
            if options.context
            else "Remove it all with: ./scripts/down"
        )
    )
    return 0
