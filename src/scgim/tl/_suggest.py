"""Which interventions move cells from one state to another?"""

from collections.abc import Iterable, Mapping
from typing import TYPE_CHECKING, Any

from scgim._checks import MODEL, checked

if TYPE_CHECKING:
    import numpy as np
    import pandas as pd

    from scgim.model import GIM


@checked(model=MODEL)
def suggest(
    model: "GIM",
    adata: Any = None,
    *,
    goal: "str | Mapping[str, Any] | np.ndarray | pd.Series | None",
    start: "str | Mapping[str, Any] | np.ndarray | pd.Series | None" = None,
    by: "str | Iterable[str]" = ("shift", "drug"),
    together: int = 1,
    distance: str = "standardised",
    largest: float = 5.0,
    n_top: int = 20,
    rng: "int | np.random.Generator | None" = 0,
) -> "pd.DataFrame":
    """Interventions that bring cells from one state to another, the best first.

    The best size of a shift is found in closed form where mechanisms are lines: with the row ``R_j`` of the total effects
    ``(I - W)^-1`` and the difference d of the states, both in units of the distance, it is ``R_j.d / |R_j|^2``. For pairs the two
    sizes are found together. For other mechanisms the response to a shift of one standard deviation stands in, and the size is
    then adjusted to what the shift really does. Not from the paper.

    Parameters
    ----------
    model
        A model from :func:`scgim.tl.fit` or :meth:`scgim.model.GIM.load`.
    adata
        Cells that `start` and `goal` describe; None: those of the model, where cells are described.
    goal
        Where cells should get: a dict of registered columns (that context), a query of ``.obs`` or a boolean mask (the mean of
        these cells), None (controls), or a Series of means by gene, in which genes that are left out do not count.
    start
        Where they are: None for controls, or cells as for `goal`.
    by
        Interventions to choose from: ``"shift"`` of one gene by any amount, ``"knockout"`` of one gene, ``"drug"``: each drug, dose or
        combination that was measured, given to untreated cells; ``"regulator"``: activity of one regulator by any amount, of models that
        were fitted with ``regulators=``.
    together
        1 for single interventions, 2 for pairs of them.
    distance
        ``"standardised"``: in standard deviations within a state, gene by gene. ``"mahalanobis"``: by the precision within a state,
        in which genes that vary together count once; a shift then covers what mechanisms do not explain of its own gene.
    largest
        Largest shift, in standard deviations of the gene within a state; largest activity, in units of what its average target moves by.
    n_top
        Rows of the table.
    rng
        Seed or generator.

    Returns
    -------
    DataFrame, sorted: `intervention` in words; `kind`; `name` and `shift` (in units of the modelled expression, or of activity; NaN for other kinds),
    or `name_1`, `shift_1`, `name_2`, `shift_2` for pairs; `distance_before` and `distance_after` from the goal;
    `distance_after_sd`, the root mean squared error of the latter over graphs and drugs' effects that the fit holds possible;
    `share` of the distance that is covered; and `p_closer`, the probability, over the same, that the intervention brings cells nearer.

    Raises
    ------
    RuntimeError
        The model is not trained.
    KeyError, TypeError
        A state names an unknown column, drug or gene, or is of the wrong type.
    ValueError
        The states are the same, have no cells, or knock-outs are asked for on data with negative values, or regulators of a model without.

    Examples
    --------
    >>> scgim.tl.suggest(model, goal={"drug": "IFNB", "dose": 1.0}, by="shift")
    >>> scgim.tl.suggest(model, start="state == 'sick'", goal="state == 'well'", together=2)
    """
    return model.suggest(
        adata,
        goal=goal,
        start=start,
        by=by,
        together=together,
        distance=distance,
        largest=largest,
        n_top=n_top,
        rng=rng,
    )
