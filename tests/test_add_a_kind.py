"""The page "Add a kind of intervention" is run: its kind fits, predicts, saves, and trains once it has a twin."""

import re
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

import scgim
import systems
from scgim._core import kinds
from scgim.model import GIM
from scgim.model._module import kinds as twins

PAGE = Path(scgim.__file__).parents[2] / "docs" / "add_a_kind.md"
pytestmark = pytest.mark.skipif(not PAGE.exists(), reason="the documentation is not beside this package")
QUIET = {"enable_progress_bar": False, "accelerator": "cpu"}


@pytest.fixture
def page():
    """The blocks of the page, each a function that runs it; what they register is gone afterwards."""
    kept = [(registry, dict(registry)) for registry in (kinds.INTERVENTIONS, kinds.KINDS, twins.TRAINED)]
    names: dict = {"__name__": "page"}
    blocks = re.findall(r"```python\n(.*?)```", PAGE.read_text(encoding="utf-8"), re.S)
    yield [lambda code=code: exec(compile(code, str(PAGE), "exec"), names) for code in blocks]
    for registry, before in kept:
        registry.clear()
        registry.update(before)


def test_the_kind_of_the_page_is_a_kind_like_the_others(page, tmp_path):
    adata = systems.training(systems.simulated(n_genes=5, n_drugs=5, n_control=200, n_cells=30, features="noise"))
    GIM.setup_anndata(adata, perturbation_key="drug", dose_key="dose", control="control")
    with pytest.raises(ValueError, match="intervention: expected one of"):
        GIM(adata, intervention="same_shift")
    define, add, twin = page
    define()
    add()
    model = GIM(adata, intervention="same_shift")
    model.train(rng=0, **QUIET)
    assert "trained" not in model.fitted.settings
    plain = GIM(adata, intervention="shift")
    plain.train(max_epochs=0, **QUIET)
    table = model.get_targets()
    assert (table["kind"] == "same_shift").all()
    of_drug, scale = model.fitted.of_drug, model.fitted.mechanisms.scale
    size = of_drug.mean / scale  # (D, G)
    np.testing.assert_allclose(size, np.repeat(size[:, :1], 5, axis=1))
    np.testing.assert_array_equal(of_drug.probability > 0.5, plain.fitted.of_drug.probability > 0.5)
    new = pd.DataFrame({"drug": ["drug_1"], "dose": [1.3]})
    assert np.isfinite(model.predict_mean(new).to_numpy()).all()
    assert model.counterfactual(adata[:3].copy(), new).shape == (3, 5)
    model.save(tmp_path / "m")
    np.testing.assert_allclose(GIM.load(tmp_path / "m", adata).predict_mean(new), model.predict_mean(new))
    twin()
    trained = GIM(adata, intervention="same_shift")
    trained.train(max_epochs=2, rng=0, **QUIET)
    assert trained.module.kind.name == "same_shift"
    assert trained.fitted.kind_names.tolist() == ["same_shift"]
