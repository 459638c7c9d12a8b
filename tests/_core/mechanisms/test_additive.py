import numpy as np
import pytest

from scgim._core.mechanisms import MECHANISMS
from scgim._core.mechanisms.additive import from_standardised
from scgim._core.state import pack, unpack


def build(kind: str, rng: np.random.Generator, n_cells: int = 500):
    """Mechanisms of four genes from standardised coefficients, and cells to try them on."""
    x = rng.normal(size=(n_cells, 4)) @ rng.normal(size=(4, 4)) + rng.normal(0, 3, 4)
    loc, scale = x.mean(axis=0), x.std(axis=0)
    B = MECHANISMS[kind].n_functions
    parents = [np.array([], dtype=int), np.array([0]), np.array([0, 1]), np.array([2])]
    coef = [rng.normal(size=(len(p), B)) for p in parents]
    z = (x - loc) / scale
    f = MECHANISMS[kind].functions(z)
    within = np.cov(f.reshape(n_cells, -1).T)
    slope = MECHANISMS[kind].derivatives(z).mean(axis=0)
    baseline, variance = rng.normal(size=(2, 4)), rng.uniform(0.2, 1, 4)
    mechanisms = from_standardised(
        MECHANISMS[kind],
        np.arange(4),
        parents,
        coef,
        baseline,
        variance,
        loc,
        scale,
        slope,
        within.reshape(4 * B, 4 * B),
    )
    return mechanisms, x, f, coef, baseline, variance


@pytest.mark.parametrize("kind", ["linear", "additive"])
def test_expression_scale_equals_the_standardised_regression(kind, rng):
    mechanisms, x, f, coef, baseline, variance = build(kind, rng)
    for j, parents in enumerate(mechanisms.parents):
        standardised = baseline[1, j] + np.einsum("npb,pb->n", f[:, parents], coef[j])
        expected = mechanisms.loc[j] + mechanisms.scale[j] * standardised
        np.testing.assert_allclose(mechanisms.baseline[1, j] + mechanisms.contribution(j, x), expected, atol=1e-9)
        np.testing.assert_allclose(
            mechanisms.parent_contributions(j, x).sum(axis=1), mechanisms.contribution(j, x), atol=1e-12
        )
    np.testing.assert_allclose(mechanisms.noise_sd, mechanisms.scale * np.sqrt(variance))


@pytest.mark.parametrize("kind", ["linear", "additive"])
def test_parents_at_zero_contribute_nothing(kind, rng):
    mechanisms = build(kind, rng)[0]
    for j in range(4):
        np.testing.assert_allclose(mechanisms.parent_contributions(j, np.zeros((3, 4))), 0, atol=1e-12)


def test_weights_have_causes_in_rows(rng):
    mechanisms, x, *_ = build("linear", rng)
    weights = mechanisms.weights()
    np.testing.assert_array_equal(np.argwhere(weights), [[0, 1], [0, 2], [1, 2], [2, 3]])
    for i, j in np.argwhere(weights):
        moved = x.copy()
        moved[:, i] += 1.0
        np.testing.assert_allclose(mechanisms.contribution(j, moved) - mechanisms.contribution(j, x), weights[i, j])
        np.testing.assert_allclose(mechanisms.contribution(i, moved) - mechanisms.contribution(i, x), 0, atol=1e-12)


def test_strength_of_nonlinear_edges(rng):
    mechanisms, x, *_ = build("additive", rng, n_cells=2000)
    for j, parents in enumerate(mechanisms.parents):
        each = mechanisms.parent_contributions(j, x)
        for k, i in enumerate(parents):
            strength = mechanisms.strength[i, j]
            assert abs(strength) == pytest.approx(each[:, k].std() / x[:, i].std(), rel=1e-3)
            step = 1e-5 * np.eye(4)[i]
            slope = (mechanisms.contribution(j, x + step) - mechanisms.contribution(j, x - step)).mean()
            assert np.sign(strength) == np.sign(slope)


@pytest.mark.parametrize("kind", ["linear", "additive"])
def test_mechanisms_survive_being_stored(kind, rng):
    mechanisms, x, *_ = build(kind, rng)
    again = unpack(*pack(mechanisms))
    for j in range(4):
        np.testing.assert_array_equal(again.contribution(j, x), mechanisms.contribution(j, x))
    assert again.n_genes == 4
