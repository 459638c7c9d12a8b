"""Training and held-out cells, a share of every context (layer `model`)."""

from __future__ import annotations

import warnings
from typing import TYPE_CHECKING, Any

import numpy as np
from scvi.dataloaders import DataSplitter

from scgim.model._reading.keys import CONTEXT_KEY

if TYPE_CHECKING:
    from scvi.data import AnnDataManager

KEEP = 10
"""Contexts with fewer cells are not split: a tenth of them would be no cell."""
TRAIN_SIZE = 0.9
"""Share of the cells of a context that are trained on, where the user does not say."""


def split_cells(context: np.ndarray, train_size: float, rng: np.random.Generator) -> tuple[np.ndarray, np.ndarray]:
    """Training and held-out cells; every context with at least `KEEP` cells gives the same share.

    Parameters
    ----------
    context
        ``(N,)``; context of each cell.
    train_size
        Share of training cells.
    rng
        Random generator.
    """
    order = rng.permutation(len(context))
    order = order[np.argsort(context[order], kind="stable")]
    _, start, count = np.unique(context[order], return_index=True, return_counts=True)
    held = []
    for s, n in zip(start, count, strict=True):
        held.append(order[s : s + (int(round((1 - train_size) * n)) if n >= KEEP else 0)])
    out = np.zeros(len(context), dtype=bool)
    out[np.concatenate(held)] = True
    return np.flatnonzero(~out), np.flatnonzero(out)


class GIMDataSplitter(DataSplitter):
    """Splits the cells of every context, so that held-out likelihood speaks for all of them.

    Parameters
    ----------
    adata_manager
        Of the registered data.
    train_size
        Share of training cells; 0.9 by default.
    rng
        Seed or generator of the split.
    kwargs
        Of scvi-tools' splitter.
    """

    def __init__(
        self,
        adata_manager: AnnDataManager,
        train_size: float | None = None,
        *,
        rng: int | np.random.Generator | None = 0,
        **kwargs: Any,
    ) -> None:
        train_size = TRAIN_SIZE if train_size is None else float(train_size)
        if not 0 < train_size <= 1:
            raise ValueError(f"train_size: expected a number above 0 and up to 1, found {train_size}.")
        if kwargs.get("external_indexing") is None:
            context = np.asarray(adata_manager.get_from_registry(CONTEXT_KEY)).ravel()
            train, held = split_cells(context, train_size, np.random.default_rng(rng))
            kwargs["external_indexing"] = [train, held, np.array([], dtype=int)]
        with warnings.catch_warnings():
            warnings.filterwarnings("ignore", message="Last batch will have a small size")
            super().__init__(adata_manager, train_size=train_size, **kwargs)
