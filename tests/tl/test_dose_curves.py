import numpy as np
import pytest

import systems
from scgim import tl
from scgim._core.posterior.effects.hill import hill
from scgim.tl._dose_curves import r_squared, response_at_full_effect


def test_exact_responses_give_their_curve_back():
    dose = np.array([0.1, 0.5, 1.0, 3.0])
    h = hill(dose, 0.7, 2.0)
    assert response_at_full_effect(-3.0 * h, h, np.array([5.0, 1.0, 2.0, 9.0])) == pytest.approx(-3.0)
    assert r_squared(-3.0 * h, -3.0 * h) == pytest.approx(1.0)
    assert response_at_full_effect(h, np.zeros(4), np.ones(4)) == 0.0
    assert np.isnan(r_squared(np.zeros(4), np.zeros(4)))


def test_r_squared_is_that_of_the_definition(rng):
    response, fitted = rng.normal(size=(2, 6))
    y, f = np.append(0.0, response), np.append(0.0, fitted)
    assert r_squared(response, fitted) == pytest.approx(1 - ((y - f) ** 2).sum() / ((y - y.mean()) ** 2).sum())


def test_curves_of_a_simulation_are_found(model, parts):
    table, truth = tl.dose_curves(model), parts["train"].uns["truth"]
    assert table["perturbation"].tolist() == list(model.fitted.drugs)
    place = [list(truth["drugs"]).index(drug) for drug in table["perturbation"]]
    off = np.abs(np.log(table["ec50"].to_numpy() / truth["ec50"][place]))
    assert np.median(off) < 0.15
    assert (off < 4 * table["ec50_se"] / table["ec50"]).mean() >= 0.9
    assert (table["r_squared"] > 0.9).mean() > 0.8
    assert table["emax"].gt(0).all() and table["e0"].eq(0).all()
    dose = parts["train"].obs.groupby("drug", observed=True)["dose"].agg(["min", "max", "nunique", "size"])
    dose = dose.loc[table["perturbation"]].reset_index()
    assert (table["n_doses"] == dose["nunique"]).all() and (table["n_cells"] == dose["size"]).all()
    inside = (dose["min"] < table["ec50"]) & (table["ec50"] < dose["max"])
    assert (table["ec50_in_range"] == inside).all()


def test_a_model_without_doses_has_none(screen):
    with pytest.warns(UserWarning, match="dose: at several doses, which were not registered"):
        model = tl.fit(screen, perturbation_key="drug", control="DMSO", max_epochs=0, progress=False)
    with pytest.raises(ValueError, match="model: no dose was registered"):
        tl.dose_curves(model)


def test_drugs_at_one_dose_have_a_curve_that_is_out_of_range():
    adata = systems.make_screen()
    adata = adata[~((adata.obs["drug"] == systems.DRUGS[0]) & (adata.obs["dose"] != 1.0)).to_numpy()].copy()
    model = tl.fit(adata, perturbation_key="drug", dose_key="dose", control="DMSO", max_epochs=0, progress=False)
    row = tl.dose_curves(model).set_index("perturbation").loc[systems.DRUGS[0]]
    assert not row["ec50_in_range"] and np.isnan(row["r_squared"]) and row["n_doses"] == 1
