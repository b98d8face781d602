"""The catalogue of failures: for each code a title, what happened, and what to do next.

Codes are stable, because people search for them. docs/how-to/troubleshoot.md has a section for each.
"""

import os
from dataclasses import dataclass, field
from typing import Any

PAGE = "how-to/troubleshoot"
"""The page with a section for each code, below the address of the documentation."""


PUBLISHED = "https://binderhub-service.readthedocs.io/en/latest"
"""Where the documentation is, unless $DOCUMENTATION_URL says otherwise."""


def section(code: str) -> str:
    """Address of the section of the documentation about a code."""
    url = os.environ.get("DOCUMENTATION_URL") or PUBLISHED
    return f"{url.rstrip('/')}/{PAGE}.html#{code.lower()}"


@dataclass(frozen=True)
class FailureKind:
    """What a code stands for. `what` and `next_step` are templates for the particulars of a failure."""

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
        "Fix the failing step in the repository. The lines above show its output.",
    ),
    "BHS102": FailureKind(
        "A step of the build was killed",
        "The build failed{step}: {detail}, most likely for lack of memory on node {node}.",
        "Make the step use less memory, or give the docker-api pods more: dockerApi.resources.limits.memory.",
    ),
    "BHS103": FailureKind(
        "The repository could not be fetched",
        "The repository {repo} could not be fetched: {detail}",
        "Read the lines above, and try `git clone` with the same URL.",
    ),
    "BHS104": FailureKind(
        "The repository is private or does not exist",
        "The repository {repo} does not exist, or requires a login that this service does not have: {detail}",
        "Check the URL. For a private repository, ask the administrator to configure Git credentials for its host.",
    ),
    "BHS105": FailureKind(
        "The repository's host cannot be reached",
        "The host of {repo} could not be reached from the build pod: {detail}",
        "Try again in a minute. If it fails again, check the host name, DNS, network policies and proxies.",
        retryable=True,
    ),
    "BHS106": FailureKind(
        "The repository has no such ref",
        "The repository {repo} has no ref {ref}: {detail}",
        "Request a branch, tag or commit that exists there.",
    ),
    "BHS107": FailureKind(
        "The certificate of the repository's host is not trusted",
        "The certificate of the host of {repo} is not trusted: {detail}",
        "Add the certificate of the authority that signed it to certificateAuthorities. A certificate that has"
        " expired, or is for another name, must be replaced on the host.",
    ),
    "BHS108": FailureKind(
        "A symbolic link leaves the repository",
        "The repository {repo} has a symbolic link, {detail}, that points outside the repository, in a folder where"
        " repo2docker reads configuration.",
        "Replace the link with the file itself, or with a link to a file in the repository.",
    ),
    "BHS109": FailureKind(
        "The repository is too large",
        "The repository {repo} is larger than this service allows: {detail}.",
        "Remove large files from the repository and its history, or ask the administrator to raise"
        " buildPods.repositorySizeLimit, or the limit that the message names.",
    ),
    "BHS110": FailureKind(
        "A submodule could not be fetched",
        "A submodule of the repository {repo} could not be fetched: {detail}",
        "Check the submodule's URL in .gitmodules, and that its commit was pushed. A private submodule needs a login,"
        " which only the repository's own host gets.",
    ),
    "BHS111": FailureKind(
        "The base image was not found, or access was denied",
        "The build failed because its base image was not found, or its registry denied access: {detail}",
        "Check the FROM lines of the Dockerfile. For a private image, ask the administrator to add a login for its"
        " registry.",
    ),
    "BHS112": FailureKind(
        "The base image's registry limits the request rate",
        "The build failed because the registry of its base image answered that there were too many requests: {detail}",
        "Try again later. An administrator can add a login for that registry, whose limit is higher, or a mirror.",
        retryable=True,
    ),
    "BHS113": FailureKind(
        "The base image could not be pulled",
        "The build failed because the daemon could not pull its base image: {detail}",
        "Try again in a minute. If it fails again, check that the docker-api pods can reach that registry.",
        retryable=True,
    ),
    "BHS114": FailureKind(
        "The image cannot start a server",
        "The image was built, but it cannot start a server, so it was not pushed: {detail}",
        "Install what is missing, such as jupyterhub and jupyterlab, outside the home directory, which a user's volume"
        ' hides. An entry point must end with `exec "$@"`.',
    ),
    # The build image
    "BHS201": FailureKind(
        "The build image's name is invalid",
        "The build image's name is invalid: {detail}",
        "Correct config.KubernetesBuildExecutor.build_image.",
    ),
    "BHS202": FailureKind(
        "The build image was not found, or access was denied",
        "The build image {image} was not found, or its registry denied access: {detail}",
        "Check config.KubernetesBuildExecutor.build_image and, for a private image, buildPods.imagePullSecrets.",
    ),
    "BHS203": FailureKind(
        "The build image cannot be pulled",
        "The build image {image} could not be pulled for {seconds} s: {detail}",
        "Check that the nodes can reach the image's registry, then try again.",
        retryable=True,
    ),
    "BHS204": FailureKind(
        "The build image cannot run",
        "The build image {image} was pulled, but its command cannot start: {detail}",
        "Set config.KubernetesBuildExecutor.build_image to an image with repo2docker and python3.",
    ),
    "BHS205": FailureKind(
        "repo2docker refuses an argument",
        "repo2docker in the build image does not accept its arguments: {detail}",
        "Remove the argument from config.KubernetesBuildExecutor (repo2docker_extra_args, memory_limit), or set"
        " build_image to an image whose repo2docker accepts it.",
    ),
    "BHS206": FailureKind(
        "The image could not be checked",
        "The image was built, but it could not be checked: {detail}",
        "Check that config.KubernetesBuildExecutor.build_image has docker buildx, or set buildPods.checkImage.enabled"
        " to false.",
    ),
    # Starting
    "BHS301": FailureKind(
        "The build pod cannot be scheduled",
        "The build pod could not be scheduled for {seconds} s: {detail}",
        "Add a node, or change buildPods.resources, builders.nodeSelector or buildPods.tolerations so that one fits.",
        retryable=True,
    ),
    "BHS302": FailureKind(
        "No docker-api pod is ready",
        "No docker-api pod was ready for {seconds} s: {detail}",
        "Run `kubectl describe pods` and read the logs of the docker-api pods.",
        retryable=True,
    ),
    "BHS303": FailureKind(
        "The build pod did not start",
        "The build pod did not start within {seconds} s: {detail}",
        "Run `kubectl describe pod` for a build pod, fix what it shows, then try again.",
        retryable=True,
    ),
    "BHS304": FailureKind(
        "The cluster refuses the build pod",
        "Kubernetes refused the build pod: {detail}",
        "Change the values that the message names (buildPods, config.KubernetesBuildExecutor), or the policy.",
    ),
    "BHS305": FailureKind(
        "A resource quota is exhausted",
        "The namespace's resource quota left no room for the build pod for {seconds} s: {detail}",
        "Raise the quota, lower buildPods.resources, or try again when other pods have ended.",
        retryable=True,
    ),
    # What the pod needs
    "BHS401": FailureKind(
        "A Secret, ConfigMap or volume is missing",
        "The build pod cannot start because something that it mounts is missing: {detail}",
        "Create it in the namespace of the build pods, or correct its name in the values.",
    ),
    # The daemon and the node
    "BHS501": FailureKind(
        "The daemon was lost during the build",
        "The docker-api pod on node {node} ended during the build: {detail}",
        "Try again. If it happens again, find out why that pod ended with `kubectl describe pods` and its log.",
        retryable=True,
    ),
    "BHS502": FailureKind(
        "The daemon ran out of memory",
        "The docker-api pod on node {node} was killed because it exceeded its memory limit.",
        "Raise or remove dockerApi.resources.limits.memory, or make the build use less memory. Then try again.",
        retryable=True,
    ),
    "BHS503": FailureKind(
        "The node was lost",
        "Node {node}, which ran the build, no longer answers.",
        "Try again: the next build runs on another node. Run `kubectl describe node` to see why it was lost.",
        retryable=True,
        node_lost=True,
    ),
    "BHS504": FailureKind(
        "The daemon's disk is full",
        "The disk of the daemon on node {node} is full: {detail}",
        "Run `docker system prune --all --force` in that node's docker-api pod, or raise dockerApi.storage.",
    ),
    "BHS505": FailureKind(
        "The daemon stopped answering",
        "The daemon on node {node} did not answer for {seconds} s during the build.",
        "Try again. If it happens again, delete the docker-api pod on that node, and look at the node's load and disk.",
        retryable=True,
    ),
    "BHS506": FailureKind(
        "The daemon's socket cannot be opened",
        "The daemon's socket on node {node} cannot be opened: {detail}",
        "Let the build pods open it: check who owns the socket, and what a security policy of the node forbids.",
    ),
    # The push
    "BHS601": FailureKind(
        "The registry refuses the login",
        "The image was built, but the registry refuses the push of {name}: {detail}",
        "Check the login in registry (or buildPodsRegistryCredentials), and that its account may push to this name.",
    ),
    "BHS602": FailureKind(
        "The registry refuses a layer because of its size",
        "The image was built, but the registry, or a proxy in front of it, refuses a layer of {name}: {detail}",
        "Raise the limit for request bodies there, or make the layers smaller.",
    ),
    "BHS603": FailureKind(
        "The registry limits the request rate",
        "The image was built, but the registry answered that there were too many requests: {detail}",
        "Try again later. Layers that are in the registry are not pushed again.",
        retryable=True,
    ),
    "BHS604": FailureKind(
        "The registry cannot be reached",
        "The image was built, but the registry of {name} could not be reached: {detail}",
        "Check the registry's name in config.BinderHub.image_prefix, and that the docker-api pods can reach it.",
        retryable=True,
    ),
    "BHS605": FailureKind(
        "The registry's certificate is not trusted",
        "The image was built, but the daemon does not trust the certificate of the registry of {name}: {detail}",
        "Set registry.certificateAuthority to the certificate of the authority that signed it.",
    ),
    "BHS606": FailureKind(
        "The push failed",
        "The image was built, but its push to {name} failed. The last lines were:\n{detail}",
        "Fix what they show, then try again.",
    ),
    "BHS607": FailureKind(
        "The registry failed twice",
        "The image was built, but the registry of {name} failed twice: {detail}",
        "Read the registry's log, and try again when it works.",
        retryable=True,
        tried_again=True,
    ),
    "BHS608": FailureKind(
        "The registry does not hold the image",
        "The image was built and pushed, but the registry does not hold it as {name}: {detail}.",
        "Try again. If it fails again, check the registry's log and its rules for tags.",
        retryable=True,
    ),
    "BHS609": FailureKind(
        "The registry could not confirm the image",
        "The image was built and pushed, but the registry could not confirm that it holds {name}: {detail}",
        "Check that BinderHub can reach the registry, with a login that may pull: registry, or config.DockerRegistry.",
        retryable=True,
    ),
    "BHS610": FailureKind(
        "The registry does not allow the tag to be overwritten",
        "The image was built, but the registry already has {name}, and its tags are immutable: {detail}",
        "Check that BinderHub finds images in the registry, so that it does not build them twice; or allow tags to be"
        " overwritten there.",
    ),
    "BHS611": FailureKind(
        "The registry has no such repository",
        "The image was built, but the registry has no repository or project for {name}: {detail}",
        "Create it in the registry, or allow it to be created by a push. Then try again.",
    ),
    "BHS612": FailureKind(
        "The registry has no space left",
        "The image was built, but the registry has no space for {name}: {detail}",
        "Remove images there, or raise the quota. Then try again.",
    ),
    # The build pod
    "BHS701": FailureKind(
        "The build pod ran out of memory",
        "The build pod was killed because it exceeded its memory limit.",
        "Raise buildPods.resources.limits.memory. It limits repo2docker, not the steps of the build.",
    ),
    "BHS702": FailureKind(
        "The build pod was evicted",
        "The build pod was evicted from node {node}: {detail}",
        "Try again. If it happens often, set buildPods.priorityClassName to a higher class, or add nodes.",
        retryable=True,
    ),
    "BHS703": FailureKind(
        "The build pod was deleted",
        "The build pod was deleted while it ran.",
        "Try again.",
        retryable=True,
    ),
    "BHS704": FailureKind(
        "The build took too long",
        "The build was stopped because it took longer than {seconds} s.",
        "Make the build faster, or raise buildPods.deadlineSeconds.",
    ),
    "BHS705": FailureKind(
        "The build pod failed without a reason",
        "The build pod ended, and nothing shows why: {detail}",
        "Read the lines above and the namespace's events, then try again.",
        retryable=True,
    ),
    "BHS706": FailureKind(
        "The build pod ended without its report",
        "The build pod succeeded, but the end of its log, which says what was pushed, could not be read.",
        "Try again: an image that was pushed is found in the registry.",
        retryable=True,
    ),
    "BHS707": FailureKind(
        "The build pod's disk is full",
        "The disk of node {node} was full while the repository was fetched: {detail}",
        "Free space on that node, or give the nodes larger disks. Then try again.",
        retryable=True,
    ),
    # This service
    "BHS801": FailureKind(
        "This service lacks a permission",
        "BinderHub's service account lacks a permission that builds need: {detail}",
        "Let the chart create its Role (rbac.create), or give the account the permissions in the chart's Role.",
    ),
    "BHS802": FailureKind(
        "Kubernetes does not answer",
        "The Kubernetes API did not answer for {seconds} s: {detail}",
        "Try again when it answers. A build that was running may continue meanwhile.",
        retryable=True,
    ),
    "BHS803": FailureKind(
        "An error in this service",
        "This service failed because of an error of its own: {detail}",
        "Try again, and report the error with the log of the BinderHub pod.",
        retryable=True,
    ),
    "BHS804": FailureKind(
        "Too many of your builds are waiting",
        "{count} of your builds are waiting, which is the limit for one user or address.",
        "Try again when one of them has begun. An administrator can change buildPods.maxWaitingPerRequester.",
        retryable=True,
    ),
    # The request, which BinderHub itself refuses
    "BHS901": FailureKind(
        "The request is not allowed",
        "BinderHub refused the request: {detail}",
        "Log in to the JupyterHub, or send a valid token of it. Its user needs the scope access:services for this"
        " service.",
    ),
    "BHS902": FailureKind(
        "Too many requests",
        "BinderHub refused the request, because too many came from the same address: {detail}",
        "Try again in a few minutes. An administrator can change config.RateLimiter.",
        retryable=True,
    ),
    "BHS903": FailureKind(
        "The request is malformed",
        "BinderHub does not understand the request: {detail}",
        "Correct the address. Requests look like /build/PROVIDER/REPOSITORY/REF?build_only=true.",
    ),
    "BHS904": FailureKind(
        "The repository or the ref does not exist",
        "BinderHub found no such repository or ref: {detail}",
        "Check the repository's address, and that the branch, tag or commit exists there. For a private repository,"
        " ask the administrator to configure credentials.",
    ),
    "BHS905": FailureKind(
        "The ref could not be looked up",
        "BinderHub could not look up the ref: {detail}",
        "Try again in a minute. If it fails again, check the repository's address, and that BinderHub can reach its"
        " host.",
        retryable=True,
    ),
    "BHS906": FailureKind(
        "The repository's host limits the request rate",
        "BinderHub could not look up the ref, because the repository's host limits its requests: {detail}",
        "Try again later. An administrator can raise the limit with a token, such as GITHUB_ACCESS_TOKEN in extraEnv.",
        retryable=True,
    ),
    "BHS907": FailureKind(
        "The repository is banned",
        "The administrator of this service does not allow this repository: {detail}",
        "Ask the administrator to change the provider's banned_specs or allowed_specs in config.",
    ),
    "BHS908": FailureKind(
        "BinderHub failed",
        "BinderHub could not complete the request: {detail}",
        "Try again. If it fails again, read BinderHub's log.",
        retryable=True,
    ),
    "BHS909": FailureKind(
        "The repository's host refuses the credentials",
        "The repository's host refuses the credentials of this service: {detail}",
        "Ask the administrator to replace the token for this host. It is wrong, was revoked, or has expired.",
    ),
}


@dataclass(frozen=True)
class Failure:
    """The failure of a build: a code and its particulars."""

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
        """The `failed` event that ends a stream. `message` is for people, the other fields are for programs."""
        message = f"{self.code}: {self.what}\n{self.kind.next_step}\n"
        return {
            "phase": "failed",
            "message": message,
            "code": self.code,
            "what": self.what,
            "next_step": self.kind.next_step,
            "docs": section(self.code),
        }


class _Particulars(dict[str, Any]):
    def __missing__(self, key: str) -> str:
        return "" if key in ("step", "detail") else "?"
