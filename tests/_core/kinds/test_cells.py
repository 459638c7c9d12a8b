"""Cells and means under interventions against closed forms of linear systems."""

import numpy as np
import pytest

from scgim._core.kinds.activity import Activity
from scgim._core.kinds.base import Moved
from scgim._core.kinds.cells import mean_cells, propagate, sample_cells
from scgim._core.kinds.hard import Hard
from scgim._core.kinds.shift import Shift
from scgim._core.mechanisms import MECHANISMS
from scgim._core.mechanisms.additive import Mechanisms

G, C, N = 5, 2, 40_000


@pytest.fixture(scope="module")
def system() -> tuple[Mechanisms, np.ndarray]:
    """A linear system that was standardised, and its weights on the expression scale."""
    rng = np.random.default_rng(0)
    order = rng.permutation(G)
    weights = np.zeros((G, G))
    for a in range(G):
        for b in range(a + 1, G):
            weights[order[a], order[b]] = rng.uniform(-1, 1) if rng.random() < 0.7 else 0.0
    parents = [np.flatnonzero(weights[:, j]) for j in range(G)]
    scale = rng.uniform(0.5, 2, G)
    coef = [(weights[p, j] * scale[p] / scale[j])[:, None] for j, p in enumerate(parents)]
    loc, noise = rng.normal(size=G), rng.uniform(0.5, 1.5, G)
    mechanisms = Mechanisms(
        MECHANISMS["linear"], order, parents, coef, rng.normal(size=(C, G)), noise, loc, scale, weights
    )
    return mechanisms, weights


def moved_by(**effects: dict[int, float]) -> Moved:
    """One row to which kinds of intervention, by their names, do something at genes."""
    moved = Moved.nothing(1, G)
    for kind in (Shift(), Hard(), Activity()):
        genes = np.array(list(effects.get(kind.name, {})), dtype=int)
        kind.write(moved, (np.zeros(len(genes), dtype=int), genes), np.array(list(effects.get(kind.name, {}).values())))
    return moved


def closed_form(weights: np.ndarray, intercept: np.ndarray, noise: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Mean and covariance of ``x = W' x + intercept + noise``."""
    inverse = np.linalg.inv(np.eye(G) - weights.T)
    return inverse @ intercept, inverse @ np.diag(noise**2) @ inverse.T


def check(mechanisms: Mechanisms, moved: Moved, group: int, mean: np.ndarray, cov: np.ndarray) -> None:
    rows, group_ = np.zeros(N, dtype=int), np.full(N, group)
    np.testing.assert_allclose(mean_cells(mechanisms, moved, np.array([group]))[0], mean, atol=1e-10)
    cells = sample_cells(mechanisms, moved.rows(rows), group_, np.random.default_rng(1))
    sd = np.sqrt(np.diag(cov))
    assert (np.abs(cells.mean(axis=0) - mean) < 5 * sd / np.sqrt(N)).all()
    np.testing.assert_allclose(np.cov(cells.T), cov, atol=0.03 * np.outer(sd, sd).max())


@pytest.mark.parametrize("group", [0, 1])
def test_shifts_move_cells_as_the_closed_form_says(system, group):
    mechanisms, weights = system
    shift = np.array([[0.0, 2.0, 0.0, -1.5, 0.0]])
    mean, cov = closed_form(weights, mechanisms.baseline[group] + shift[0], mechanisms.noise_sd)
    check(mechanisms, moved_by(shift={1: 2.0, 3: -1.5}), group, mean, cov)


@pytest.mark.parametrize("own_noise", [True, False])
def test_hard_cuts_the_parents(system, own_noise):
    mechanisms, weights = system
    hit = [int(mechanisms.order[2]), int(mechanisms.order[4])]
    moved = moved_by(hard=dict.fromkeys(hit, 3.0))
    if not own_noise:
        moved.of_rows("noise")[0, hit] = 0.3 / mechanisms.noise_sd[hit]
    cut, intercept, noise = weights.copy(), mechanisms.baseline[0].copy(), mechanisms.noise_sd.copy()
    cut[:, hit], intercept[hit] = 0, 3.0
    if not own_noise:
        noise[hit] = 0.3
    mean, cov = closed_form(cut, intercept, noise)
    check(mechanisms, moved, 0, mean, cov)


def test_activity_scales_outgoing_effects(system):
    mechanisms, weights = system
    activity = np.zeros((1, G))
    activity[0, mechanisms.order[0]], activity[0, mechanisms.order[1]] = -1.0, -0.4
    scaled = weights * (1 + activity[0])[:, None]
    mean, cov = closed_form(scaled, mechanisms.baseline[1], mechanisms.noise_sd)
    check(mechanisms, moved_by(activity={j: a for j, a in enumerate(activity[0]) if a}), 1, mean, cov)


def test_kinds_in_one_row_act_together_as_the_closed_form_says(system):
    mechanisms, weights = system
    a, b, c = (int(mechanisms.order[k]) for k in (0, 1, 3))
    scaled, intercept = weights.copy(), mechanisms.baseline[0].copy()
    scaled[b] *= 0.5
    scaled[:, c] = 0
    intercept[a] += 2.0
    intercept[c] = -2.0
    mean, cov = closed_form(scaled, intercept, mechanisms.noise_sd)
    check(mechanisms, moved_by(shift={a: 2.0}, hard={c: -2.0}, activity={b: -0.5}), 0, mean, cov)


def test_rows_and_groups_are_kept_apart(system, rng):
    mechanisms, weights = system
    shift, group = rng.normal(size=(7, G)), rng.integers(0, C, 7)
    means = mean_cells(mechanisms, Moved.adding(shift), group)
    for k in range(7):
        expected, _ = closed_form(weights, mechanisms.baseline[group[k]] + shift[k], mechanisms.noise_sd)
        np.testing.assert_allclose(means[k], expected, atol=1e-10)


def test_same_seed_same_cells(system):
    mechanisms, _ = system
    moved, group = Moved.nothing(9, G), np.zeros(9, dtype=int)
    one, two, other = (sample_cells(mechanisms, moved, group, np.random.default_rng(s)) for s in (3, 3, 4))
    np.testing.assert_array_equal(one, two)
    assert (one != other).all()


def test_nonlinear_mean_is_that_of_many_cells(system):
    linear, weights = system
    rng = np.random.default_rng(2)
    coef = [rng.normal(0, 0.4, (len(p), 5)) for p in linear.parents]
    mechanisms = Mechanisms(
        MECHANISMS["additive"],
        linear.order,
        linear.parents,
        coef,
        linear.baseline,
        linear.noise_sd,
        linear.loc,
        linear.scale,
        weights,
    )
    moved = moved_by(shift={0: 1.0, 4: -2.0})
    found = mean_cells(mechanisms, moved, np.zeros(1, dtype=int), n_draws=4096)
    noise = np.random.default_rng(5).standard_normal((N, G))
    cells = propagate(mechanisms, moved.rows(np.zeros(N, dtype=int)), np.zeros(N, dtype=int), noise)
    np.testing.assert_allclose(found[0], cells.mean(axis=0), atol=0.1)
