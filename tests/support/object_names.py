"""The names of all objects of a namespace, and of the cluster's own, by kind as kubectl prints it."""

from collections import defaultdict

from demonstration.target import Target

Listing = dict[str, list[str]]

# These come and go by themselves.
MOVING = {"events", "events.events.k8s.io", "leases.coordination.k8s.io", "componentstatuses"}
# These follow pods, which an upgrade replaces.
OF_PODS = {"pod", "replicaset.apps", "controllerrevision.apps", "endpoints", "endpointslice.discovery.k8s.io"}
# Helm keeps a release's history in Secrets with such names.
HISTORY = "sh.helm.release.v1."


def of(target: Target, namespace: str) -> Listing:
    """The names by kind; kinds without objects are left out."""
    found: Listing = defaultdict(list)
    for where in ([f"--namespace={namespace}"], []):
        namespaced = f"--namespaced={'true' if where else 'false'}"
        listed = target.run(target.kubectl, "api-resources", "--verbs=list", namespaced, "--output=name")
        kinds = ",".join(sorted(set(listed.split()) - MOVING))
        for line in target.run(target.kubectl, "get", kinds, *where, "--output=name").split():
            kind, _, name = line.partition("/")
            found[kind].append(name)
    return {kind: sorted(names) for kind, names in found.items()}


def without_pods(listing: Listing) -> Listing:
    """Without what follows pods, and without Helm's history."""
    kept = {kind: [name for name in names if not name.startswith(HISTORY)] for kind, names in listing.items()}
    return {kind: names for kind, names in kept.items() if names and kind not in OF_PODS}
