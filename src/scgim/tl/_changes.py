"""Change of every gene from the control, observed and predicted."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd

from scgim._checks import DATA, MODEL, checked, or_none
from scgim.get._tables import perturbation_names
from scgim.model._reading.cells import Transform
from scgim.tl._evaluation.held_out import Test, features_of, read_test, without_unknown
from scgim.tl._evaluation.moments import ContextCells
from scgim.tl._evaluation.predicted import predicted_means
from scgim.tl._evaluation.training import control_means, control_variances, read_training
from scgim.tl._evaluation.transform import make_transform

if TYPE_CHECKING:
    from anndata import AnnData
    from mudata import MuData

    from scgim.model import GIM


@checked(model=MODEL, adata_test=or_none(DATA))
def changes(
    model: GIM,
    adata_test: AnnData | MuData | None = None,
    *,
    features: pd.DataFrame | None = None,
    transform: str | Transform | None = None,
) -> pd.DataFrame:
    """Change of the mean of every gene from the control of the same batch, observed and predicted.

    Parameters
    ----------
    model
        A fitted model with its training data, whose control cells are what changes are measured against.
    adata_test
        Held-out cells as for :func:`scgim.tl.evaluate`. The training cells if not given: then the table says how well the
        model describes what it was fitted to, and nothing about new conditions.
    features
        Features of drugs that are new; taken from ``adata_test`` if it has them under the registered key.
    transform
        Scale of the comparison, as for :func:`scgim.tl.evaluate`.

    Returns
    -------
    Tidy table, one row for each perturbed context and gene: ``context`` (its columns' values in one text), ``perturbation``
    (parts of a combination joined by ``" + "``), ``n_cells``, ``gene``, ``observed``, ``observed_se`` (standard error from the
    spread of the cells, those of the control included) and ``predicted``, in units of the data or of the transform.

    Raises
    ------
    ValueError
        The model has no training data, or ``adata_test`` has no perturbed cells or other genes.
    KeyError
        All conditions are of drugs that were not fitted and have no features.

    Examples
    --------
    >>> table = scgim.tl.changes(model, adata_test)
    >>> scgim.pl.predicted_vs_observed(table)
    """
    rng = np.random.default_rng(0)  # cells are sampled beside the means, and not used here
    scale = make_transform(transform, model)
    train = read_training(model, 0, rng, scale)
    if adata_test is None:
        if features is not None:
            raise ValueError("features: are used for adata_test alone, found None there; leave them out.")
        test, features = _training_contexts(model, train)
    else:
        test = read_test(model, adata_test, 1, rng, scale)
        features = features_of(model, adata_test, test) if features is None else features
        test = without_unknown(model, test, features)
    rows = test.table.drop(columns="n_cells")
    predicted = predicted_means(model, rows, features, scale)  # (m, G)
    control = control_means(model, train)[test.group]
    variance = test.cells.variance / np.maximum(test.cells.n, 1)[:, None]
    error = np.sqrt(variance + control_variances(model, train)[test.group])
    spec, (m, n_genes) = model.study.spec, predicted.shape
    names, _ = perturbation_names(rows, list(spec.perturbation), list(spec.dose), spec.control)
    of_row = np.repeat(np.arange(m), n_genes)
    return pd.DataFrame(
        {
            "context": np.array(test.label, dtype=object)[of_row],
            "perturbation": np.array(names, dtype=object)[of_row],
            "n_cells": test.cells.n.astype(int)[of_row],
            "gene": np.tile(np.array([str(gene) for gene in model.genes], dtype=object), m),
            "observed": (test.cells.mean - control).ravel(),
            "observed_se": error.ravel(),
            "predicted": (predicted - control).ravel(),
        }
    )


def _training_contexts(model: GIM, train: ContextCells) -> tuple[Test, Any]:
    """The perturbed training contexts, and their features where these are of contexts."""
    design, of = model.design, model.study.features
    perturbed = np.flatnonzero(~design.control)
    table = model.contexts.iloc[perturbed].reset_index(drop=True)
    features = of.values[perturbed] if of is not None and of.rows_are == "context" else None
    drugs, cells = model.drugs, train.part(perturbed)
    return Test(table, design.group[perturbed], design.dose[perturbed], drugs, perturbed, cells), features
