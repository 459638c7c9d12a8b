"""tl.suggest on a simulated system."""

import pandas as pd

from scgim import tl


def test_the_table_is_that_of_the_model(model):
    goal = pd.Series({model.genes[0]: 3.0})
    found = tl.suggest(model, goal=goal, n_top=4)
    pd.testing.assert_frame_equal(found, model.suggest(goal=goal, n_top=4))
    assert list(found) == [
        *("intervention", "kind", "name", "shift", "distance_before", "distance_after", "distance_after_sd"),
        *("share", "p_closer"),
    ]
    assert found["distance_after"].is_monotonic_increasing
    assert len(found) == 4
