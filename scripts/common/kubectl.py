"""Running kubectl and helm against a cluster."""

import os
import subprocess
from dataclasses import dataclass
from pathlib import Path

from common.errors import UserError


@dataclass(frozen=True)
class ClusterAccess:
    """The programs, and the cluster that they talk to."""

    kubectl: str
    helm: str
    kubeconfig: str
    """Path of the kubeconfig; empty for kubectl's own choice."""
    context: str
    """Context in the kubeconfig; empty for the current one."""

    def attempt(
        self, program: str, *arguments: str, given: str = "", timeout: float | None = None
    ) -> subprocess.CompletedProcess[str]:
        """Run `kubectl` or `helm` with `given` as input. The caller looks at the exit code.

        Raises subprocess.TimeoutExpired after `timeout` seconds.
        """
        option = "--context" if program == self.kubectl else "--kube-context"
        return subprocess.run(
            [program, *([f"{option}={self.context}"] if self.context else []), *arguments],
            input=given,
            capture_output=True,
            text=True,
            timeout=timeout,
            check=False,
            env=self.environment(),
        )

    def run(self, program: str, *arguments: str, given: str = "", timeout: float | None = None) -> str:
        """Run `kubectl` or `helm` and return its output. Raises UserError if it fails."""
        done = self.attempt(program, *arguments, given=given, timeout=timeout)
        if done.returncode:
            raise UserError(
                f"`{Path(program).name} {' '.join(arguments)}` failed:\n{(done.stderr or done.stdout).strip()[-2000:]}",
                "Read the cluster's events with `kubectl get events --all-namespaces`, then run this again.",
            )
        return done.stdout

    def environment(self) -> dict[str, str]:
        """The environment that kubectl and helm run in."""
        return {**os.environ, **({"KUBECONFIG": self.kubeconfig} if self.kubeconfig else {})}
