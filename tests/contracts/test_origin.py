"""Where zero is says nothing: a constant added to every gene shifts predictions by it, and changes no target."""

import numpy as np
import pandas as pd
import pytest

import scgim

pytestmark = pytest.mark.filterwarnings("ignore:perturbations. dose .* outside those measured")

CONSTANT = 10.0


def fitted(intervention: str, add: float, **simulation):
    adata = scgim.datasets.simulate(
        n_genes=7, n_drugs=10, n_control=200, n_cells=60, n_test_cells=5, intervention=intervention, rng=4, **simulation
    )
    train = adata[(adata.obs["split"] == "train").to_numpy()].copy()
    train.X = np.asarray(train.X, dtype=np.float64) + add
    model = scgim.tl.fit(
        train, perturbation_key="drug", control="control", dose_key="dose", intervention=intervention, progress=False
    )
    return model, train


@pytest.mark.parametrize("intervention", ["shift", "hard"])
def test_a_constant_added_to_every_gene(intervention):
    (model, train), (moved, _) = (fitted(intervention, add) for add in (0.0, CONSTANT))
    a, b = (m.fitted.of_context.probability for m in (model, moved))
    np.testing.assert_allclose(a, b, atol=1e-6)
    drugs = train.obs.loc[train.obs["drug"] != "control", "drug"].astype(str).unique()[:3]
    asked = pd.DataFrame({"drug": np.repeat(drugs, 3), "dose": np.tile([0.01, 0.7, 30.0], 3)})
    np.testing.assert_allclose(
        model.predict_mean(asked).to_numpy() + CONSTANT, moved.predict_mean(asked).to_numpy(), atol=1e-4
    )
    first, second = (m.get_targets(asked) for m in (model, moved))
    np.testing.assert_allclose(first["probability"], second["probability"], atol=1e-6)
    sure = first["probability"] > 0.5
    move = CONSTANT if intervention == "hard" else 0.0
    np.testing.assert_allclose(first.loc[sure, "effect"] + move, second.loc[sure, "effect"], atol=1e-4)


def test_at_a_vanishing_dose_a_hard_intervention_leaves_a_gene_where_the_controls_have_it():
    model, train = fitted("hard", CONSTANT)
    table = model.get_targets()
    hit = table[table["probability"] > 0.9].iloc[0]
    asked = pd.DataFrame({"drug": [hit["drug"]], "dose": [1e-6]})
    control = train[(train.obs["drug"] == "control").to_numpy()].to_df()[hit["gene"]].mean()
    assert model.predict_mean(asked)[hit["gene"]].iloc[0] == pytest.approx(control, abs=0.05)
