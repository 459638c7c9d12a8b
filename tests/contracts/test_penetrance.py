"""What every fit with `penetrance` keeps: means of its cells, shares with intervals, its files; and what it does not go with."""

import anndata as ad
import numpy as np
import pandas as pd
import pytest

import systems
from scgim import datasets, get, tl
from scgim.datasets import faults
from scgim.model import GIM

COLUMNS = {"perturbation_key": "drug", "dose_key": "dose", "control": "control"}
OWN = ["penetrance", "penetrance_low", "penetrance_high", "effect_of_responders"]


@pytest.fixture(scope="module", params=[("linear", "linear"), ("square", "additive")])
def fits(request):
    """Eight genes under six drugs to which 40 % of the cells respond, with and without `penetrance`."""
    true, mechanism = request.param
    adata = datasets.simulate(
        8, mechanism=true, n_drugs=6, n_new_drugs=0, new_doses=(), doses=(1.0, 2.0), n_control=400, n_cells=150,
        n_test_cells=2, features="noise", faults=[faults.Penetrance(0.4)], rng=1,
    )  # fmt: skip
    adata = systems.training(adata)
    choices = COLUMNS | {"mechanism": mechanism, "max_epochs": 0}
    plain = tl.fit(adata.copy(), **choices)
    return adata, tl.fit(adata, **choices, penetrance=True), plain


def asked(model):
    return pd.DataFrame({"drug": [*model.drugs, "control"], "dose": [1.5] * len(model.drugs) + [0.0]})


def test_targets_and_means_of_lines_are_those_of_a_fit_without(fits):
    _, model, plain = fits
    if model.settings["mechanism"] == "linear":
        np.testing.assert_allclose(model.predict_mean(asked(model)), plain.predict_mean(asked(model)), rtol=1e-9)
    pd.testing.assert_frame_equal(model.get_targets().drop(columns=OWN), plain.get_targets())
    assert "penetrance" not in plain.settings and model.settings["penetrance"] is True


def test_which_cells_respond_is_no_doubt_of_means(fits):
    _, model, plain = fits
    drug = {"drug": model.drugs[0], "dose": 2.0}
    for ask in (lambda m: m.suggest(goal=drug, by="drug"), lambda m: m.suggest_experiments(asked(model))):
        pd.testing.assert_frame_equal(ask(model), ask(plain))
    shift = dict.fromkeys(model.genes, 1.0)
    sd, other = (m.intervene_mean(population=drug, shift=shift)["change_sd"].sum() for m in (model, plain))
    assert sd < 1.5 * other


@pytest.mark.parametrize("level", ["context", "drug"])
def test_the_table_has_shares_with_intervals(fits, level):
    adata, _, _ = fits
    table = get.targets(adata, level=level)
    assert table["penetrance"].between(0, 1).all()
    assert (table["penetrance_low"] <= table["penetrance"] + 0.02).all()
    assert (table["penetrance"] <= table["penetrance_high"] + 0.02).all()
    np.testing.assert_allclose(table["effect_of_responders"], table["effect"] / table["penetrance"])
    name = "perturbation" if level == "drug" else "drug"
    assert (table.groupby(name, observed=True)["penetrance"].nunique() == 1).all()
    found = table[(table["probability"] > 0.9) & (table["effect"].abs() > 0.5)]
    assert abs(found["penetrance"].median() - 0.4) < 0.1


def test_predicted_cells_are_a_mixture_with_the_predicted_mean(fits):
    _, model, plain = fits
    rows = asked(model)
    one, other = (tl.predict(m, rows, n_cells=3000, rng=0).X.reshape(len(rows), 3000, -1) for m in (model, plain))
    z = (one.mean(axis=1) - model.predict_mean(rows).to_numpy()) / one.std(axis=1) * np.sqrt(3000)
    assert np.abs(z).max() < 6
    gene = np.abs(other.mean(axis=1)[:-1] - other.mean(axis=1)[-1]).argmax(axis=1)
    grown = [one[d, :, g].var() / other[d, :, g].var() for d, g in enumerate(gene)]
    assert np.median(grown) > 1.2
    np.testing.assert_allclose(one[-1].var(axis=0), other[-1].var(axis=0), rtol=0.2)  # of untreated cells


def test_files_keep_it(fits, tmp_path):
    adata, model, _ = fits
    model.save(str(tmp_path / "model"))
    again = GIM.load(str(tmp_path / "model"), adata=False)
    pd.testing.assert_frame_equal(again.get_targets(asked(model)), model.get_targets(asked(model)))
    adata.write_h5ad(tmp_path / "cells.h5ad")
    pd.testing.assert_frame_equal(get.targets(ad.read_h5ad(tmp_path / "cells.h5ad"))[OWN], get.targets(adata)[OWN])


@pytest.mark.parametrize(
    "choice",
    [{"intervention": "hard"}, {"mechanism": "neural"}, {"structure": "cyclic"}, {"noise": "zero_inflated_lognormal"}],
    ids=str,
)
def test_other_choices_are_refused(choice):
    adata = systems.make_screen()
    GIM.setup_anndata(adata, perturbation_key="drug", dose_key="dose", control="DMSO")
    with pytest.raises(ValueError, match="penetrance: expected"):
        GIM(adata, penetrance=True, **choice)
