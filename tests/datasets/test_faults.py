"""Faults of simulated screens: each does what it says, the truth holds it, and nothing changes without faults."""

import anndata
import numpy as np
import pandas as pd
import pytest

from scgim.datasets import faults, simulate
from scgim.datasets._simulator.truth import draw_cells, true_means

SMALL = {"n_genes": 10, "n_drugs": 6, "n_new_drugs": 2, "n_control": 400, "n_test_cells": 20, "new_doses": (0.75,)}


def small(*given, **kwargs):
    return simulate(**{**SMALL, "faults": given, **kwargs})


def total_effect(truth):
    """What a unit at each gene adds to all, (G, G), linear mechanisms."""
    return np.linalg.inv(np.eye(len(truth["weights"])) - truth["weights"])


def changes(truth):
    """Mean of each context minus that without drugs and faults, (K, G)."""
    bare = np.linalg.solve((np.eye(len(truth["weights"])) - truth["weights"]).T, truth["baseline"].T).T
    return true_means(truth, np.arange(len(truth["contexts"]))) - bare[truth["contexts"]["group"].to_numpy()]


def gene_sd_of(adata):
    """Of the controls of a system without faults."""
    return np.asarray(simulate(**SMALL | {"n_control": 5000}).X)[:5000].std(0)


@pytest.mark.parametrize(
    ("kwargs", "mean", "last"),
    [
        ({}, -0.17306057, 1.88413596),
        ({"mechanism": "neural", "intervention": "hard", "background_sd": 0.2}, -0.0488573, 2.78495536),
        ({"n_batches": 2, "n_pairs": 3, "graph": "scale_free"}, -0.05730765, 3.07018423),
    ],
)
def test_cells_without_faults_are_as_ever(kwargs, mean, last):
    """Numbers of the version before there were faults."""
    x = np.asarray(small(**kwargs).X, float)
    assert x.mean() == pytest.approx(mean, rel=1e-5)
    assert x[-1, -1] == pytest.approx(last, rel=1e-5)


@pytest.mark.parametrize("key", [True, False])
def test_plates_hold_whole_drugs_and_some_controls(key):
    adata = small(faults.Plates(3, sd=0.4, key=key))
    column = "plate" if key else "true_plate"
    assert ("plate" in adata.obs) == key
    plates = adata.obs.groupby("drug", observed=True)[column].nunique()
    assert plates["control"] == 3
    assert (plates.drop("control") == 1).all()
    assert (adata.obs["drug"] == "control").sum() == 400
    truth = adata.uns["truth"]
    effect = truth["faults"]["Plates"]["effect"]
    plate = np.unique(truth["contexts"][column], return_inverse=True)[1]
    np.testing.assert_allclose(changes(truth), (truth["effects"] + effect[plate]) @ total_effect(truth), atol=1e-8)
    assert (effect / gene_sd_of(adata)).std() == pytest.approx(0.4, rel=0.35)


def test_a_plate_for_each_drug():
    adata = small(faults.Plates(sd=0.1))
    perturbed = adata.obs[adata.obs["drug"] != "control"]
    assert perturbed.groupby("plate", observed=True)["drug"].nunique().max() == 1
    assert adata.obs["plate"].nunique() == 8


def test_latent_factors_are_in_covariances_and_means():
    """Covariance of controls and means of contexts are the closed forms; the hidden values of the cells are told."""
    adata = small(faults.LatentFactors(2, n_genes=5, sd=1.0, drug_sd=1.0), n_control=20_000)
    truth, total = adata.uns["truth"], total_effect(adata.uns["truth"])
    loading = truth["faults"]["LatentFactors"]["loading"]
    assert ((loading != 0).sum(1) == 5).all()
    control = (adata.obs["drug"] == "control").to_numpy()
    covariance = total.T @ (np.diag(truth["noise_sd"] ** 2) + loading.T @ loading) @ total
    found = np.cov(np.asarray(adata.X[control], float).T)
    scale = np.sqrt(np.outer(np.diag(covariance), np.diag(covariance)))
    assert np.abs((found - covariance) / scale).max() < 0.05
    moved = truth["disturbance"]["hidden_mean"] @ loading
    np.testing.assert_allclose(changes(truth), (truth["effects"] + moved) @ total, atol=1e-8)
    assert not truth["disturbance"]["hidden_mean"][0].any()
    np.testing.assert_array_equal(adata.varm["true_loadings"], loading.T)
    assert np.abs(adata.obsm["true_hidden"][control].std(0) - 1).max() < 0.03


