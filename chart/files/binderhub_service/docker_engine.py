"""The daemon that builds images, as build pods reach it: how they mount its socket, and how its output reads."""

import re
from dataclasses import dataclass, field
from pathlib import PurePosixPath

from binderhub_service import Json


@dataclass(frozen=True)
class DaemonAccess:
    """What a container needs to reach the daemon."""

    socket: str
    """The daemon's socket, as those containers see it."""
    volumes: list[Json] = field(default_factory=list)
    mounts: list[Json] = field(default_factory=list)
    env: list[Json] = field(default_factory=list)


@dataclass(frozen=True)
class OutputPatterns:
    """What lines of the engine's output look like, as patterns that match at the start of a line."""

    step_output: re.Pattern[str]
    """A line that a step of the build printed: evidence of nothing but the step."""
    quote: re.Pattern[str]
    """Begins and ends a block in which the output of a failed step is repeated."""
    error: re.Pattern[str]
    """The engine's own error; group `error`."""
    step: re.Pattern[str]
    """An error that is a step's; groups `step` and `code`."""
    lost: re.Pattern[str]
    """An error by which the daemon may have gone away."""
    full: re.Pattern[str]
    """An error by which the daemon's disk is full."""


INSIDE = "/run/docker-api"
"""Where build pods mount the directory of the socket."""


class DockerEngine:
    """dockerd behind a unix socket on the build pod's node."""

    # Those of `docker buildx build --progress plain`: util/progress/progressui/printer.go of BuildKit.
    output = OutputPatterns(
        step_output=re.compile(r"#\d+ \d+\.\d+ |\d+\.\d+ "),
        quote=re.compile(r"-{6}\s*$"),
        error=re.compile(r"(?:#\d+ )?ERROR: (?:failed to (?:build|solve): )*(?P<error>.*)"),
        step=re.compile(
            r'process "(?P<step>(?:[^"\\]|\\.)*)" did not complete successfully: exit code: (?P<code>\d+)'
            # docker's older builder
            r"|[Tt]he command '(?P<step_2>[^']*)' returned a non-zero code: (?P<code_2>\d+)"
        ),
        lost=re.compile(
            r"Cannot connect to the Docker daemon|error during connect|failed to receive status: rpc error"
            r"|error reading from server: EOF|use of closed network connection"
            r"|code = Unavailable desc = |Canceled desc = grpc: the client connection is closing"
        ),
        full=re.compile(r"no space left on device|disk quota exceeded"),
    )

    def __init__(self, socket: str, uses_docker_api_pods: bool) -> None:
        """`socket` is the path on the node.

        `uses_docker_api_pods` says that it is the socket of this release's docker-api pods, not of another daemon.
        """
        self._socket = PurePosixPath(socket)
        self.uses_docker_api_pods = uses_docker_api_pods

    def daemon_access(self) -> DaemonAccess:
        """Mount the directory, because a socket mounted as a file is lost when the daemon restarts."""
        if self.uses_docker_api_pods:
            inside = f"{INSIDE}/{self._socket.name}"
            volume = {"path": str(self._socket.parent), "type": "DirectoryOrCreate"}
            mount = {"name": "docker-api", "mountPath": INSIDE, "readOnly": True}
        else:
            inside = "/var/run/docker.sock"
            volume = {"path": str(self._socket), "type": "Socket"}
            mount = {"name": "docker-api", "mountPath": inside}
        return DaemonAccess(
            socket=inside,
            volumes=[{"name": "docker-api", "hostPath": volume}],
            mounts=[mount],
            env=[
                {"name": "DOCKER_HOST", "value": f"unix://{inside}"},
                # With attestations the push is an index, which BinderHub's own look into the registry does not find.
                {"name": "BUILDX_NO_DEFAULT_ATTESTATIONS", "value": "1"},
                # For attestations, buildx runs git in the repository. That of an archive may have a `.git` that says
                # which commands git runs.
                {"name": "BUILDX_GIT_INFO", "value": "false"},
                {"name": "BUILDX_GIT_LABELS", "value": "false"},
            ],
        )
