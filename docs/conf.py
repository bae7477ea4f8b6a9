"""Sphinx configuration. The build reads nothing from the network."""

from __future__ import annotations

import shutil
import sys
from pathlib import Path

HERE = Path(__file__).parent
sys.path.insert(0, str(HERE / "_ext"))

import omicstl  # noqa: E402

project = "omicstl"
author = "The omicstl developers"
copyright = "2026, The omicstl developers"
release = version = omicstl.__version__

extensions = [
    "myst_nb",
    "sphinx.ext.autodoc",
    "sphinx.ext.napoleon",
    "sphinx.ext.viewcode",
    "sphinxcontrib.bibtex",
    "methods_table",
]
exclude_patterns = ["_build", "_ext", "changes", "**.ipynb_checkpoints"]
default_role = "literal"

# Docstrings: types live in the signature, and the Returns section is prose.
napoleon_google_docstring = False
napoleon_custom_sections = ["Returns"]
napoleon_use_rtype = False
autodoc_typehints = "description"
autodoc_typehints_description_target = "documented"
autodoc_member_order = "bysource"
python_use_unqualified_type_names = True

# The package's own table of references is the truth, for `cite` as for these pages.
bibtex_bibfiles = ["../omicstl/_core/references.bib"]
bibtex_reference_style = "author_year"

# Tutorials are executed at every build, offline, on bundled data.
nb_execution_mode = "cache"
nb_execution_timeout = 300
nb_execution_raise_on_error = True
nb_execution_in_temp = True
nb_merge_streams = True
myst_enable_extensions = ["amsmath", "colon_fence", "deflist", "dollarmath"]
myst_heading_anchors = 3

html_theme = "sphinx_book_theme"
html_title = f"omicstl {version}"
html_static_path = ["_static"]
html_theme_options = {"show_toc_level": 2, "home_page_in_toc": True}


def _bring_tutorials() -> None:
    """Copy the notebooks of ``tutorials/`` below this folder, where sphinx can see them."""
    target = HERE / "tutorials"
    shutil.rmtree(target, ignore_errors=True)
    notebooks = sorted((HERE.parent / "tutorials").glob("*.ipynb"))
    target.mkdir()
    for notebook in notebooks:
        shutil.copy2(notebook, target)
    rows = [notebook.stem for notebook in notebooks]
    lines = [
        "# Tutorials",
        "",
        "Executed when these pages were built, offline, on data that come with the package.",
        "",
    ]
    if rows:
        lines += ["```{toctree}", ":maxdepth: 1", "", *rows, "```", ""]
    (target / "index.md").write_text("\n".join(lines))


_bring_tutorials()