def test_unequal_spread_changes_the_noise_of_some_pairs():
    adata = small(faults.UnequalSpread(share=0.3, factor=4.0), n_cells=400, doses=(2.0,), graph=np.zeros((10, 10)))
    truth = adata.uns["truth"]
    noisy = truth["faults"]["UnequalSpread"]["noisy"]
    assert not noisy[0].any()
    for k in range(1, 7):
        sd = np.asarray(adata.X[adata.obs["context"] == k]).std(0) / truth["noise_sd"]
        np.testing.assert_allclose(sd, np.where(noisy[k], 4, 1), rtol=0.2)


def test_measurement_adds_noise_that_no_gene_follows():
    """Covariance of the controls is that of the system but for the diagonal; means are as they were."""
    adata = small(faults.Measurement(sd=0.8, spread=0.5), n_control=5000)
    truth = adata.uns["truth"]
    total, sd = total_effect(truth), truth["faults"]["Measurement"]["noise_sd"]
    expected = total.T @ np.diag(truth["noise_sd"] ** 2) @ total + np.diag(sd**2)
    found = np.cov(np.asarray(adata.X[(adata.obs["drug"] == "control").to_numpy()], float).T)
    assert (np.abs(found - expected) / np.sqrt(np.outer(np.diag(expected), np.diag(expected)))).max() < 0.06
    np.testing.assert_allclose(changes(truth), truth["effects"] @ total, atol=1e-8)


@pytest.mark.parametrize("intervention", ["shift", "hard", "activity"])
def test_penetrance_splits_the_cells(intervention):
    """Responders differ from the others at targets; the exact means are those of the mixture."""
    adata = small(faults.Penetrance(0.4), n_cells=3000, doses=(2.0,), intervention=intervention)
    truth, obs = adata.uns["truth"], adata.obs
    assert not obs.loc[obs["drug"] == "control", "true_responder"].any()
    assert obs.loc[obs["drug"] != "control", "true_responder"].mean() == pytest.approx(0.4, abs=0.02)
    cells = draw_cells(truth, [0, 1, 2], 20_000).reshape(3, 20_000, -1)
    assert np.abs(cells.mean(1) - true_means(truth, [0, 1, 2])).max() < 0.2
    if intervention == "shift":
        one = obs["context"].to_numpy() == 1
        responds, x = obs["true_responder"].to_numpy()[one], np.asarray(adata.X)[one]
        gap = x[responds].mean(0) - x[~responds].mean(0)
        np.testing.assert_allclose(gap, truth["effects"][1] @ total_effect(truth), atol=0.5)


def test_penetrance_may_differ_between_drugs():
    truth = small(faults.Penetrance((0.2, 0.9)), n_drugs=40).uns["truth"]
    of_drug = truth["faults"]["Penetrance"]["of_drug"]
    assert of_drug.min() < 0.35
    assert of_drug.max() > 0.75


def test_drift_moves_contexts_and_drugs():
    adata = small(faults.Drift(context_sd=0.0, drug_sd=0.3))
    truth = adata.uns["truth"]
    shift, contexts = truth["disturbance"]["shift"], truth["contexts"]
    assert not shift[0].any()
    first, second = (
        shift[contexts.index[(contexts["drug"] == "drug_1") & (contexts["dose"] == c)].astype(int)[0]]
        for c in (1.0, 2.0)
    )
    response = [c**4 / (c**4 + 0.75**4) for c in (1.0, 2.0)]
    np.testing.assert_allclose(first / response[0], second / response[1])
    shift = small(faults.Drift(context_sd=0.3), n_drugs=60).uns["truth"]["disturbance"]["shift"]
    assert (shift[1:] / gene_sd_of(adata)).std() == pytest.approx(0.3, rel=0.1)


def test_background_and_faults_add_up():
    alone = small(background_sd=0.2).uns["truth"]
    both = small(faults.Drift(0.3), background_sd=0.2).uns["truth"]
    np.testing.assert_array_equal(alone["background"], both["background"])
    np.testing.assert_allclose(
        changes(both), (both["effects"] + both["disturbance"]["shift"]) @ total_effect(both), atol=1e-8
    )


