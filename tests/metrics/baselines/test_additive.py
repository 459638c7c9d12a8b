"""The sum of what single drugs change."""

import numpy as np
import pytest

from scgim.metrics import baselines


def test_additive_sums_single_changes():
    """Two drugs measured alone, at the doses of the pair: the change of the pair is the sum."""
    dose = np.array([[1.0, 0], [2, 0], [0, 1]])
    means = np.array([[1.0, 5], [2, 5], [0, 9]])
    train, new = baselines.indicators(dose, np.array([[1.0, 1], [2, 1], [3, 1], [0, 0]]))
    predicted = baselines.additive(train, means, new, control_mean=[0.0, 5])
    np.testing.assert_allclose(predicted, [[1, 9], [2, 9], [0, 9], [0, 5]])  # dose 3 was never measured
    with pytest.raises(ValueError, match="control_mean: expected"):
        baselines.additive(train, means, new)
    with pytest.raises(ValueError, match="drugs of train_dose"):
        baselines.indicators(dose, np.ones((2, 3)))
