"""Which kind of intervention is the default, and drugs of both kinds in one screen."""

from dataclasses import replace

import anndata as ad
import numpy as np
import pandas as pd
import pytest

import scgim
from scgim.model import GIM
from scgim.model._training.ensemble import average

COLUMNS = {"perturbation_key": "drug", "control": "control"}


def test_shifts_are_the_default() -> None:
    one = scgim.datasets.simulate(6, n_drugs=4, doses=(1.0,), new_doses=(), n_new_drugs=0, n_control=60, n_cells=20)
    GIM.setup_anndata(one, **COLUMNS)
    assert GIM(one).settings["intervention"] == "shift"
    assert GIM(one, intervention="auto").settings["intervention"] == "auto"


@pytest.fixture(scope="module")
def mixed() -> tuple[ad.AnnData, dict[str, tuple[str, np.ndarray]], GIM]:
    """Three drugs that shift and three that inhibit, on the same system, in one context each."""
    parts, truth = [], {}
    for kind in ("shift", "activity"):
        one = scgim.datasets.simulate(
            7, n_drugs=3, doses=(1.5,), new_doses=(), n_new_drugs=0, n_control=600, n_cells=400, max_targets=1,
            edges_per_gene=1.5, intervention=kind, rng=7,
        )  # fmt: skip
        for drug, effect in zip(one.uns["truth"]["drugs"], one.uns["truth"]["drug_effect"], strict=True):
            truth[f"{kind}_{drug}"] = (kind, effect != 0)
        one.obs["drug"] = [d if d == "control" else f"{kind}_{d}" for d in one.obs["drug"].astype(str)]
        one.obs_names = f"{kind}_" + one.obs_names
        one.uns.clear(), one.obsm.clear()
        parts.append(one if kind == "shift" else one[(one.obs["drug"] != "control").to_numpy()].copy())
    adata = ad.concat(parts)
    model = scgim.tl.fit(adata, **COLUMNS, intervention="auto", progress=False, accelerator="cpu")
    return adata, truth, model


def test_drugs_of_both_kinds_are_told_apart(mixed) -> None:
    _, truth, model = mixed
    assert model.settings["intervention"] == "auto"
    table = model.get_targets().set_index(["drug", "gene"])
    right = 0
    for drug, (kind, true) in truth.items():
        first = table.loc[drug].sort_values("rank").iloc[0]
        right += true[model.genes.index(first.name)] and first["kind"] == kind
    assert right >= 5


def test_means_of_fitted_contexts_hold_both_kinds(mixed, tmp_path) -> None:
    adata, truth, model = mixed
    assert model.fitted.kind_names.tolist() == ["shift", "activity"]
    rows = pd.DataFrame({"drug": list(truth)})
    predicted = model.predict_mean(rows).to_numpy()
    x, drug = np.asarray(adata.X), adata.obs["drug"].astype(str).to_numpy()
    observed = np.stack([x[drug == name].mean(0) for name in truth])
    change = np.linalg.norm(observed - x[drug == "control"].mean(0), axis=1)
    assert np.median(np.linalg.norm(predicted - observed, axis=1) / change) < 0.3
    model.save(tmp_path / "m")
    loaded = GIM.load(tmp_path / "m", adata)
    np.testing.assert_allclose(loaded.predict_mean(rows), predicted)
    asked = loaded.get_targets(rows).set_index(["drug", "gene"])["probability"]
    kept = model.get_targets().set_index(["drug", "gene"])["probability"]
    np.testing.assert_allclose(asked.to_numpy(), kept.loc[asked.index].to_numpy(), atol=1e-6)


def test_ensembles_average_both_kinds(mixed) -> None:
    """Each kind on its own, also where members name another kind or have one kind only."""
    fit = mixed[2].fitted
    shift, activity = fit.kinds
    same = average(fit, [fit])
    for name in ("shift", "activity"):
        np.testing.assert_allclose(same.kind(name).of_drug.probability, fit.kind(name).of_drug.probability)
    turned = average(fit, [replace(fit, kinds=(activity, shift))])  # the same kinds in another order
    np.testing.assert_allclose(turned.kind("shift").of_drug.probability, shift.of_drug.probability)
    halved = average(fit, [replace(fit, kinds=(shift,))])
    np.testing.assert_allclose(halved.kind("activity").of_drug.probability, activity.of_drug.probability / 2)
