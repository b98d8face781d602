"""The pytest plugin: a page is a collector, a step of it an item, and the last item proves that nothing is left."""

import time
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path

import pytest
from common.errors import UserError

from documentation.blocks import Kind, Page, Step
from documentation.cluster import Cluster
from documentation.outcome import Outcome
from documentation.page_runner import BlockFailed, PageRun


@dataclass
class Runner:
    """What the items need, and what they report; hand it to pytest with `pytest.main(…, plugins=[Runner(…)])`."""

    pages: Mapping[Path, Page]
    steps: Mapping[Path, tuple[Step, ...]]
    """What is run for each page."""
    cluster: Cluster | None
    """None where no page needs one."""
    values: Mapping[str, str]
    bundles: Path
    outcomes: dict[str, list[Outcome]] = field(default_factory=dict)

    def pytest_collect_file(self, file_path: Path, parent: pytest.Collector) -> "PageCollector | None":
        """Collect the pages that were read before."""
        page = self.pages.get(file_path)
        if page is None:
            return None
        collector = PageCollector.from_parent(parent, path=file_path)
        collector.page, collector.runner = page, self
        return collector


class PageCollector(pytest.File):
    """One page; its run starts with its first item and ends, cleaned, with its last."""

    page: Page
    runner: Runner
    run: PageRun | None = None
    failed_at: int | None = None

    def collect(self) -> Iterable[pytest.Item]:
        """One item a step, and one for what is left behind."""
        for step in self.runner.steps[self.path]:
            item = StepItem.from_parent(self, name=f"{step.block.line} {step.block.kind}: {self.title(step)}")
            item.step = step
            yield item
        if self.page.has_commands:
            yield CleanItem.from_parent(self, name="leaves nothing behind")

    def title(self, step: Step) -> str:
        """The step's title, with its page if that is another one."""
        return step.title if step.block.page == self.page.name else f"{step.title} of {step.block.page}"

    def started(self) -> PageRun:
        """The page's run, started if it is not yet."""
        if self.run is None:
            cluster = self.runner.cluster
            values = {**self.runner.values, **(cluster.placeholders if cluster else {})}
            self.run = PageRun(self.page, self.runner.steps[self.path], cluster, values, self.runner.bundles)
        return self.run

    def teardown(self) -> None:
        """Clean up after the page, however it ended."""
        if self.run:
            self.run.close()
            self.run = None

    def measure(self, line: int, kind: str, name: str, work: Callable[[], None]) -> None:
        """Do `work` unless an earlier block failed, and note how it ended."""
        outcome = Outcome(line, kind, name, "failed", 0.0)
        self.runner.outcomes.setdefault(self.page.name, []).append(outcome)
        if self.failed_at is not None:
            outcome.outcome = "not reached"
            raise _skipped(f"not reached: the block on line {self.failed_at} failed")
        started = time.monotonic()
        try:
            work()
            outcome.outcome = "passed"
        except pytest.skip.Exception:
            outcome.outcome = "skipped"
            raise
        except BaseException:
            self.failed_at = line
            raise
        finally:
            outcome.seconds = time.monotonic() - started


class _Item(pytest.Item):
    def page(self) -> PageCollector:
        assert isinstance(self.parent, PageCollector)  # noqa: S101 - only PageCollector.collect makes items
        return self.parent

    def repr_failure(self, excinfo: pytest.ExceptionInfo[BaseException], style: object = None) -> str:
        """Sentences instead of a traceback, where it is not the runner that is at fault."""
        if isinstance(excinfo.value, BlockFailed | UserError):
            return str(excinfo.value)
        return str(super().repr_failure(excinfo))


class StepItem(_Item):
    """One step of a page."""

    step: Step

    def runtest(self) -> None:
        """Run it, or say why the page does not."""
        block = self.step.block
        self.page().measure(block.line, block.kind, self.page().title(self.step), self._work)

    def _work(self) -> None:
        block, page = self.step.block, self.page()
        if page.page.has_commands:
            page.started().execute(self.step)
        if block.kind is Kind.SKIP:
            raise _skipped(block.options["reason"])

    def reportinfo(self) -> tuple[Path, int, str]:
        """Where the block is, for the heading of its failure."""
        return self.path, self.step.block.line - 1, f"line {self.step.block.line}"


class CleanItem(_Item):
    """The comparison of before and after."""

    def runtest(self) -> None:
        """Compare, once every block of the page has passed."""
        page = self.page()
        page.measure(page.page.blocks[-1].line, "clean", "nothing is left behind", lambda: page.started().prove_clean())

    def reportinfo(self) -> tuple[Path, int, str]:
        """Where the page's last block is, for the heading of its failure."""
        return self.path, self.page().page.blocks[-1].line - 1, "at the end"


def _skipped(reason: str) -> BaseException:
    """The exception that skips an item, with the line of the page instead of that of this module."""
    return pytest.skip.Exception(reason, _use_item_location=True)
