"""Likelihoods of shifts that a regulator may have moved, against draws of the sizes of edges."""

from types import SimpleNamespace

import numpy as np
import pytest

from scgim._core.posterior.background import FREEDOM, Background, scales
from scgim._core.posterior.regulation.row import N_TAILS, Row
from scgim._core.posterior.shifts import Shifts

G = 6


@pytest.fixture
def row(rng) -> Row:
    estimate = rng.normal(size=(2, 1, G))
    variance = rng.uniform(0.01, 0.1, (2, 1, G))
    shifts = Shifts(estimate, variance, rng.uniform(0, 1, (2, 1, G)), SimpleNamespace(drug=np.zeros(1, int)), None)  # type: ignore[arg-type]
    flat = np.zeros((1, G))
    return Row.of(
        shifts,
        Background(flat, flat, flat + 0.02, flat, flat, flat, flat, 0.1, 2.0, 0.3, 0.9, 0.0),
        0,
        np.arange(G),
        np.full(G, 0.1),
    )


def density(row: Row, gene: int, add: np.ndarray, more: float = 0.0) -> np.ndarray:
    """Of the shift of a gene, drift and errors summed out, explanation by explanation."""
    out = np.zeros(np.shape(add))
    for v, share in enumerate([0.9, 0.1]):
        for variance in row.spread[:, v, gene] + more:
            away = row.shift[v, gene] - add
            out += share / N_TAILS * np.exp(-0.5 * away**2 / variance) / np.sqrt(2 * np.pi * variance)
    return out


def test_spreads_hold_drift_errors_and_what_parents_pass_on(row):
    np.testing.assert_allclose(np.diff(row.spread, axis=0)[0], np.diff(scales(FREEDOM, N_TAILS))[0] * 0.02)
    np.testing.assert_allclose(row.share.sum(axis=0), [0.9, 0.1])
    np.testing.assert_allclose(row.target, [density(row, g, 0.0, 4.0) for g in range(G)])
    np.testing.assert_allclose(row.still, [density(row, g, 0.0) for g in range(G)])


def test_sizes_of_edges_are_summed_out(row, rng):
    gene, add, sd = np.array([4, 2]), np.array([[-0.5, 1.5], [0.2, 3.0]]), np.array([[0.2, 0.6], [0.1, 0.9]])
    size = rng.normal(size=200_000)
    drawn = [
        [density(row, g, a + s * size).mean() for a, s in zip(each, wide, strict=True)]
        for g, each, wide in zip(gene, add, sd, strict=True)
    ]
    np.testing.assert_allclose(row.moved(gene, add, sd), drawn, rtol=0.03)
    right = np.array([0.7, 0.2])
    plain = 0.9 * row.still[gene] + 0.1 * row.target[gene]
    moved = 0.9 * row.moved(gene, add, sd) + 0.1 * row.target[gene, None]
    expected = np.log(1 - right[:, None] + right[:, None] * moved / plain[:, None])
    np.testing.assert_allclose(row.ratio(gene, add, sd, right), expected)
