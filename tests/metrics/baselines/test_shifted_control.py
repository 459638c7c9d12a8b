"""Control cells moved to given means."""

import numpy as np
import pytest

from scgim.metrics import baselines


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
