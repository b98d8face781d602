"""Run a page from its first block to its last, then clean up."""

import os
import shutil
import tempfile
import time
from collections.abc import Mapping, Sequence
from pathlib import Path

from chart_values.rendering import ANONYMOUS
from common.errors import UserError
from common.paths import CHART, cache

from documentation import expected_output, failure_report
from documentation.blocks import Block, Kind, Page, Step, tolerant_forms
from documentation.cluster import Cluster
from documentation.namespace import Namespace
from documentation.placeholders import fill, used
from documentation.shell import Shell, ShellEnded, ShellTimeout

PROCESS_PATIENCE_SECONDS = 5.0
CLUSTER_PATIENCE_SECONDS = 90.0
"""How long what a page ended or uninstalled may take to be gone."""

_SHOWN_CHARACTERS = 3000
_SHOWN_COMMAND, _SHOWN_PROCESSES = 100, 5


class BlockFailed(Exception):  # noqa: N818 - shown to people as it is
    """A block did not do what its page says: the page, the line, a sentence, and the output as far as it came."""

    def __init__(self, page: str, line: int, what: str, output: str = "") -> None:
        """Say which line of which page, and what happened."""
        super().__init__(what)
        self.page, self.line, self.what, self.output = page, line, what, output

    def __str__(self) -> str:
        """`page:line: what`, then the output, indented."""
        shown = self.output[-_SHOWN_CHARACTERS:].rstrip().replace("\x1b", "␛")
        below = "".join(f"\n    | {line}" for line in shown.splitlines())
        return f"{self.page}:{self.line}: {self.what}{below}"


