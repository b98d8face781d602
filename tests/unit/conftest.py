from support.pages import run_page, scratch  # noqa: F401 - fixtures
