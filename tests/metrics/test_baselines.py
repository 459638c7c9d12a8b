"""Baselines against what they must do exactly."""

import numpy as np
import pytest

from scgim.metrics import baselines
from scgim.metrics.baselines import MEAN_BASELINES


@pytest.fixture
def linear_world():
    """Means that are linear in the features, without noise: (features, means, new features, new means, control mean)."""
    rng = np.random.default_rng(0)
    x, weights = rng.normal(size=(50, 3)), rng.normal(size=(3, 4))
    return x[:40], x[:40] @ weights + 1, x[40:], x[40:] @ weights + 1, np.ones(4)


@pytest.mark.parametrize("name", sorted(MEAN_BASELINES))
def test_every_baseline_has_one_interface(name, linear_world):
    x, y, new, _, control = linear_world
    predicted = MEAN_BASELINES[name](x, y, new, control_mean=control, rng=0)
    assert predicted.shape == (10, 4)
    np.testing.assert_array_equal(predicted, MEAN_BASELINES[name](x, y, new, control_mean=control, rng=0))
    one_gene = MEAN_BASELINES[name](x, y[:, :1], new, control_mean=control[:1], rng=0)
    assert one_gene.shape == (10, 1)


@pytest.mark.parametrize(("name", "error"), [("ridge", 0.02), ("gp", 0.05), ("mlp", 0.5), ("knn", 1.0)])
def test_learners_learn_a_linear_world(name, error, linear_world):
    x, y, new, truth, control = linear_world
    predicted = MEAN_BASELINES[name](x, y, new, control_mean=control)
    assert np.sqrt(((predicted - truth) ** 2).mean()) < error * truth.std()


def test_control_and_training_mean(linear_world):
    x, y, new, _, control = linear_world
    np.testing.assert_array_equal(baselines.control(x, y, new, control_mean=control), np.ones((10, 4)))
    np.testing.assert_allclose(baselines.training_mean(x, y, new), np.tile(y.mean(0), (10, 1)))
    with pytest.raises(ValueError, match="control_mean must be given"):
        baselines.control(x, y, new)


def test_knn_finds_a_training_context_again():
    rng = np.random.default_rng(0)
    x, y = rng.normal(size=(20, 2)), rng.normal(size=(20, 3))
    np.testing.assert_allclose(baselines.knn(x, y, x[:5]), y[:5], atol=1e-5)


def test_gp_shares_hyperparameters_among_many_genes():
    rng = np.random.default_rng(0)
    x = rng.normal(size=(30, 2))
    y = np.sin(x) @ rng.normal(size=(2, 101))
    assert baselines.gp(x[:25], y[:25], x[25:]).shape == (5, 101)


def test_constant_features_do_no_harm(linear_world):
    x, y, new, _, control = linear_world
    for name, baseline in MEAN_BASELINES.items():
        predicted = baseline(0 * x, y, 0 * new, control_mean=control)
        assert np.isfinite(predicted).all(), name


def test_additive_sums_single_changes():
    """Two drugs measured alone, at the doses of the pair: the change of the pair is the sum."""
    dose = np.array([[1.0, 0], [2, 0], [0, 1]])
    means = np.array([[1.0, 5], [2, 5], [0, 9]])
    train, new = baselines.indicators(dose, np.array([[1.0, 1], [2, 1], [3, 1], [0, 0]]))
    predicted = baselines.additive(train, means, new, control_mean=[0.0, 5])
    np.testing.assert_allclose(predicted, [[1, 9], [2, 9], [0, 9], [0, 5]])  # dose 3 was never measured
    with pytest.raises(ValueError, match="control_mean must be given"):
        baselines.additive(train, means, new)
    with pytest.raises(ValueError, match="drugs of train_dose"):
        baselines.indicators(dose, np.ones((2, 3)))


def test_shifted_control_has_the_means_and_the_residuals():
    rng = np.random.default_rng(0)
    control = rng.normal(3, 2, size=(500, 2))
    means = np.array([[0.0, 1], [5, 5]])
    cells = baselines.shifted_control(means, control, 4000, rng=1).reshape(2, 4000, 2)
    np.testing.assert_allclose(cells.mean(1), means, atol=0.15)
    np.testing.assert_allclose(np.cov(cells[1].T), np.cov(control.T), rtol=0.1, atol=0.15)
    with pytest.raises(ValueError, match="genes of means"):
        baselines.shifted_control(means, control[:, :1], 5)
    with pytest.raises(ValueError, match="n_cells"):
        baselines.shifted_control(means, control, 0)


def test_mean_shift_targets_is_a_z_score():
    scores = baselines.mean_shift_targets([[1.0, -4]], [100], [0.0, 0], 300, [1.0, 2])
    np.testing.assert_allclose(scores, np.array([[1, 2]]) / np.sqrt(1 / 100 + 1 / 300))
    with pytest.raises(ValueError, match="positive"):
        baselines.mean_shift_targets([[1.0, -4]], [100], [0.0, 0], 300, [1.0, 0])
    with pytest.raises(ValueError, match="shapes"):
        baselines.mean_shift_targets([[1.0, -4]], [100, 3], [0.0, 0], 300, [1.0, 1])


@pytest.mark.parametrize("name", sorted(MEAN_BASELINES))
def test_bad_inputs(name, linear_world):
    x, y, new, _, control = linear_world
    baseline = MEAN_BASELINES[name]
    with pytest.raises(ValueError, match="train_means must have one row"):
        baseline(x, y[:-1], new, control_mean=control)
    with pytest.raises(ValueError, match="columns of train_features"):
        baseline(x, y, new[:, :1], control_mean=control)
    with pytest.raises(ValueError, match="finite"):
        baseline(x, y, new * np.nan, control_mean=control)
    with pytest.raises(ValueError, match="two dimensions"):
        baseline(x[0], y, new, control_mean=control)
