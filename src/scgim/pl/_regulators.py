"""Which regulators each perturbation changes, and how much."""

from typing import TYPE_CHECKING

import numpy as np

from scgim import _keys
from scgim._checks import DOSE, FITTED, TEXT, checked, count
from scgim.get._tables import check_names, regulators_of
from scgim.pl import _overview, _style
from scgim.pl._data import Fitted, read

if TYPE_CHECKING:
    from pathlib import Path

    from anndata import AnnData
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure
    from mudata import MuData


@_style.documented
@checked(
    adata=FITTED,
    key=TEXT,
    dose=DOSE,
    n_regulators=count(),
    n_perturbations=count(),
    **_style.DRAWN,
)
def regulators(
    adata: "AnnData | MuData",
    *,
    key: str = _keys.DEFAULT,
    dose: str | float = "highest",
    n_regulators: int = 40,
    n_perturbations: int = 60,
    title: str | None = None,
    ax: "Axes | None" = None,
    show: bool | None = None,
    save: "str | Path | None" = None,
    return_fig: bool = False,
) -> "Axes | Figure | None":
    """Draw the activity of regulators by perturbation.

    One row a perturbation, one column a regulator of the network that the fit was given. The size of a mark is the probability
    that the perturbation changes the regulator's activity, its colour the change; perturbations without a regulator of
    probability 1/2 are in grey italics.

    Parameters
    ----------
    %(adata)s
    %(key)s
    dose
        ``"highest"`` shows the highest dose of each perturbation, ``"all"`` one row a dose, a number this dose.
    n_regulators
        Show at most this many regulators, the first one of every row before others.
    n_perturbations
        Show at most this many perturbations, those with the strongest changes, each with all doses asked for.
    %(title)s
    %(axes)s
    %(figure)s

    %(returns)s

    Raises
    ------
    KeyError
        If ``adata`` has not been fitted with this ``key``.
    ValueError
        If the fit was given no regulators, or ``dose`` was not measured.

    Examples
    --------
    >>> network = pd.DataFrame({"source": "STAT1", "target": adata.var_names[:4], "weight": 1.0})
    >>> scgim.tl.fit(adata, perturbation_key="drug", control="control", regulators=network)
    >>> scgim.pl.regulators(adata)
    """
    check_names(adata, key)
    fitted, found = read(adata, key, dose=dose), regulators_of(adata, key, dose)
    if not found.names:
        raise ValueError(
            f"adata: expected results of a fit with regulators under key={key!r}, found none; run "
            "scgim.tl.fit(adata, ..., regulators=network)."
        )
    kind = np.full(found.probability.shape, "regulator", dtype=object)
    drawn = Fitted(
        fitted.label,
        fitted.perturbation,
        fitted.dose,
        found.probability,
        found.activity,
        kind,
        found.names,
        exact=False,
    )
    order = list(range(len(found.names)))
    rows, columns = _overview.choose(drawn, order, n_regulators, n_perturbations)
    labels = _style.labels([drawn.label[row] for row in rows], 38)
    if title is None:
        title = f"{len(columns)} of {len(order)} regulators" if len(columns) < len(order) else ""
    ax, own = _overview.picture(ax, drawn, rows, columns, labels, title, colors="change of activity")
    return _style.finish(ax.figure, ax, own=own, show=show, save=save, return_fig=return_fig)
