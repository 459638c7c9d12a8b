"""One self-contained page of results for a colleague who has no Python."""

from __future__ import annotations

import base64
import io
import json
import warnings
from collections.abc import Mapping
from importlib.resources import files
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pandas as pd

from scgim import _keys
from scgim._checks import FITTED, PATH, TABLE, TEXT, checked, or_none
from scgim._writing import beside
from scgim.tl._report_page.content import content

if TYPE_CHECKING:
    import os

    from anndata import AnnData
    from mudata import MuData


@checked(adata=FITTED, out=PATH, key=TEXT, title=TEXT, gene_symbols=or_none(TEXT), evaluation=or_none(TABLE))
def report(
    adata: AnnData | MuData,
    out: str | os.PathLike[str] = "report.html",
    *,
    key: str = _keys.DEFAULT,
    title: str = "scgim report",
    gene_symbols: str | None = None,
    diagnostics: Mapping[str, pd.DataFrame] | None = None,
    evaluation: pd.DataFrame | None = None,
) -> Path:
    """Write one page with the results of a fit: no network, no Python, and no other file is needed to read it.

    A summary in words, a table of targets that can be searched and sorted, the graph to click through, dose curves, the
    overview picture, diagnostics and the comparison with baselines where they are given, settings and versions.

    Parameters
    ----------
    adata
        AnnData or MuData that :func:`scgim.tl.fit` has written to.
    out
        File to write, ``.html``. It is written beside and renamed, so an older page is whole until the new one is.
    key
        The ``key_added`` of the fit.
    title
        Heading of the page.
    gene_symbols
        Column of ``adata.var`` with the names of genes to show.
    diagnostics
        The result of :func:`scgim.tl.diagnose`.
    evaluation
        The result of :func:`scgim.tl.evaluate`.

    Returns
    -------
    The path of the page.

    Raises
    ------
    KeyError
        If ``adata`` has not been fitted with this ``key``, or ``gene_symbols`` is not a column of ``adata.var``.
    TypeError
        If ``diagnostics`` or ``evaluation`` are not the tables of those functions.
    ValueError
        If ``out`` does not end in ``.html``.

    Examples
    --------
    >>> scgim.tl.report(adata, "results.html", diagnostics=scgim.tl.diagnose(model))
    """
    path = Path(out)
    if path.suffix.lower() not in (".html", ".htm"):
        raise ValueError(f"out: expected a file that ends in .html, found {str(out)!r}.")
    if diagnostics is not None and (not isinstance(diagnostics, Mapping) or "contexts" not in diagnostics):
        raise TypeError(
            f"diagnostics: expected the dict that scgim.tl.diagnose returns, found {type(diagnostics).__name__}."
        )
    if evaluation is not None and not {"method", "metric", "value"} <= set(getattr(evaluation, "columns", ())):
        raise TypeError("evaluation: expected the table that scgim.tl.evaluate returns.")
    data = content(adata, key, title, gene_symbols, evaluation)
    pictures = {"overview": _overview(adata, key, gene_symbols)}
    if diagnostics is not None:
        pictures["diagnostics"] = _diagnostics(diagnostics)
    page = _fill(data, pictures)
    with beside(path, "out") as new:
        new.write_text(page, encoding="utf-8")
    return path


def _fill(data: dict[str, Any], pictures: Mapping[str, str]) -> str:
    """The page: template, style, script and data in one text."""
    folder = files("scgim.tl._report_page")
    text = {name: (folder / name).read_text(encoding="utf-8") for name in ("page.html", "page.css", "page.js")}
    # "<" never stands in the data as such: no name of a drug can end the script or begin markup
    payload = json.dumps(data, allow_nan=False, ensure_ascii=False).replace("<", "\\u003c")
    page = text["page.html"].replace("/*STYLE*/", text["page.css"]).replace("/*SCRIPT*/", text["page.js"])
    return page.replace("/*PICTURES*/", json.dumps(dict(pictures))).replace("/*DATA*/", payload)


def _overview(adata: Any, key: str, gene_symbols: str | None) -> str:
    """The picture of all mechanisms."""
    from scgim.pl import mechanisms

    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", "adata: holds", UserWarning)  # as the tables have warned
        return _encoded(lambda: mechanisms(adata, key=key, gene_symbols=gene_symbols, return_fig=True))


def _diagnostics(tables: Mapping[str, pd.DataFrame]) -> str:
    from scgim.pl import diagnostics

    return _encoded(lambda: diagnostics(tables, return_fig=True))


def _encoded(draw: Any) -> str:
    """A picture in the default style as the address of an image."""
    import matplotlib.pyplot as plt

    buffer = io.BytesIO()
    with plt.style.context("default"):
        figure = draw()
        figure.savefig(buffer, format="png", dpi=110, bbox_inches="tight", facecolor="white")
        plt.close(figure)
    return "data:image/png;base64," + base64.b64encode(buffer.getvalue()).decode("ascii")
