"""The site in a browser, as readers have it: on a desk, on a phone, in light and in dark."""

from collections.abc import Iterator
from typing import Literal

import pytest
from axe_playwright_python.sync_playwright import Axe  # type: ignore[import-untyped]
from common.paths import CLONE
from documentation.blocks import Kind, read
from playwright.sync_api import Browser, Page

PAGES = (
    "index",
    "tutorials/your-first-image",
    "reference/values",
    "reference/verification",
    "explanation/architecture",
)
SIZES = {"desktop": (1280, 900), "phone": (390, 844)}
MODES: tuple[Literal["light", "dark"], ...] = ("light", "dark")


@pytest.fixture(params=SIZES)
def size(request: pytest.FixtureRequest) -> tuple[int, int]:
    """Width and height of the window, in pixels."""
    return SIZES[request.param]


@pytest.mark.parametrize("mode", MODES)
@pytest.mark.parametrize("path", PAGES)
def test_a_page_is_quiet_its_own_and_fit_for_everyone(
    browser: Browser, address: str, path: str, size: tuple[int, int], mode: Literal["light", "dark"]
) -> None:
    context = browser.new_context(viewport={"width": size[0], "height": size[1]}, color_scheme=mode)
    try:
        page = context.new_page()
        complaints: list[str] = []
        asked: set[str] = set()
        page.on("console", lambda line: complaints.append(line.text) if line.type in ("error", "warning") else None)
        page.on("pageerror", lambda error: complaints.append(str(error)))
        page.on("request", lambda request: asked.add(request.url))
        page.goto(f"{address}/{path}.html", wait_until="networkidle")

        assert complaints == []
        assert [url for url in asked if not url.startswith((address, "data:"))] == []
        assert page.locator("html").get_attribute("data-theme") == mode
        assert page.evaluate("document.documentElement.scrollWidth") <= size[0]
        assert page.locator(".bd-article h1").is_visible()
        found = Axe().run(page).response["violations"]
        grave = [
            f"{violation['id']}: {node['html'][:200]}"
            for violation in found
            for node in violation["nodes"]
            if violation["impact"] in ("serious", "critical")
        ]
        assert grave == []
    finally:
        context.close()


@pytest.fixture
def tutorial(browser: Browser, address: str) -> Iterator[Page]:
    """The tutorial, with leave to read the clipboard."""
    context = browser.new_context(permissions=["clipboard-read", "clipboard-write"])
    page = context.new_page()
    page.goto(f"{address}/tutorials/your-first-image.html", wait_until="networkidle")
    yield page
    context.close()


def test_the_copy_button_copies_exactly_the_command(tutorial: Page) -> None:
    source = CLONE / "docs" / "tutorials" / "your-first-image.md"
    blocks = [block for block in read("page", source.read_bytes()).blocks if block.kind is not Kind.OUTPUT]
    buttons = tutorial.locator("button.copybtn")
    assert buttons.count() == len(blocks)
    for number, block in enumerate(blocks):
        buttons.nth(number).click(force=True)
        tutorial.wait_for_function(
            "async wanted => (await navigator.clipboard.readText()).trimEnd() === wanted", arg=block.text.rstrip()
        )


TROUBLESHOOT = "Troubleshoot a build"


@pytest.mark.parametrize(
    ("word", "title"),
    [
        ("hostPath", "Architecture"),
        ("x509", TROUBLESHOOT),
        ("OOMKilled", TROUBLESHOOT),
        ("ImagePullBackOff", TROUBLESHOOT),
        ("413", TROUBLESHOOT),
        ("429", TROUBLESHOOT),
        ("toomanyrequests", TROUBLESHOOT),
        ("403", TROUBLESHOOT),
        ("GitLab", "Build private repositories"),
        ("kustomize", "Install with Argo CD, Flux or Kustomize"),
        ("proxy", "Use an HTTP proxy"),
    ],
)
def test_search_finds_a_page(browser: Browser, address: str, word: str, title: str) -> None:
    page = browser.new_page()
    page.goto(f"{address}/search.html?q={word}", wait_until="networkidle")
    results = page.locator("#search-results ul.search li > a")
    results.first.wait_for()
    assert title in results.all_inner_texts()
    page.close()