def test_regulators_act_on_their_genes():
    adata = small(faults.Regulators(4, n_genes=5, drugs=0.5))
    truth, network = adata.uns["truth"], adata.uns["network"]
    told = truth["faults"]["Regulators"]
    acting = (told["drug_effect"] != 0).sum(1)
    np.testing.assert_array_equal(acting, [1] * 4 + [0] * 4)
    np.testing.assert_array_equal((truth["drug_effect"] != 0).any(1), acting == 0)
    moved = truth["disturbance"]["hidden_mean"] @ told["weights"]
    np.testing.assert_allclose(changes(truth), (truth["effects"] + moved) @ total_effect(truth), atol=1e-8)
    wide = network.pivot(index="source", columns="target", values="weight").reindex(columns=adata.var_names).fillna(0)
    np.testing.assert_array_equal(wide, np.sign(told["weights"]))


def test_a_share_of_the_network_is_wrong():
    truth = small(faults.Regulators(20, n_genes=4, wrong=0.3)).uns["truth"]
    adata = small(faults.Regulators(20, n_genes=4, wrong=0.3))
    true = pd.DataFrame(
        truth["faults"]["Regulators"]["weights"], truth["faults"]["Regulators"]["names"], adata.var_names
    )
    given = adata.uns["network"]
    right = [np.sign(true.loc[s, t]) == w for s, t, w in given.itertuples(index=False)]
    assert len(given) == 80
    assert 1 - np.mean(right) == pytest.approx(0.3)
    same = small(faults.Regulators(20, n_genes=4)).uns["truth"]["faults"]["Regulators"]["weights"]
    np.testing.assert_array_equal(true, same)  # what is handed out does not change the cells' system


def test_drugs_in_one_batch():
    obs = small(faults.OneBatch(2), n_batches=4, rng=1).obs
    batches = obs.groupby("drug", observed=True)["batch"].nunique()
    assert batches["control"] == 4
    assert batches["drug_1"] == batches["drug_2"] == 1
    assert batches[[f"drug_{d}" for d in range(3, 7)]].max() > 1


def test_drugs_that_were_only_measured_together():
    adata = small(faults.OnlyTogether(2))
    pairs = adata.obs[["drug_1", "drug_2"]].astype(str).drop_duplicates()
    together = set(map(tuple, pairs[pairs["drug_2"] != "control"].to_numpy()))
    assert together == {("drug_1", "drug_2"), ("drug_3", "drug_4")}
    alone = set(pairs.loc[pairs["drug_2"] == "control", "drug_1"])
    assert not alone & {"drug_1", "drug_2", "drug_3", "drug_4"}
    truth = adata.uns["truth"]
    k = int(truth["contexts"].index[truth["contexts"]["drug"] == "drug_1+drug_2"][0])
    np.testing.assert_array_equal(truth["targets"][k], (truth["drug_effect"][:2] != 0).any(0))


@pytest.mark.parametrize("mechanism", ["tanh", "relu", "square"])
def test_residuals_of_curved_mechanisms_are_the_noise(mechanism):
    """Residuals given the curves are the noise; what parents bring has a variance of about one among controls."""
    shape = {"tanh": np.tanh, "relu": lambda z: np.maximum(z, 0)}
    shape["square"] = lambda z: np.where(np.abs(z) < 2, z**2 / 2, 2 * np.abs(z) - 2)
    adata = small(mechanism=mechanism, n_control=4000)
    truth, x, row = adata.uns["truth"], np.asarray(adata.X, float), adata.obs["context"].to_numpy()
    curves = truth["curves"]
    value = shape[mechanism]((x - curves["centre"]) / curves["scale"]) - curves["level"]
    signal = value @ curves["amplitude"]
    z = (x - truth["baseline"][0] - signal - truth["effects"][row]) / truth["noise_sd"]
    assert np.abs(z.mean(0)).max() < 5 / np.sqrt(len(x))
    assert np.abs(z.std(0) - 1).max() < 5 / np.sqrt(2 * len(x))
    with_parents = truth["graph"].any(0)
    assert 0.4 < signal[row == 0].std(0)[with_parents].min()
    assert signal[row == 0].std(0)[with_parents].max() < 1.3


