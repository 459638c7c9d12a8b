"""Genes ranked by their change of mean."""

import numpy as np
import pytest

from scgim.metrics import baselines


def test_mean_shift_targets_is_a_z_score():
    scores = baselines.mean_shift_targets([[1.0, -4]], [100], [0.0, 0], 300, [1.0, 2])
    np.testing.assert_allclose(scores, np.array([[1, 2]]) / np.sqrt(1 / 100 + 1 / 300))
    with pytest.raises(ValueError, match="positive"):
        baselines.mean_shift_targets([[1.0, -4]], [100], [0.0, 0], 300, [1.0, 0])
    with pytest.raises(ValueError, match="shapes"):
        baselines.mean_shift_targets([[1.0, -4]], [100, 3], [0.0, 0], 300, [1.0, 1])
