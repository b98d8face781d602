"""The engine `docker`: a daemon in a docker-api pod on every node, reached through its socket's directory."""

import re
from pathlib import PurePosixPath

from bhs_engine import Parts, Words

INSIDE = "/run/docker-api"
NO_DAEMON = 75
"""Exit code of a build container that found no daemon in time; EX_TEMPFAIL of sysexits.h."""

# Runs before repo2docker: a mounted directory says nothing about whether a daemon listens in it. The lock on that
# directory outlives this program and ends with repo2docker: the daemon's cleaner removes no image while it is held.
_WAIT = """
import fcntl, os, socket, sys, time
path, seconds, command = sys.argv[1], float(sys.argv[2]), sys.argv[3:]
def answers():
    with socket.socket(socket.AF_UNIX) as daemon:
        daemon.settimeout(5)
        try:
            daemon.connect(path)
            daemon.sendall(b"GET /_ping HTTP/1.0\\r\\nHost: docker\\r\\n\\r\\n")
            return b" 200 " in daemon.recv(64)
        except OSError:
            return False
end = time.monotonic() + seconds
while not answers():
    if time.monotonic() > end:
        sys.exit(75)
    time.sleep(0.1)
directory = os.open(os.path.dirname(path), os.O_RDONLY)
fcntl.flock(directory, fcntl.LOCK_SH)
os.set_inheritable(directory, True)
os.execvp(command[0], command)
"""


class Docker:
    """dockerd behind a unix socket on the build pod's node."""

    words = Words(
        # BuildKit's, then that of docker's older builder.
        step=re.compile(
            r"process \"(?P<step>.+?)\" did not complete successfully: exit code: (?P<code>\d+)"
            r"|[Tt]he command '(?P<step_2>.+?)' returned a non-zero code: (?P<code_2>\d+)"
        ),
        push=re.compile(r"^#\d+ pushing\b|^The push refers to repository"),
        digest=re.compile(r"(?:digest: |pushing manifest for \S+@)(?P<digest>sha256:[0-9a-f]{64})"),
        lost=re.compile(
            r"Cannot connect to the Docker daemon|error during connect|failed to receive status: rpc error"
            r"|error reading from server: EOF|use of closed network connection"
            r"|code = Unavailable desc = (?:error reading|connection error|transport is closing|closing transport)"
            r"|Canceled desc = grpc: the client connection is closing"
        ),
        # A step's own commands write it with a capital: what they fill is the daemon's disk too.
        full=re.compile(r"[Nn]o space left on device|disk quota exceeded"),
    )

    def __init__(self, socket: str, directory_is_ours: bool) -> None:
        """`socket` is its path on the node; its directory is mounted only where it holds nothing else."""
        self._socket = PurePosixPath(socket)
        self._ours = directory_is_ours

    def has_daemons(self) -> bool:
        """The chart's docker-api pods, if the socket is theirs."""
        return self._ours

    def parts(self, command: list[str], patience: int) -> Parts:
        """Mount the directory, because a socket mounted as a file is lost when the daemon restarts."""
        if self._ours:
            inside = f"{INSIDE}/{self._socket.name}"
            volume = {"path": str(self._socket.parent), "type": "DirectoryOrCreate"}
            mount = {"name": "docker-api", "mountPath": INSIDE, "readOnly": True}
        else:
            inside = "/var/run/docker.sock"
            volume = {"path": str(self._socket), "type": "Socket"}
            mount = {"name": "docker-api", "mountPath": inside}
        return Parts(
            command=["python3", "-c", _WAIT, inside, str(patience), *command],
            volumes=[{"name": "docker-api", "hostPath": volume}],
            mounts=[mount],
            env=[
                {"name": "DOCKER_HOST", "value": f"unix://{inside}"},
                # With attestations the push is an index, which BinderHub's own look into the registry does not find.
                {"name": "BUILDX_NO_DEFAULT_ATTESTATIONS", "value": "1"},
            ],
        )
