"""tl.suggest_experiments on a simulated system."""

import pandas as pd

from scgim import tl


def test_the_table_is_that_of_the_model(model):
    rows = pd.DataFrame({"drug": list(model.drugs[:3]), "dose": 1.25})
    found = tl.suggest_experiments(model, rows, n_cells=50)
    pd.testing.assert_frame_equal(found, model.suggest_experiments(rows, n_cells=50))
    assert list(found) == ["drug", "dose", "information", "share", "uncertainty", "pairs", "targets"]
