"""tl.intervene on a simulated system."""

import numpy as np
import pytest

from scgim import tl


def test_cells_are_those_of_the_model_and_say_what_was_done(model):
    gene = model.genes[0]
    cells = tl.intervene(model, shift={gene: 1.0}, n_cells=9, rng=1)
    np.testing.assert_array_equal(cells.X, model.intervene(shift={gene: 1.0}, n_cells=9, rng=1).X)
    assert cells.shape == (9, 6)
    assert set(cells.obs["scgim_population"]) == {"control"}
    assert list(cells.var) == ["mean_before", "mean_after", "change", "change_sd"]


def test_true_changes_are_found(parts, model):
    """Of every gene that is shifted by hand: the total effects of the true graph, within three standard deviations and 0.1."""
    total = np.linalg.inv(np.eye(6) - np.asarray(parts["train"].uns["truth"]["weights"]))
    for j, gene in enumerate(model.genes):
        found = model.intervene_mean(shift={gene: 1.0})
        assert (np.abs(found["change"] - total[j]) < 3 * found["change_sd"] + 0.1).all()


def test_an_untrained_model_has_no_answer(parts):
    from scgim.model import GIM

    adata = parts["train"].copy()
    GIM.setup_anndata(adata, perturbation_key="drug", dose_key="dose", control="control")
    with pytest.raises(RuntimeError, match="train"):
        tl.intervene(GIM(adata), shift={"gene_1": 1.0})
