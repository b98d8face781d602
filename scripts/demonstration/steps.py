"""The steps of the demonstration, and the table with their seconds and evidence."""

import ssl
import time
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime

import httpx
from common.errors import UserError
from common.progress import step
from rich.table import Table

from demonstration import build_client, image_check, release
from demonstration.build_client import Event
from demonstration.progress import CONSOLE, View
from demonstration.target import Target


class Rows:
    """What the table at the end shows: a row a step, with its seconds and its evidence."""

    def __init__(self) -> None:
        """Begin empty."""
        self.rows: list[tuple[str, float, str]] = []

    @contextmanager
    def step(self, name: str) -> Iterator[list[str]]:
        """Time a step; its evidence is what the block puts into the list."""
        CONSOLE.print(f"[bold]{name}[/]")
        evidence: list[str] = []
        started = time.monotonic()
        yield evidence
        self.rows.append((name, time.monotonic() - started, ", ".join(evidence)))
        CONSOLE.print(f"  [green]✓[/] {self.rows[-1][2]}", soft_wrap=True)

    def show(self) -> None:
        """Print the table."""
        table = Table(title="From a Git repository to a pod", title_justify="left")
        table.add_column("Step")
        table.add_column("Seconds", justify="right")
        table.add_column("Evidence", overflow="fold")
        for name, seconds, evidence in self.rows:
            table.add_row(name, f"{seconds:.1f}", evidence)
        CONSOLE.print()
        CONSOLE.print(table)


def run(target: Target, rows: Rows) -> None:
    """Take every step on `target`; raises UserError at the first that is not as it should be."""
    if target.login_url:
        with rows.step("The registry asks for a login") as evidence:
            evidence.append(_login_required(target))
    with rows.step("Install the chart") as evidence, step("helm upgrade --install --wait"):
        # Use a new prefix, so that a further demonstration builds again instead of finding this one's image.
        release.install(target, f"{target.registry}/demo-{datetime.now(tz=UTC):%Y%m%d-%H%M%S}-")
        evidence.append(f"helm says that release {release.RELEASE} is ready")
    with release.reached(target) as binderhub:
        address = build_client.url(binderhub, target.repository, target.ref)
        with rows.step(f"Build and push {target.repository}") as evidence:
            outcome, builder = _build(target, address)
            evidence += [outcome.image, f"built on {builder}"]
        with rows.step("Ask again") as evidence:
            evidence.append(_ask_again(address, outcome.image))
    with rows.step("Run a pod from the image") as evidence, step("pulling the image and running it"):
        ran = image_check.run_elsewhere(target, outcome.image, builder)
        where = f"on {ran.node}" + ("" if ran.node != builder else ", the only node there is")
        evidence += [ran.digest, where, f"it said: {ran.said}"]


def _login_required(target: Target) -> str:
    """Check that the registry accepts nothing without a login."""
    trust = ssl.create_default_context(cafile=str(target.authority) if target.authority else None)
    status = httpx.get(target.login_url, verify=trust, trust_env=False).status_code
    if status != httpx.codes.UNAUTHORIZED:
        raise UserError(
            f"The registry {target.host} answers {status} without a login, where it should answer 401.",
            "Run ./scripts/down, then this again; the local cluster's registry has a password.",
        )
    return f"{status} without one"


def _build(target: Target, address: str) -> tuple[build_client.Outcome, str]:
    builder = ""

    def told(event: Event) -> None:
        nonlocal builder
        view.tell(event)
        if not builder and event.phase not in ("", "waiting", "ready", "failed"):
            builder = image_check.build_node(target)

    with View() as view:
        outcome = build_client.request(address, told)
    if not outcome.built:
        raise UserError(
            f"BinderHub found {outcome.image} without building it, though its name is new.",
            "This is a defect, of BinderHub's registry check most likely: please report it.",
        )
    if not builder:
        raise UserError(
            "The build's pod was gone before its node could be seen, so nothing proves where it ran.", "Run this again."
        )
    return outcome, builder


def _ask_again(address: str, image: str) -> str:
    with View() as view:
        outcome = build_client.request(address, view.tell)
    if outcome.built or outcome.image != image:
        raise UserError(
            f"Asked again, BinderHub built {outcome.image} instead of finding {image} in the registry.",
            "Look at BinderHub's log for what the registry answered.",
        )
    return f"answered from the registry: {outcome.message}"
