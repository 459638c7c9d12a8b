"""Genes that others make up."""

import warnings
from types import SimpleNamespace

import numpy as np
import pytest

from scgim.model._training.copies import warn_copies


def moments_of(cells: np.ndarray, **more: object) -> SimpleNamespace:
    """Of one context."""
    given = {"n": np.array([len(cells)]), "n_genes": cells.shape[1], "n_functions": 1, "pair_cells": None}
    return SimpleNamespace(**(given | {"within": np.cov(cells.T)} | more))


def fit_of(n_genes: int, parents: dict[int, tuple[int, ...]], rest: float) -> SimpleNamespace:
    noise = np.array([rest if j in parents else 1.0 for j in range(n_genes)])
    each = [parents.get(j, ()) for j in range(n_genes)]
    return SimpleNamespace(
        genes=tuple("abcdefgh"[:n_genes]),
        mechanisms=SimpleNamespace(noise_sd=noise, scale=np.ones(n_genes), parents=each),
    )


def test_a_sum_that_the_search_did_not_find_is_named():
    cells = np.random.default_rng(0).normal(size=(500, 5))
    cells = np.column_stack([cells, -cells.sum(axis=1)])
    with pytest.warns(
        UserWarning, match=r"6 gene\(s\) follow from others nearly without noise, such as 'a' from the other genes"
    ):
        warn_copies(fit_of(6, {}, 1.0), moments_of(cells))  # type: ignore[arg-type]


def test_parents_that_leave_nothing_are_named():
    cells = np.random.default_rng(0).normal(size=(500, 3))
    with pytest.warns(UserWarning, match=r"1 gene\(s\).* such as 'c' from \['a', 'b'\]"):
        warn_copies(fit_of(3, {2: (0, 1)}, 0.001), moments_of(cells))  # type: ignore[arg-type]


@pytest.mark.parametrize("more", [{"n": np.array([50])}, {"pair_cells": np.ones((6, 6))}])
def test_nothing_is_said_of_covariances_that_do_not_tell(more):
    cells = np.random.default_rng(0).normal(size=(500, 5))
    cells = np.column_stack([cells, -cells.sum(axis=1)])
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        warn_copies(fit_of(6, {}, 1.0), moments_of(cells, **more))  # type: ignore[arg-type]


def test_genes_that_do_not_vary_are_no_copies():
    cells = np.random.default_rng(0).normal(size=(500, 3))
    cells = np.column_stack([cells, np.zeros(500)])
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        warn_copies(fit_of(4, {}, 1.0), moments_of(cells))  # type: ignore[arg-type]
