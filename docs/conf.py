"""How Sphinx builds the site; `scripts/docs build` runs it."""

import os
import sys
from pathlib import Path

HERE = Path(__file__).parent
sys.path[:0] = [str(HERE / "_extensions"), str(HERE.parent / "scripts")]

from documentation.markdown import EXTENSIONS  # noqa: E402 - the path is set above

project = "binderhub-service"
author = "the binderhub-service contributors"
copyright = f"2026, {author}"  # noqa: A001 - Sphinx's name
language = "en"

extensions = [
    "myst_parser",
    "sphinx_copybutton",
    "sphinx_design",
    "notfound.extension",
    "sphinxext.rediraffe",
    "page_blocks",
    "page_badges",
    "diagram",
    "values_reference",
    "measured",
]
exclude_patterns = ["_build"]
# Pages that moved: old path to new one.
rediraffe_redirects: dict[str, str] = {}

myst_enable_extensions = list(EXTENSIONS)
myst_heading_anchors = 3

# Where the site is published, its address is known, and search engines and previews may have it.
html_baseurl = os.environ.get("READTHEDOCS_CANONICAL_URL", "")
if html_baseurl:
    extensions += ["sphinx_sitemap", "sphinxext.opengraph"]
    sitemap_url_scheme = "{link}"
    ogp_site_url = html_baseurl
    ogp_social_cards = {"enable": False}  # they would need fonts from another host

html_theme = "sphinx_book_theme"
html_title = "binderhub-service"
html_context = {"default_mode": "auto"}
html_favicon = "_static/icon.svg"
html_static_path = ["_static"]
html_css_files = ["site.css"]
html_copy_source = False
html_use_index = False
html_last_updated_fmt = None
html_theme_options = {
    # Else phones show a second search field and a menu button that does nothing.
    "navbar_persistent": [],
    "home_page_in_toc": False,
    "use_download_button": False,
    "use_fullscreen_button": False,
    "pygments_light_style": "a11y-high-contrast-light",
    "pygments_dark_style": "a11y-high-contrast-dark",
    "show_toc_level": 2,
    "secondary_sidebar_items": ["page-toc"],
}
# What a page shows as output is not for copying.
copybutton_selector = "div:not(.output) > div.highlight > pre"
notfound_urls_prefix = "/" if not html_baseurl else None
