"""What all baselines have in common: one interface, what they learn, what they refuse."""

import numpy as np
import pytest

from scgim.metrics.baselines import MEAN_BASELINES


@pytest.mark.parametrize("name", sorted(MEAN_BASELINES))
def test_every_baseline_has_one_interface(name, linear_world):
    x, y, new, _, control = linear_world
    predicted = MEAN_BASELINES[name](x, y, new, control_mean=control, rng=0)
    assert predicted.shape == (10, 4)
    np.testing.assert_array_equal(predicted, MEAN_BASELINES[name](x, y, new, control_mean=control, rng=0))
    one_gene = MEAN_BASELINES[name](x, y[:, :1], new, control_mean=control[:1], rng=0)
    assert one_gene.shape == (10, 1)
    assert np.isfinite(MEAN_BASELINES[name](x[:1], y[:1], new, control_mean=control)).all()  # without a warning


@pytest.mark.parametrize(("name", "error"), [("ridge", 0.02), ("gp", 0.05), ("mlp", 0.5), ("knn", 1.0)])
def test_learners_learn_a_linear_world(name, error, linear_world):
    x, y, new, truth, control = linear_world
    predicted = MEAN_BASELINES[name](x, y, new, control_mean=control)
    assert np.sqrt(((predicted - truth) ** 2).mean()) < error * truth.std()


def test_constant_features_do_no_harm(linear_world):
    x, y, new, _, control = linear_world
    for name, baseline in MEAN_BASELINES.items():
        predicted = baseline(0 * x, y, 0 * new, control_mean=control)
        assert np.isfinite(predicted).all(), name


@pytest.mark.parametrize("name", sorted(MEAN_BASELINES))
def test_wrong_inputs_are_refused(name, linear_world):
    x, y, new, _, control = linear_world
    baseline = MEAN_BASELINES[name]
    with pytest.raises(ValueError, match="train_means: expected one row"):
        baseline(x, y[:-1], new, control_mean=control)
    with pytest.raises(ValueError, match="columns of train_features"):
        baseline(x, y, new[:, :1], control_mean=control)
    with pytest.raises(ValueError, match="finite"):
        baseline(x, y, new * np.nan, control_mean=control)
    with pytest.raises(ValueError, match="two dimensions"):
        baseline(x[0], y, new, control_mean=control)
