"""Tables of targets."""

import anndata as ad
import numpy as np
import pandas as pd
import pytest

from scgim.model import GIM
from scgim.model._prediction.results import as_log_odds, ranks


def test_ranks_by_log_odds_then_effects_in_standard_deviations() -> None:
    found = ranks(np.array([[0.2, 0.9, 0.2, 0.0]]), np.array([[1.0, 0.0, -2.0, 0.0]]))
    assert found.tolist() == [[3, 1, 2, 4]]


def test_log_odds_of_certainty_are_numbers() -> None:
    assert np.isfinite(as_log_odds(np.array([0.0, 0.3, 1.0]))).all()


@pytest.fixture
def replicated() -> ad.AnnData:
    """Two batches; drug a moves g0 in both, b moves g1 in the first batch only; c and d were given together."""
    rng = np.random.default_rng(0)
    rows = [("control", "x", {}), ("control", "y", {}), ("a", "x", {0: 2.0}), ("a", "y", {0: 2.0})]
    rows += [("b", "x", {1: 4.0}), ("b", "y", {}), ("c+d", "x", {2: 3.0}), ("c+d", "y", {2: 3.0})]
    cells, obs = [], []
    for drugs, batch, shifts in rows:
        x = rng.normal(size=(200, 6)) + 0.02 * rng.normal(size=6)
        for gene, shift in shifts.items():
            x[:, gene] += shift
        cells.append(x)
        first, _, second = drugs.partition("+")
        obs += [(first, second or "control", batch)] * 200
    table = pd.DataFrame(obs, columns=["drug_1", "drug_2", "batch"]).astype("category")
    table.index = table.index.astype(str)
    return ad.AnnData(np.concatenate(cells), obs=table, var=pd.DataFrame(index=[f"g{j}" for j in range(6)]))


def test_table_says_what_targets_rest_on(replicated: ad.AnnData) -> None:
    GIM.setup_anndata(replicated, perturbation_key=["drug_1", "drug_2"], control="control", batch_key="batch")
    model = GIM(replicated)
    model.train()
    table = model.get_targets().set_index(["drug_1", "gene"]).sort_index()
    assert (table.loc[("a", "g0"), "probability"] > 0.99).all()
    assert (table.loc[("a", "g0"), "n_agree"] == 2).all()
    assert (table["n_strata"] == 2).all()
    assert (table.loc[("b", "g1"), "probability"] < 0.9).all()  # in one of two batches
    assert not table.loc["c", "identified"].any()
    assert table.loc[["a", "b"], "identified"].all()
    fit = model.fitted
    c, d = (list(fit.drugs).index(name) for name in ("c", "d"))
    np.testing.assert_allclose(fit.of_drug.probability[[c, d], 2], 0.5, atol=1e-3)
    odds, p = table["log_odds"].to_numpy(), table["probability"].to_numpy()
    near = (p > 1e-6) & (p < 1 - 1e-6)
    np.testing.assert_allclose(odds[near], np.log(p[near] / (1 - p[near])), rtol=1e-6)


def test_columns_that_are_not_of_the_fit_are_named(replicated: ad.AnnData) -> None:
    GIM.setup_anndata(replicated, perturbation_key=["drug_1", "drug_2"], control="control", batch_key="batch")
    model = GIM(replicated)
    model.train(max_epochs=0)
    ask = pd.DataFrame({"drug_1": ["a"], "drug_2": ["control"], "Batch": ["x"]})
    with pytest.warns(
        UserWarning, match=r"column\(s\) \['Batch'\] are not of the fit .* did you mean 'batch'; .* left out"
    ):
        model.predict_mean(ask)
    model.predict_mean(ask.assign(batch="x"))
    model.predict_mean(
        ask.drop(columns="Batch").assign(smiles="C")
    )  # batches may be left out, and other columns be there
    with pytest.warns(UserWarning, match="'dose' is ignored, as the model was fitted without doses"):
        model.predict_mean(ask.assign(batch="x", dose=3.0))
