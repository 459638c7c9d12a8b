"""What if genes were set, shifted, scaled or knocked out?"""

from collections.abc import Iterable, Mapping
from typing import TYPE_CHECKING, Any

from scgim._checks import DATA, MODEL, SEED, checked, count, or_none

if TYPE_CHECKING:
    import numpy as np
    import pandas as pd
    from anndata import AnnData

    from scgim.model import GIM


@checked(model=MODEL, adata=or_none(DATA), n_cells=or_none(count()), rng=SEED)
def intervene(
    model: "GIM",
    adata: Any = None,
    *,
    set: "Mapping[str, float] | None" = None,
    shift: "Mapping[str, float] | None" = None,
    scale: "Mapping[str, float] | None" = None,
    knockout: "str | Iterable[str] | None" = None,
    regulators: "Mapping[str, float] | None" = None,
    population: "str | Mapping[str, Any] | np.ndarray | pd.Series | None" = None,
    n_cells: int | None = None,
    rng: "int | np.random.Generator | None" = 0,
) -> "AnnData":
    """Set, shift, scale or knock out genes in any population of cells, and let the rest of the cell follow.

    What is named is done together: one intervention on all of the genes named. A gene that is set no longer listens to its
    parents in the graph; one that is shifted or scaled still does. Drugs that the cells are under go on acting. The answer is
    that of the fitted graph: it holds as far as the graph is causal and complete. Not from the paper.

    Parameters
    ----------
    model
        A model from :func:`scgim.tl.fit` or :meth:`scgim.model.GIM.load`.
    adata
        Cells to act on, with the genes, layer and columns that the model was fitted with: each keeps its own noise, as in
        :meth:`scgim.model.GIM.counterfactual`. None: cells are drawn from the model, or are those of its data that
        `population` describes by a query or mask.
    set
        Level of each gene named, in units of the data; expected counts at the mean size factor under ``"poisson_lognormal"``.
    shift
        What is added to each gene named, in units of the data; to the natural logarithm of its rate or value under
        ``"poisson_lognormal"`` and ``"zero_inflated_lognormal"``.
    scale
        What each gene named is multiplied by, such as 0.5. On log-normalised data this multiplies the logarithm; halved
        transcripts are about ``shift={gene: -0.69}`` there.
    knockout
        Genes that are taken away: set to 0 where data are not negative. Under models of counts and zeros the gene is 0, and
        genes that it acts on see a hundredth of its mean rate in control cells, as the logarithm of zero has no value.
    regulators
        Change of the activity of each regulator named, in units of what its average target moves by, as in the targets table; for
        models that were fitted with ``regulators=``. Genes that are set or knocked out do not follow.
    population
        None: the control cells, or all of `adata`. A dict of registered columns, such as ``{"drug": "A", "dose": 1.0}``: cells
        under that drug, drawn from the model, or those of `adata` with these values. A query of ``.obs``, such as
        ``"drug == 'A' and batch == 'b1'"``, or a boolean mask: such cells of `adata`, or of the model's data.
    n_cells
        Cells to return: 1000 where they are drawn, all where they are given, unless a number says otherwise.
    rng
        Seed or generator.

    Returns
    -------
    AnnData of cells after the intervention, on the scale of the data. ``.obs`` has the registered columns,
    ``scgim_intervention`` and ``scgim_population``; ``.uns["scgim"]["prediction"]`` says that the cells are predicted.
    ``.var`` has the mean of each gene before and after (`mean_before`, `mean_after`: exact where there is a closed form, those of
    the cells where these are given), `change`, and `change_sd`: the root mean squared error of the change over graphs that the
    fit holds possible (probabilities of edges, errors of their effects, and effects of the drugs). Edges that are not in the fitted
    graph do not enter it.

    Raises
    ------
    RuntimeError
        The model is not trained.
    KeyError
        A gene, regulator, column or drug is unknown; the message names it.
    TypeError
        An argument is of the wrong type.
    ValueError
        A gene is named twice or none is; regulators are named of a model without; data are negative, so that 0 does not
        mean absent, and `scale` or `knockout` is asked for; or the population has no cells.

    Examples
    --------
    >>> cells = scgim.tl.intervene(model, knockout="STAT1", population={"drug": "IFNB", "dose": 1.0})
    >>> cells.var.sort_values("change").head()
    >>> scgim.tl.intervene(model, adata, set={"MYC": 0.0}, shift={"JUN": 1.0}, population="batch == 'b1'")
    """
    return model.intervene(
        adata,
        set=set,
        shift=shift,
        scale=scale,
        knockout=knockout,
        regulators=regulators,
        population=population,
        n_cells=n_cells,
        rng=rng,
    )
