"""Unequal responses of cells are found by what they add along the change of means, and taken out of the covariance."""

from dataclasses import replace

import numpy as np
import pytest

from scgim._core.design import Design
from scgim._core.learn.responses import SPREADS, find_responses, learn_spreads, log_density
from scgim._core.moments.moments import Moments, compute_moments

DRUGS, DOSES, G, N, CONTROLS = 6, 4, 12, 60, 400


def screen(seed: int, share: float, *, n_noisy: int = 0) -> tuple[Moments, Design]:
    """Six drugs at four doses, each moving a third of the genes in a share of the cells; some pairs noisier for no reason."""
    rng = np.random.default_rng(seed)
    change = rng.normal(0, 2.0, (DRUGS, G)) * (rng.random((DRUGS, G)) < 1 / 3)
    dose = np.vstack(
        [np.zeros((1, DRUGS)), *(np.outer(np.arange(1, DOSES + 1), np.eye(DRUGS)[d]) for d in range(DRUGS))]
    )
    n = np.array([CONTROLS] + [N] * DRUGS * DOSES)
    cells = np.repeat(np.arange(len(n)), n)  # context of each
    noise = np.ones((len(n), G))
    noise[1 + rng.integers(0, len(n) - 1, n_noisy), rng.integers(0, G, n_noisy)] = 4.0
    responds = rng.random(len(cells)) < share
    moved = (dose > 0) @ change
    x = rng.normal(size=(len(cells), G)) * noise[cells] + moved[cells] * responds[:, None]
    moments = compute_moments(lambda: iter([(x, cells)]), len(n))
    return moments, Design(tuple("abcdef"), dose, np.zeros(len(n), int), ("",), n)


@pytest.mark.parametrize("share", [0.4, 0.7])
def test_what_a_share_of_the_cells_adds_is_taken_out(share):
    moments, design = screen(0, share)
    found = find_responses(moments, design)
    assert found.responses is not None
    spread = found.responses.spread[~design.control]
    assert spread.mean() == pytest.approx((1 - share) / share, rel=0.35)  # 60 cells a context
    assert (found.responses.spread[design.control] == 0).all()
    before, after = (m.within * np.outer(m.scale, m.scale) for m in (moments, found))
    off = ~np.eye(G, dtype=bool)
    assert np.abs(before[off]).max() > 0.15
    assert np.abs(after[off]).max() < 0.1  # four standard errors of 1,800 cells
    np.testing.assert_allclose(np.diag(after), 1.0, atol=0.12)


def test_variances_that_are_expected_of_contexts_are_those_that_are_seen():
    moments, design = screen(1, 0.4)
    found = find_responses(moments, design)
    expected = np.diag(found.within) + found.responses.variance
    seen = moments.square / (moments.n - 1)[:, None]
    strong = found.responses.variance > np.diag(found.within) / 2
    assert strong.sum() > 20
    assert np.median(seen[strong] / expected[strong]) == pytest.approx(1.0, abs=0.1)


@pytest.mark.parametrize("seed", [0, 1, 2])
@pytest.mark.parametrize("n_noisy", [0, 40])
def test_nothing_changes_where_cells_follow_alike(seed, n_noisy):
    moments, design = screen(seed, 1.0, n_noisy=n_noisy)
    assert find_responses(moments, design) is moments


def test_nothing_changes_without_controls_or_single_variances():
    moments, design = screen(0, 0.4)
    everywhere = replace(design, dose=np.where(design.control[:, None], 1.0, design.dose))
    assert find_responses(moments, everywhere) is moments
    none = replace(moments, square=None)
    assert find_responses(none, design) is none
    single = replace(moments, n=np.full(len(moments.n), 2.0), square=0 * moments.square)
    assert find_responses(single, design) is single


def test_the_covariance_stays_positive():
    """Changes of the means that no variance follows in some genes: only what is there is taken out."""
    moments, design = screen(3, 0.4)
    mean = moments.mean.copy()
    mean[1:, 0] += 50.0  # a gene that every drug moves widely, and all cells follow
    found = find_responses(replace(moments, mean=mean), design)
    assert np.linalg.eigvalsh(found.within).min() > 0


def test_density_is_that_of_scaled_f(rng):
    """Its integral over sums of squares is the same whatever the variance: it is normalised up to a constant of the degrees of freedom."""
    nu, square = np.full(1, 7.0), np.linspace(1e-4, 4000.0, 400_000)
    totals = []
    for variance, prior in ((1.0, 5.0), (3.0, 5.0), (1.0, 40.0)):
        log = log_density(square[None], nu, np.array([[variance]]), prior) + (nu / 2 - 1) * np.log(square)
        totals.append(np.exp(log).sum() * (square[1] - square[0]))
    np.testing.assert_allclose(totals, totals[0], rtol=1e-3)


def test_drugs_differ_in_how_many_cells_respond():
    log = np.full((6, len(SPREADS)), -50.0)
    log[:3, 0], log[3:, 7] = 0.0, 0.0
    np.testing.assert_allclose(learn_spreads(log), [0, 0, 0, *3 * [SPREADS[7]]], atol=1e-6)
