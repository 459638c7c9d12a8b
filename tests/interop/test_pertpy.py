"""pertpy reads our tables: perturbation spaces, nearest perturbations, dose curves. Skipped where it is not installed."""

import numpy as np
import pandas as pd
import pytest

from scgim import get, tl
from scgim._core.posterior.effects.hill import hill
from scgim.tl._dose_curves import COLUMNS

pytestmark = pytest.mark.filterwarnings("ignore")


@pytest.fixture(scope="module")
def pt():
    return pytest.importorskip("pertpy")


def test_perturbations_are_a_space_of_pertpy(pt, fitted_adata):
    space = get.perturbations(fitted_adata)
    bulk = pt.tl.PseudobulkSpace().compute(space, target_col="perturbation", mode="mean")
    assert set(bulk.obs["perturbation"].astype(str)) == set(space.obs["perturbation"].astype(str))
    order = [list(bulk.obs["perturbation"].astype(str)).index(name) for name in space.obs["perturbation"].astype(str)]
    values = np.asarray(bulk.X if bulk.X is not None else bulk.layers["mean"], dtype=float)
    np.testing.assert_allclose(values[order], space.X, atol=1e-6)


def test_perturbations_are_clustered_by_pertpy(pt, fitted_adata):
    space = get.perturbations(fitted_adata, dose="all")
    found = pt.tl.KMeansSpace().compute(space, n_clusters=2, copy=True)
    assert found.obs.select_dtypes("category").shape[1] >= 1
    assert found.n_obs == space.n_obs


def test_dose_curves_have_the_columns_of_pertpy_and_its_values(pt, rng):
    dose = np.tile([0.0, 0.05, 0.2, 0.5, 1.0, 3.0, 10.0], 3)
    response = 2.5 * hill(dose, 0.7, 1.8) + 0.01 * rng.normal(size=len(dose))
    adata = get_anndata(pd.DataFrame({"perturbation": "drug", "dose": dose, "response": response}))
    pt.tl.PseudobulkSpace().fit_dose_response(adata, "response")
    theirs = {name.removeprefix("response_"): adata.obs[name].iloc[0] for name in adata.obs if "response_" in name}
    assert {"e0", "emax", "slope", "ec50", "ec50_se", "r_squared", "ec50_in_range"} <= set(theirs) & set(COLUMNS)
    assert theirs["ec50"] == pytest.approx(0.7, rel=0.05) and theirs["slope"] == pytest.approx(1.8, rel=0.1)
    assert theirs["ec50_in_range"]  # as 0.05 < 0.7 < 10


def test_both_find_the_ec50_of_a_simulated_drug(pt, make_model):
    model, ec50 = make_model
    ours = tl.dose_curves(model).set_index("perturbation")
    changes = tl.changes(model)
    wide = changes.pivot_table(index=["perturbation", "context"], columns="gene", values="observed", sort=False)
    truth = np.abs(np.log(ours["ec50"] / ec50))
    assert truth.median() < 0.15
    rows = []
    for (drug, context), row in wide.iterrows():
        unit = wide.loc[drug].iloc[-1] / np.linalg.norm(wide.loc[drug].iloc[-1])
        rows.append((drug, float(context.rpartition("=")[2]), float(row @ unit)))
    rows += [(drug, 0.0, 0.0) for drug in ours.index]
    adata = get_anndata(pd.DataFrame(rows, columns=["perturbation", "dose", "response"]))
    pt.tl.PseudobulkSpace().fit_dose_response(adata, "response")
    theirs = adata.obs.drop_duplicates("perturbation").set_index("perturbation")["response_ec50"]
    off = np.abs(np.log(theirs.loc[ours.index].astype(float) / ours["ec50"]))
    assert off.median() < 0.2


@pytest.fixture(scope="module")
def make_model():
    import systems

    adata = systems.training(
        systems.simulated(n_genes=6, n_drugs=8, n_cells=80, max_targets=1, doses=(0.25, 0.5, 0.75, 1, 2))
    )
    model = tl.fit(adata, perturbation_key="drug", dose_key="dose", control="control", max_epochs=0, progress=False)
    return model, float(adata.uns["truth"]["ec50"][0])


def get_anndata(table: pd.DataFrame):
    from anndata import AnnData

    return AnnData(obs=table.rename(index=str))
