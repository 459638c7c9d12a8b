"""Cells of tl.predict."""

import numpy as np
import pandas as pd
import pytest

from scgim import tl


def test_predicted_cells_are_labelled_and_seeded(model):
    drug = model.drugs[0]
    rows = pd.DataFrame({"drug": [drug, "control"], "dose": [1.1, 0.0]})
    cells = tl.predict(model, rows, n_cells=7)
    assert cells.shape == (14, 6) and list(cells.obs["drug"]) == [drug] * 7 + ["control"] * 7
    assert cells.uns["scgim"]["prediction"]["mechanism"] == "linear"
    np.testing.assert_array_equal(cells.X, tl.predict(model, rows, n_cells=7).X)
    with pytest.raises(KeyError, match="unheard"):
        tl.predict(model, pd.DataFrame({"drug": ["unheard"], "dose": [1.0]}))
