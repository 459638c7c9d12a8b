"""Cells of perturbations that need not have been measured."""

from typing import TYPE_CHECKING

from scgim._checks import MODEL, SEED, TABLE, checked, count

if TYPE_CHECKING:
    import numpy as np
    import pandas as pd
    from anndata import AnnData

    from scgim.model import GIM


@checked(model=MODEL, perturbations=TABLE, n_cells=count(), rng=SEED)
def predict(
    model: "GIM",
    perturbations: "pd.DataFrame",
    *,
    features: "pd.DataFrame | np.ndarray | None" = None,
    n_cells: int = 100,
    rng: "int | np.random.Generator | None" = 0,
) -> "AnnData":
    """Predict cells under doses, drugs or combinations.

    Parameters
    ----------
    model
        A model from :func:`scgim.tl.fit` or :meth:`scgim.model.GIM.load`; its data are not needed.
    perturbations
        One row for each condition to predict, with the columns that were registered (perturbation, dose, batch and
        covariates).
    features
        Features of drugs that were not in the training data, one row a drug; or one row for each row of
        ``perturbations`` if the model was fitted with features of contexts.
    n_cells
        Cells for each row of ``perturbations``.
    rng
        Seed or generator.

    Returns
    -------
    AnnData on the scale of the data given to :func:`scgim.tl.fit`, ``n_cells`` rows for each row of ``perturbations``;
    ``.obs`` has the registered columns, ``.uns["scgim"]["prediction"]`` says which model it came from.

    Raises
    ------
    KeyError
        A column is missing, or features of an unknown drug, which is named.
    ValueError
        A dose is negative or not a number, or ``n_cells`` is not positive.

    Examples
    --------
    >>> doses = pd.DataFrame({"drug": ["U0126", "U0126"], "dose": [0.3, 3.0]})
    >>> cells = scgim.tl.predict(model, doses, n_cells=200)
    """
    return model.predict(perturbations, features=features, n_cells=n_cells, rng=rng)