class PageRun:
    """The state of one page's run: its folder, shell and namespace, and the seconds that are left."""

    def __init__(
        self, page: Page, steps: Sequence[Step], cluster: Cluster | None, values: Mapping[str, str], bundles: Path
    ) -> None:
        """Make folder, namespace (where the page wants a cluster) and shell; on failure a bundle goes to `bundles`.

        `steps` are the page's own, perhaps with some of other pages before and after them.
        """
        if page.settings.cluster and cluster is None:
            raise UserError(f"{page.name} needs a cluster.", "Raise the lab with ./scripts/up, or set KUBECONFIG.")
        self.page = page
        self._steps = steps
        self._values = values
        self._bundle = bundles / page.name.replace("/", "-").removesuffix(".md")
        shutil.rmtree(self._bundle, ignore_errors=True)
        self._cluster = cluster if page.settings.cluster else None
        self._scratch = Path(tempfile.mkdtemp(prefix="page-")).resolve()
        self._namespace: Namespace | None = None
        self._shell: Shell | None = None
        self._done = 0
        try:
            for folder in ("work", "home", "output"):
                (self._scratch / folder).mkdir()
            if self._cluster:
                self._namespace = Namespace(self._cluster, self._scratch)
            self._shell = Shell(self._scratch / "work", self._environment())
        except BaseException:
            self.close()
            raise
        self._ends = time.monotonic() + page.settings.budget

    def execute(self, step: Step) -> None:
        """Do what the step's kind says. Raises BlockFailed; after that only `close` may be called."""
        block = step.block
        if self._done != self._steps.index(step):
            raise BlockFailed(block.page, block.line, "The blocks before this one were not run. Run the whole page.")
        try:
            for shown in (block, step.output) if block.kind is not Kind.SKIP else ():
                for name, line in used(shown).items() if shown else ():
                    if name not in self._values:
                        what = f"The placeholder {name} has no value in this run. Set it in the environment."
                        raise BlockFailed(block.page, line, what)
            match block.kind:
                case Kind.RUN:
                    self._run(block, step.output)
                case Kind.BACKGROUND:
                    self._background(block)
                case Kind.FILE:
                    self._save(block)
                case Kind.VALUES | Kind.MANIFEST:
                    self._validate(block)
                    if "path" in block.options:
                        self._save(block)
        except BlockFailed as failed:
            self._gather(failed)
            raise
        self._done += 1

    def prove_clean(self) -> None:
        """Raise BlockFailed if a process or an object that the page made outlives its last block."""
        assert self._shell  # noqa: S101 - made in __init__
        last = self.page.blocks[-1].line
        try:
            if running := self._shell.left_running(PROCESS_PATIENCE_SECONDS):
                shown = "; ".join(line[:_SHOWN_COMMAND] for line in running[:_SHOWN_PROCESSES])
                more = f" and {len(running) - _SHOWN_PROCESSES} more" if len(running) > _SHOWN_PROCESSES else ""
                what = f"The page leaves this running: {shown}{more}. End it in the page."
                raise BlockFailed(self.page.name, last, what)
            if self._namespace and (left := self._namespace.left_behind(CLUSTER_PATIENCE_SECONDS)):
                what = "The page leaves objects in the cluster. Remove them in the page."
                raise BlockFailed(self.page.name, last, what, "\n".join(left))
        except BlockFailed as failed:
            self._gather(failed)
            raise

    def close(self) -> None:
        """End every process, delete the namespace and the folder; may be called at any time."""
        try:
            if self._shell:
                self._shell.end()
        finally:
            self._shell = None
            try:
                if self._namespace:
                    self._namespace.delete()
            finally:
                self._namespace = None
                shutil.rmtree(self._scratch, ignore_errors=True)

    def _run(self, block: Block, output: Block | None) -> None:
        printed = self._eval(block)
        if output is None:
            return
        found = expected_output.mismatch(self._fill(output), printed, tolerant_forms(output))
        if found:
            line, what = found
            raise BlockFailed(block.page, output.line + 1 + line, f"{what} What came instead:", printed)

    def _background(self, block: Block) -> None:
        started = time.monotonic()
        self._eval(block)
        until = fill(block.options["until"], self._values)
        deadline = min(started + block.timeout, self._ends)
        while until not in (printed := self._printed(block)):
            if time.monotonic() > deadline:
                what = f"`{until}` was not printed within {deadline - started:.0f} s."
                raise BlockFailed(block.page, block.line, what, printed)
            time.sleep(0.05)

    def _eval(self, block: Block) -> str:
        """Run the block in the page's shell and return what it printed."""
        assert self._shell  # noqa: S101 - made in __init__
        seconds = min(block.timeout, self._ends - time.monotonic())
        try:
            if seconds <= 0:
                raise ShellTimeout
            self._shell.run(self._fill(block), self._output(block), seconds)
        except ShellEnded as ended:
            what = (
                "This block ends the shell. Leave `exit` out."
                if ended.code == 0
                else (
                    f"A command in this block failed with exit status {ended.code}. "
                    "(Where it asks a question, it gets no answer: its input is closed.)"
                )
            )
            raise BlockFailed(block.page, block.line, what, self._printed(block)) from None
        except ShellTimeout:
            if block.timeout <= seconds:
                what = (
                    f"This block was not done after {block.timeout:.0f} s. Give it a longer `timeout`, or let it end."
                )
            else:
                what = f"The page's budget of {self.page.settings.budget:.0f} s is used up. Raise `run: budget:`."
            raise BlockFailed(block.page, block.line, what, self._printed(block)) from None
        return self._printed(block)

    def _save(self, block: Block) -> None:
        """Save the block where the shell is, as the reader does; that must be in the page's own folder."""
        assert self._shell  # noqa: S101 - made in __init__
        file = self._shell.folder() / fill(block.options["path"], self._values)
        if not file.is_relative_to(self._scratch / "work"):
            what = f"The shell is in {file.parent}, outside of the page's own folder. Go back before this block."
            raise BlockFailed(block.page, block.line, what)
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(self._fill(block))

    def _validate(self, block: Block) -> None:
        if self._cluster is None or self._namespace is None:
            what = f"A {block.kind} block is validated with helm or kubectl. Leave out `cluster: false`."
            raise BlockFailed(block.page, block.line, what)
        if block.kind is Kind.VALUES:
            # A block may be a part of what a reader gives, without the value that says who may build.
            words = ["helm", "template", "validated", str(CHART), f"--values={ANONYMOUS}", "--values=-"]
        else:
            own = f"--namespace={self._namespace.name}"
            words = ["kubectl", "apply", "--dry-run=server", "--validate=strict", "--filename=-", own]
        done = self._cluster.ask(*words, stdin=self._fill(block), timeout=block.timeout)
        if done.returncode:
            what = f"`{' '.join(words[:2])}` refuses this. What it says:"
            raise BlockFailed(block.page, block.line, what, done.stderr)

    def _environment(self) -> dict[str, str]:
        """The environment of this process, with another home, and without the virtual environment of the runner."""
        path = (self._cluster.path if self._cluster else os.environ.get("PATH", os.defpath)).split(":")
        inside = os.environ.get("VIRTUAL_ENV")
        environment = {key: value for key, value in os.environ.items() if key not in ("VIRTUAL_ENV", "KUBECONFIG")}
        environment |= {
            "PATH": ":".join(part for part in path if not inside or part != f"{inside}/bin"),
            "HOME": str(self._scratch / "home"),
            "XDG_CACHE_HOME": str(cache().parent),
            "LANG": "C.UTF-8",
            "TERM": "dumb",
        }
        if self._namespace:
            environment["KUBECONFIG"] = str(self._namespace.kubeconfig)
        return environment

    def _fill(self, block: Block) -> str:
        return fill(block.text, self._values)

    def _output(self, block: Block) -> Path:
        return self._scratch / "output" / f"{Path(block.page).stem}-line-{block.line}.txt"

    def _printed(self, block: Block) -> str:
        """What the block printed until now; bytes that are not UTF-8 are shown as \\xNN, and so match nothing."""
        file = self._output(block)
        return file.read_bytes().decode(errors="backslashreplace") if file.exists() else ""

    def _gather(self, failed: BlockFailed) -> None:
        self._bundle.mkdir(parents=True, exist_ok=True)
        (self._bundle / "failure.txt").write_text(f"{failed}\n")
        shutil.copytree(self._scratch / "output", self._bundle / "output", dirs_exist_ok=True)
        if self._cluster and self._namespace:
            made = [line.partition("namespace/")[2] for line in self._namespace.left_behind(0) if " namespace/" in line]
            for namespace in (self._namespace.name, *made):
                failure_report.gather(self._cluster, namespace, self._bundle / namespace)
        failed.what += f" (Bundle: {self._bundle})"
