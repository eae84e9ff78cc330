"""How `make docs` makes HTML: run from the top of the checkout, so that links to the files beside ``docs/`` lead somewhere.

In: our Markdown, and the docstrings of the public modules. Out: pages, from ``docs/index.html`` on. On failure: a warning is an
error; so are a link and a reference in a docstring that lead nowhere.
"""

import genesis_otel

project = "genesis-otel"
release = version = genesis_otel.__version__
html_title = f"genesis-otel {release}"
extensions = ["myst_parser", "sphinx.ext.autodoc"]
root_doc = "docs/index"
include_patterns = [
    "README.md",
    "CHANGELOG.md",
    "CONTRIBUTING.md",
    "SECURITY.md",
    "docs/*.md",
    "otel-collector/README.md",
]
html_theme = "alabaster"
html_theme_options = {"page_width": "1100px", "sidebar_width": "240px"}
html_show_sourcelink = False
highlight_language = "text"
myst_heading_anchors = 3

autodoc_member_order = "bysource"
autodoc_typehints_format = "short"
autodoc_default_options = {"members": True, "show-inheritance": False}

nitpicky = True
# Names of other packages could be looked up only over the network; private names stand in signatures and have no page.
nitpick_ignore_regex = [(r"py:.*", r"(?!genesis_otel\b).*"), (r"py:.*", r"genesis_otel\._.*")]
