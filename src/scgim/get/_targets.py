"""The table of targets."""

from typing import TYPE_CHECKING, Any

from scgim import _keys

if TYPE_CHECKING:
    import pandas as pd


def targets(adata: Any, *, key: str = _keys.DEFAULT, min_probability: float = 0.0) -> "pd.DataFrame":
    """Inferred targets of the fitted contexts.

    Parameters
    ----------
    adata
        AnnData or MuData that :func:`scgim.tl.fit` has written to.
    key
        The ``key_added`` of the fit.
    min_probability
        Keep only the genes that are a target with at least this probability.

    Returns
    -------
    A copy of ``adata.uns[key]["targets"]``: one row for each perturbed context and gene, with the context's columns,
    `gene`, `probability`, `effect`, `effect_sd` and `rank` (1 is the most probable gene of its context).

    Raises
    ------
    KeyError
        If ``adata`` has not been fitted with this ``key``.
    ValueError
        If ``min_probability`` is not between 0 and 1.

    Examples
    --------
    >>> scgim.get.targets(adata, min_probability=0.5)  # doctest: +SKIP
    """
    if not 0 <= min_probability <= 1:
        raise ValueError(f"min_probability: expected a number between 0 and 1, found {min_probability!r}.")
    table = _keys.TARGETS.find(adata, key)
    if min_probability > 0:
        table = table[table["probability"] >= min_probability].reset_index(drop=True)
    return table.copy()
