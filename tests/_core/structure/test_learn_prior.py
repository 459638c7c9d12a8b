"""For which genes effects are larger."""

import numpy as np

from scgim._core.structure.learn_prior import CLEAR, wider


def test_effects_are_wider_only_where_cells_vary_more_than_targets_do():
    within = np.array([0.04, 0.01, 0.64, 1.0])
    target = np.array([[1.0, 0.0, 0.0, 0.0], [0.0, 0.5, 0.0, 0.5]])
    usual = (0.04 + 0.5 * 0.01 + 0.5 * 1.0) / 2
    np.testing.assert_allclose(wider(within, target), np.sqrt(np.maximum(within / (CLEAR * usual), 1.0)))
    assert (wider(within, target) > 1).any()
    np.testing.assert_array_equal(wider(np.array([0.9, 1.0, 0.8, 0.5]), target), np.ones(4))
    np.testing.assert_array_equal(wider(within[:1], np.ones((3, 1))), [1.0])
