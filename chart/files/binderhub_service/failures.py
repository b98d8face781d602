"""What can go wrong: for each code a title, what happened, and what to do next.

Codes are stable: people search for them, and docs/how-to/troubleshoot.md has a section for each.
"""

from dataclasses import dataclass, field
from typing import Any

DOCS = "docs/how-to/troubleshoot.md"


@dataclass(frozen=True)
class FailureKind:
    """One code. `what` and `next_step` are templates, filled with the particulars of a failure."""

    title: str
    what: str
    next_step: str
    retryable: bool = False
    """Whether the same request can succeed later although nobody changes anything."""
    tried_again: bool = False
    """Whether the build itself makes a second attempt."""
    node_lost: bool = False
    """Whether nothing can be read from the node or deleted there."""


FAILURES = {
    # The repository
    "BHS101": FailureKind(
        "A step of the build failed",
        "The build failed{step}: {detail}",
        "Mend that step in the repository; the lines above say what it printed.",
    ),
    "BHS102": FailureKind(
        "A step of the build was killed",
        "The build failed{step}: the step was killed (exit code 137), most likely for want of memory on node {node}.",
        "Let the step take less memory, or give the docker-api pods more (dockerApi.resources).",
    ),
    "BHS103": FailureKind(
        "The repository could not be fetched",
        "The repository {repo} could not be fetched: {detail}",
        "See the lines above; try `git clone` of the same URL.",
    ),
    "BHS104": FailureKind(
        "The repository is private or does not exist",
        "The repository {repo} does not exist, or its host wants a login that this service does not have: {detail}",
        "Check the URL; for a private repository, ask the administrator to give the service a token for its host.",
    ),
    "BHS105": FailureKind(
        "The repository's host cannot be reached",
        "The host of {repo} could not be reached from the build pod: {detail}",
        "Ask again in a minute; if it stays, check the host's name and the cluster's way to it (policies, DNS, proxy).",
        retryable=True,
    ),
    "BHS106": FailureKind(
        "The repository has no such ref",
        "The repository {repo} has no ref {ref}: {detail}",
        "Ask for a branch, tag or commit that was pushed there.",
    ),
    "BHS107": FailureKind(
        "The certificate of the repository's host is not trusted",
        "The certificate of the host of {repo} is not trusted: {detail}",
        "Give the certificate of the authority that signed it in certificateAuthorities; one that has expired, or is"
        " for another name, has to be replaced on the host.",
    ),
    "BHS108": FailureKind(
        "A symbolic link leaves the repository",
        "The repository {repo} has a symbolic link, {detail}, that leads out of the repository where repo2docker reads"
        " configuration.",
        "Replace the link with the file itself, or with a link to a file of the repository.",
    ),
    "BHS109": FailureKind(
        "The repository is too large",
        "The repository {repo} is larger than this service allows: {detail}.",
        "Take large files out of the repository and its history, or ask the administrator to raise"
        " buildPods.repositorySizeLimit.",
    ),
    # The build image
    "BHS201": FailureKind(
        "The build image's name is invalid",
        "The build image's name is invalid: {detail}",
        "Correct config.KubernetesBuildExecutor.build_image.",
    ),
    "BHS202": FailureKind(
        "The build image is not there, or not for us",
        "The build image {image} was not found, or its registry refuses it: {detail}",
        "Check config.KubernetesBuildExecutor.build_image, and buildPods.imagePullSecrets for a private one.",
    ),
    "BHS203": FailureKind(
        "The build image cannot be pulled",
        "The build image {image} could not be pulled for {seconds} s: {detail}",
        "Check that the nodes reach the image's registry; then ask again.",
        retryable=True,
    ),
    "BHS204": FailureKind(
        "The build image cannot run",
        "The build image {image} was pulled but its command cannot start: {detail}",
        "Set config.KubernetesBuildExecutor.build_image to an image that has repo2docker and python3.",
    ),
    # Starting
    "BHS301": FailureKind(
        "No node takes the build pod",
        "No node took the build pod for {seconds} s: {detail}",
        "Add a node, or change buildPods.resources, builders.nodeSelector or buildPods.tolerations so that one fits.",
        retryable=True,
    ),
    "BHS302": FailureKind(
        "No docker-api pod is ready",
        "There was no docker-api pod that is ready for {seconds} s: {detail}",
        "See `kubectl describe pods` and the log of the docker-api pods.",
        retryable=True,
    ),
    "BHS303": FailureKind(
        "The build pod did not start",
        "The build pod did not start within {seconds} s: {detail}",
        "See `kubectl describe pod` of a build; ask again when what it says is mended.",
        retryable=True,
    ),
    "BHS304": FailureKind(
        "The cluster refuses the build pod",
        "Kubernetes refuses the build pod: {detail}",
        "Change the values that this names (buildPods, config.KubernetesBuildExecutor), or the policy that refuses.",
    ),
    "BHS305": FailureKind(
        "A quota is used up",
        "The namespace's quota had no room for the build pod for {seconds} s: {detail}",
        "Raise the quota, lower buildPods.resources, or ask again when other pods have ended.",
        retryable=True,
    ),
    # What the pod needs
    "BHS401": FailureKind(
        "A Secret, ConfigMap or volume is missing",
        "The build pod cannot start, because something it mounts is not there: {detail}",
        "Create what is missing in the namespace of the build pods, or correct its name in the values.",
    ),
    # The daemon and the node
    "BHS501": FailureKind(
        "The daemon was lost during the build",
        "The docker-api pod on node {node} ended during the build: {detail}",
        "Ask again; if it comes back, see why that pod ended with `kubectl describe pods` and its log.",
        retryable=True,
    ),
    "BHS502": FailureKind(
        "The daemon ran out of memory",
        "The docker-api pod on node {node} was killed because it took more memory than its limit.",
        "Raise dockerApi.resources.limits.memory or remove it, or let the build take less; then ask again.",
        retryable=True,
    ),
    "BHS503": FailureKind(
        "The node was lost",
        "Node {node}, which ran the build, does not answer any more.",
        "Ask again: the next build takes another node. See `kubectl describe node`.",
        retryable=True,
        node_lost=True,
    ),
    "BHS504": FailureKind(
        "The daemon's disk is full",
        "The disk of the daemon on node {node} is full: {detail}",
        "Free space there (`docker system prune` in its docker-api pod), or give dockerApi.storage more.",
    ),
    # The push
    "BHS601": FailureKind(
        "The registry refuses the login",
        "The image was built, but the registry refuses the push of {name}: {detail}",
        "Check buildPodsRegistryCredentials, and that the account may push to this name.",
    ),
    "BHS602": FailureKind(
        "The registry finds the image too large",
        "The image was built, but the registry, or a proxy before it, finds a layer of {name} too large: {detail}",
        "Raise the limit of request bodies there, or make the layers smaller.",
    ),
    "BHS603": FailureKind(
        "The registry limits the rate",
        "The image was built, but the registry says that there were too many requests: {detail}",
        "Ask again later; the layers that are there are not pushed again.",
        retryable=True,
    ),
    "BHS604": FailureKind(
        "The registry cannot be reached",
        "The image was built, but the registry of {name} could not be reached: {detail}",
        "Check the registry's name in config.BinderHub.image_prefix and the way to it from the docker-api pods.",
        retryable=True,
    ),
    "BHS605": FailureKind(
        "The registry's certificate is not trusted",
        "The image was built, but the daemon does not trust the certificate of the registry of {name}: {detail}",
        "Give docker-api the authority's certificate at /etc/docker/certs.d/<host>/ca.crt (dockerApi.extraFiles).",
    ),
    "BHS606": FailureKind(
        "The push failed",
        "The image was built, but its push to {name} failed. The last lines were:\n{detail}",
        "See what they say; ask again when it is mended.",
    ),
    "BHS607": FailureKind(
        "The registry failed twice",
        "The image was built, but the registry of {name} failed, and did so again: {detail}",
        "See the registry's own log; ask again when it is well.",
        retryable=True,
        tried_again=True,
    ),
    "BHS608": FailureKind(
        "The registry does not hold the image",
        "The image was built and pushed, but the registry does not hold it as {name}: {detail}.",
        "Ask again; if it stays, see the registry's own log and its rules for tags.",
        retryable=True,
    ),
    "BHS609": FailureKind(
        "The registry could not confirm the image",
        "The image was built and pushed, but the registry could not confirm that it holds {name}: {detail}",
        "Check that BinderHub reaches the registry with a login that may read: registry, or config.DockerRegistry.",
        retryable=True,
    ),
    # The build pod
    "BHS701": FailureKind(
        "The build pod ran out of memory",
        "The build pod took more memory than its limit and was killed.",
        "Raise buildPods.resources.limits.memory: it bounds repo2docker, not the steps of the build.",
    ),
    "BHS702": FailureKind(
        "The build pod was evicted",
        "The build pod was evicted from node {node}: {detail}",
        "Ask again; give build pods a higher buildPods.priorityClassName, or the node more room, if it happens often.",
        retryable=True,
    ),
    "BHS703": FailureKind(
        "The build pod was deleted",
        "Somebody deleted the build pod while it ran.",
        "Ask again.",
        retryable=True,
    ),
    "BHS704": FailureKind(
        "The build took too long",
        "The build took longer than {seconds} s and was ended.",
        "Make the build shorter, or raise buildPods.deadlineSeconds.",
    ),
    "BHS705": FailureKind(
        "The build pod failed without a word",
        "The build pod ended without saying why: {detail}",
        "See the lines above and the events of the namespace; ask again.",
        retryable=True,
    ),
    "BHS706": FailureKind(
        "The build pod ended without its report",
        "The build pod ended well, but the end of its log, which says what was pushed, could not be read.",
        "Ask again: an image that was pushed is found in the registry.",
        retryable=True,
    ),
    # This service
    "BHS801": FailureKind(
        "This service lacks a right",
        "BinderHub's service account may not do what a build needs: {detail}",
        "Let the chart make its Role (rbac.create), or give the account the rights that the chart's Role names.",
    ),
    "BHS802": FailureKind(
        "Kubernetes does not answer",
        "The Kubernetes API did not answer for {seconds} s: {detail}",
        "Ask again when the cluster is well; a build that ran may go on meanwhile.",
        retryable=True,
    ),
    "BHS803": FailureKind(
        "An error in this service",
        "This service made an error: {detail}",
        "Ask again, and report it with the log of the BinderHub pod.",
        retryable=True,
    ),
    "BHS804": FailureKind(
        "Too many of your builds are waiting",
        "As many of your builds are waiting to begin as one user, or one address, may have: {count}.",
        "Ask again when one of them has begun; an administrator can change buildPods.maxWaitingPerRequester.",
        retryable=True,
    ),
}


@dataclass(frozen=True)
class Failure:
    """One failure of one build: a code with its particulars."""

    code: str
    particulars: dict[str, Any] = field(default_factory=dict)

    @property
    def kind(self) -> FailureKind:
        """What the code stands for."""
        return FAILURES[self.code]

    @property
    def what(self) -> str:
        """What happened, as a sentence."""
        return self.kind.what.format_map(_Particulars(self.particulars)).strip()

    def event(self) -> dict[str, Any]:
        """The one `failed` event of a stream; `message` is for people, the rest for programs."""
        message = f"{self.code}: {self.what}\n{self.kind.next_step}\n"
        return {
            "phase": "failed",
            "message": message,
            "code": self.code,
            "what": self.what,
            "next_step": self.kind.next_step,
            "docs": f"{DOCS}#{self.code.lower()}",
        }


class _Particulars(dict[str, Any]):
    def __missing__(self, key: str) -> str:
        return "" if key in ("step", "detail") else "?"
