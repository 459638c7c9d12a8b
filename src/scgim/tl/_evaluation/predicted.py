"""What the model predicts for held-out conditions, on the scale of the comparison."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd

from scgim.model._reading.cells import Transform

if TYPE_CHECKING:
    from scgim.model import GIM

MEAN_CELLS = 2000  # predicted cells that a mean on another scale is taken from


def predicted_cells(
    model: GIM,
    rows: pd.DataFrame,
    features: Any,
    n_cells: int,
    transform: Transform | None,
    rng: np.random.Generator,
) -> np.ndarray:
    """Predicted cells (m, n_cells, G)."""
    predicted = np.asarray(model.predict(rows, features=features, n_cells=n_cells, rng=rng).X)
    predicted = predicted if transform is None else transform(predicted.astype(np.float64))
    return predicted.reshape(len(rows), n_cells, -1)


def predicted_means(model: GIM, rows: pd.DataFrame, features: Any, transform: Transform | None) -> np.ndarray:
    """Predicted means (m, G); on another scale those of cells, context by context."""
    if transform is None:
        return model.predict_mean(rows, features=features).to_numpy()
    by_row = isinstance(features, np.ndarray)
    means = []
    for k in range(len(rows)):
        own = features[k : k + 1] if by_row else features
        cells = np.asarray(model.predict(rows.iloc[[k]], features=own, n_cells=MEAN_CELLS, rng=0).X, dtype=np.float64)
        means.append(transform(cells).mean(axis=0))
    return np.stack(means)
