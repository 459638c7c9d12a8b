"""Configuration of the documentation (Sphinx).

``SCGIM_DOCS_OFFLINE=1`` empties the intersphinx mapping, so that the pages build without a network.
"""

import os
import re
import shutil
import sys
import warnings
from importlib.metadata import metadata
from pathlib import Path

HERE = Path(__file__).parent
sys.path.insert(0, str(HERE / "_ext"))

import pages  # noqa: E402

OFFLINE = os.environ.get("SCGIM_DOCS_OFFLINE", "") not in ("", "0")

# -- Project --------------------------------------------------------------------------------------------------------

info = metadata("scgim")
project = info["Name"]
author = "scgim developers"
copyright = "2026, scgim developers"
version = release = info["Version"]
repository_url = dict(url.split(", ") for url in info.get_all("Project-URL"))["Source"]

# -- Pages that are made from the code, the tutorials and the benchmarks ------------------------------------------------

pages.write(HERE, HERE.parent)
shutil.rmtree(HERE / "tutorials", ignore_errors=True)
shutil.copytree(
    HERE.parent / "tutorials",
    HERE / "tutorials",
    ignore=shutil.ignore_patterns(".ipynb_checkpoints", "*.h5ad", "*.zarr", "*_log", "lightning_logs", "README.md"),
)

# -- Sphinx ---------------------------------------------------------------------------------------------------------

needs_sphinx = "8.1"
extensions = [
    "myst_nb",
    "cyclopts.sphinx_ext",
    "sphinx.ext.autodoc",
    "sphinx.ext.autosummary",
    "sphinx.ext.intersphinx",
    "sphinx.ext.mathjax",
    "sphinx.ext.napoleon",
    "sphinx_autodoc_typehints",
    "sphinx_copybutton",
    "sphinx_design",
    "sphinxcontrib.bibtex",
    "names",  # this and the next two are in _ext
    "pictures",
    "prose_returns",
]
templates_path = ["_templates"]
exclude_patterns = ["_build", "_include", "**.ipynb_checkpoints", "Thumbs.db"]
root_doc = "index"
default_role = "code"

# Every reference to a name of scgim must lead to a page. Names of other packages lead to theirs where their inventories list them,
# which they do not for modules that they reimport from.
nitpicky = True
OTHERS = (
    "anndata collections lightning matplotlib mudata networkx numpy os pandas pathlib scanpy scipy scvi torch typing"
)
nitpick_ignore_regex = [("py:.*", rf"({'|'.join(OTHERS.split())})(\..*)?")]
nitpick_ignore = [  # types of members that have no page of their own
    ("py:class", "scgim.datasets._simulator.disturbance.Disturbance"),
    ("py:class", "scgim.datasets._simulator.fault.Fault"),
    ("py:class", "scgim.model._reading.cells.Cells"),
]

autosummary_generate = True
autosummary_context = {"own_members": pages.own_members}
autodoc_member_order = "bysource"
autodoc_typehints = "none"  # sphinx_autodoc_typehints renders them
autodoc_inherit_docstrings = False
typehints_defaults = "braces"
always_use_bars_union = True


def typehints_fixup_module_name(module: str) -> str:
    """The module that users import a class from, and that inventories list, not the one that defines it."""
    return re.sub(
        r"^((?:anndata|mudata|numpy\.random|scipy\.sparse))\._.*|^(pandas)\.core\..*|^(networkx)\.classes\..*",
        lambda m: next(filter(None, m.groups())),
        module,
    )


napoleon_google_docstring = False
napoleon_numpy_docstring = True
napoleon_use_rtype = True
napoleon_use_param = True
napoleon_custom_sections = [("Params", "Parameters")]

bibtex_bibfiles = ["references.bib"]
bibtex_reference_style = "author_year"

myst_enable_extensions = ["amsmath", "colon_fence", "deflist", "dollarmath", "html_image"]
myst_heading_anchors = 3
nb_execution_mode = "off"  # notebooks are committed executed
nb_merge_streams = True
source_suffix = {".rst": "restructuredtext", ".md": "myst-nb", ".ipynb": "myst-nb"}

warnings.filterwarnings("ignore", module="sphinx_autodoc_typehints")
suppress_warnings = [
    "config.cache",  # autosummary_context holds a function
    "sphinx_autodoc_typehints.forward_reference",  # names that are imported for type checkers only
    "sphinx_autodoc_typehints.guarded_import",
]

intersphinx_mapping = (
    {}
    if OFFLINE
    else {
        "anndata": ("https://anndata.readthedocs.io/en/stable/", None),
        "matplotlib": ("https://matplotlib.org/stable/", None),
        "mudata": ("https://mudata.readthedocs.io/en/stable/", None),
        "networkx": ("https://networkx.org/documentation/stable/", None),
        "numpy": ("https://numpy.org/doc/stable/", None),
        "pandas": ("https://pandas.pydata.org/docs/", None),
        "python": ("https://docs.python.org/3", None),
        "scanpy": ("https://scanpy.readthedocs.io/en/stable/", None),
        "scipy": ("https://docs.scipy.org/doc/scipy/", None),
        "scvi-tools": ("https://docs.scvi-tools.org/en/stable/", None),
        "torch": ("https://docs.pytorch.org/docs/stable/", None),
    }
)

# -- HTML -----------------------------------------------------------------------------------------------------------

html_theme = "sphinx_book_theme"
html_title = "scgim"
html_static_path = ["_static"]
html_css_files = ["custom.css"]
html_favicon = "_static/logo_light.svg"
html_theme_options = {
    "logo": {
        "image_light": "_static/logo_light.svg",
        "image_dark": "_static/logo_dark.svg",
        "alt_text": "scgim",
        "text": "scgim",
    },
    "navbar_persistent": [],  # the sidebar has a search box already
    "path_to_docs": "docs",
    "repository_branch": "main",
    "repository_url": repository_url,
    "show_navbar_depth": 1,
    "use_repository_button": True,
}
