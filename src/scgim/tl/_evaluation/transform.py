"""The scale on which predictions are compared with cells, where it is not that of the data."""

from typing import TYPE_CHECKING

import numpy as np

from scgim.model._reading.cells import Transform

if TYPE_CHECKING:
    from scgim.model import GIM

LOG_NORMALIZE = "log_normalize"


def make_transform(transform: "str | Transform | None", model: "GIM") -> Transform | None:
    """The function behind the argument of :func:`scgim.tl.evaluate`.

    Parameters
    ----------
    transform
        ``None``, ``"log_normalize"``, or a function of cells ``(n, G)``.
    model
        Its training cells give the total to which cells are scaled.

    Raises
    ------
    ValueError, TypeError
        It is neither, or there are no training cells, or values below zero.
    """
    if transform is None:
        return None
    if callable(transform) and not isinstance(transform, type):
        return transform
    if not isinstance(transform, str):
        raise TypeError(
            f"transform: expected {LOG_NORMALIZE!r} or a function of cells, found {type(transform).__name__}."
        )
    if transform != LOG_NORMALIZE:
        raise ValueError(f"transform: expected {LOG_NORMALIZE!r}, a function of cells, or None, found {transform!r}.")
    if model.adata is None:
        raise ValueError(
            f"transform: {LOG_NORMALIZE!r} scales to the median total of the training cells, and the model was loaded "
            "without them; use scgim.model.GIM.load(dir_path, adata), or pass a function."
        )
    totals = []
    for block, _ in model.cells()():
        if block.min() < 0:
            raise ValueError(
                f"transform: {LOG_NORMALIZE!r} is for counts, and the training data go down to {block.min():.3g}; "
                "leave it out, or pass a function."
            )
        totals.append(np.asarray(block.sum(axis=1), dtype=float).ravel())
    target = float(np.median(np.concatenate(totals)))

    def log_normalize(cells: np.ndarray) -> np.ndarray:
        total = np.maximum(cells.sum(axis=1, keepdims=True), 1e-12)
        return np.log1p(cells / total * target)

    return log_normalize
