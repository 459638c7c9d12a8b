"""Which experiment would tell most about the graph?"""

from typing import TYPE_CHECKING, Any

from scgim._checks import MODEL, checked

if TYPE_CHECKING:
    import numpy as np
    import pandas as pd

    from scgim.model import GIM


@checked(model=MODEL)
def suggest_experiments(
    model: "GIM",
    candidates: "pd.DataFrame",
    *,
    features: Any = None,
    n_cells: int | None = None,
    rng: "int | np.random.Generator | None" = 0,
) -> "pd.DataFrame":
    """Which drugs or doses, measured next, would tell most about the graph.

    The direction of an edge shows in cells in which one of its genes is moved from outside and the other is not. Of every candidate
    the model predicts targets and effects, and what follows; the expected information is that about each pair of genes between
    which edges are uncertain (no edge, one forward, one backward), given the error with which moves are seen: sampling of cells,
    and what is not known of the drug's own effect on the gene. Pairs are judged one by one, so that the sum over pairs is larger
    than what all of them together would be told. Not from the paper.

    Parameters
    ----------
    model
        A model from :func:`scgim.tl.fit` or :meth:`scgim.model.GIM.load`.
    candidates
        One row for each experiment, with the registered columns, as for :func:`scgim.tl.predict`.
    features
        Features of drugs that were not in the training data, see :func:`scgim.tl.predict`.
    n_cells
        Cells of each experiment; the median number of a measured context if not given.
    rng
        Seed or generator.

    Returns
    -------
    DataFrame, the most telling first: the columns of `candidates` that are registered; `information` (bits) about the graph that is
    expected; `share` of the `uncertainty` (bits) of the pairs; `pairs`, the genes between which it would tell most; and the
    predicted `targets`.

    Raises
    ------
    RuntimeError
        The model is not trained.
    KeyError, TypeError, ValueError
        See :func:`scgim.tl.predict`.

    Examples
    --------
    >>> library = pd.DataFrame({"drug": fingerprints.index, "dose": 1.0})
    >>> scgim.tl.suggest_experiments(model, library, features=fingerprints)
    """
    return model.suggest_experiments(candidates, features=features, n_cells=n_cells, rng=rng)
