"""Files of earlier versions open in this one."""

from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from scgim.model import GIM

ASKED = pd.DataFrame({"drug": ["Ünï-drug α"], "dose": [3.0]})
MEANS = {"version_1": [0.1381, 3.339, 2.7576, 1.9766]}
"""What each of them predicted when it was saved; the folders are never written again."""


@pytest.mark.parametrize("name", list(MEANS))
def test_models_of_earlier_formats_open_and_predict_as_they_did(name: str) -> None:
    folder = Path(__file__).parent / name
    model = GIM.load(folder, adata=False)
    np.testing.assert_allclose(model.predict_mean(ASKED).to_numpy()[0], MEANS[name], atol=1e-3)
    assert len(model.get_targets()) == 9 * 4 and model.get_graph()[0].shape == (4, 4)
    assert model.history is not None
    assert (folder / "model.npz").stat().st_size < 50_000