@pytest.mark.parametrize("activation", ["relu", "softplus", "sine"])
def test_networks_of_other_shapes_draw_finite_cells(activation):
    truth = small(mechanism="neural", hidden_units=4, activation=activation, weight_sd=2.0).uns["truth"]
    assert truth["network"]["w1"].shape == (10, 4, 10)
    cells = draw_cells(truth, [0], 4000)
    assert np.isfinite(cells).all()
    assert (cells.std(0) > 0.4).all()


EVERYTHING = (
    faults.Plates(2, key=False),
    faults.LatentFactors(1, drug_sd=0.5),
    faults.UnequalSpread(),
    faults.Penetrance((0.3, 0.8)),
    faults.Measurement(0.3),
    faults.Drift(0.2, 0.1),
    faults.Regulators(3, n_genes=4, drugs=0.5, wrong=0.25),
    faults.OneBatch(1),
)


@pytest.mark.parametrize("mechanism", ["linear", "relu"])
def test_truth_of_all_faults_survives_writing(tmp_path, mechanism):
    adata = small(*EVERYTHING, mechanism=mechanism, n_batches=2, noise="counts")
    adata.write_h5ad(tmp_path / "a.h5ad")
    back = anndata.read_h5ad(tmp_path / "a.h5ad")
    np.testing.assert_array_equal(draw_cells(back.uns["truth"], [1, 5], 5), draw_cells(adata.uns["truth"], [1, 5], 5))
    assert set(back.uns["truth"]["faults"]) == {type(fault).__name__ for fault in EVERYTHING}
    assert back.obs["true_responder"].equals(adata.obs["true_responder"])
    np.testing.assert_array_equal(small(*EVERYTHING, n_batches=2).X, small(*EVERYTHING, n_batches=2).X)


@pytest.mark.parametrize(
    ("fault", "message"),
    [
        (faults.Plates(0), "Plates.n: expected None or at least"),
        (faults.Plates(300), "n_control: expected at least 2 for each plate"),
        (faults.Plates(sd=-1), "Plates.sd"),
        (faults.LatentFactors(n_genes=11), "LatentFactors.n_genes: expected between 1 and the 10"),
        (faults.UnequalSpread(share=2), "UnequalSpread.share"),
        (faults.UnequalSpread(factor=0), "UnequalSpread.factor"),
        (faults.Measurement(spread=-1), "Measurement.spread"),
        (faults.Penetrance(0), "Penetrance.share"),
        (faults.Penetrance((0.9, 0.2)), "Penetrance.share"),
        (faults.Penetrance((0.1, 0.2, 0.3)), "Penetrance.share"),  # type: ignore[arg-type]
        (faults.Drift(-0.1), "Drift.context_sd"),
        (faults.Regulators(n_genes=4, wrong=1.5), "Regulators.wrong"),
        (faults.Regulators(n_genes=4, effect=(3, 1)), "Regulators.effect"),
        (faults.OneBatch(), "n_batches: expected at least 2"),
        (faults.OnlyTogether(4), "OnlyTogether.n_pairs: expected between 1 and half the drugs, 3"),
    ],
)
def test_faults_out_of_range_are_refused(fault, message):
    with pytest.raises(ValueError, match=message):
        small(fault)


def test_same_fault_twice_is_refused():
    with pytest.raises(ValueError, match="each fault once"):
        small(faults.Drift(), faults.Drift())
    with pytest.raises(TypeError, match="scgim.datasets.faults"):
        small("plates")
    with pytest.raises(ValueError, match="n_pairs: expected 0"):
        small(faults.OnlyTogether(), n_pairs=2)


@pytest.mark.parametrize(
    ("kwargs", "message"),
    [
        ({"effect_size": (3, 1)}, "effect_size"),
        ({"effect_size": (1, 3), "intervention": "activity"}, "effect_size: expected at most 1"),
        ({"activation": "step"}, "activation"),
        ({"hidden_units": 0}, "hidden_units"),
        ({"weight_sd": 0}, "weight_sd"),
    ],
)
def test_bad_arguments(kwargs, message):
    with pytest.raises(ValueError, match=message):
        small(mechanism="neural", **kwargs)


def test_sizes_of_effects():
    effect = small(effect_size=(15, 20)).uns["truth"]["drug_effect"]
    sizes = np.abs(effect[effect != 0])
    assert 15 <= sizes.min() <= sizes.max() <= 20
