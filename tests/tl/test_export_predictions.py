import anndata as ad
import numpy as np
import pytest

import systems
from scgim import tl


@pytest.fixture(scope="module")
def pair(model, parts, tmp_path_factory):
    folder = tmp_path_factory.mktemp("predictions")
    return folder, *tl.export_predictions(model, parts["new_dose"], folder / "out", n_cells=40)


def test_both_hold_the_same_conditions_with_as_many_cells(pair, parts):
    _, measured, predicted = pair
    assert measured.obs.equals(predicted.obs) and measured.var_names.equals(predicted.var_names)
    held = parts["new_dose"].obs
    perturbed = held[held["drug"] != "control"]
    labels = {f"{drug} @ {dose:g}" for drug, dose in zip(perturbed["drug"], perturbed["dose"], strict=True)}
    assert set(measured.obs["perturbation"]) == labels | {"control"}
    counts = measured.obs["perturbation"].value_counts().drop("control")
    assert (counts == 40).all()


def test_controls_are_measured_cells_in_both(pair, parts):
    _, measured, predicted = pair
    control = (measured.obs["perturbation"] == "control").to_numpy()
    np.testing.assert_array_equal(measured.X[control], predicted.X[control])
    train = parts["train"][parts["train"].obs["drug"] == "control"].X
    assert {row.tobytes() for row in measured.X[control]} <= {row.tobytes() for row in np.asarray(train, np.float32)}
    assert not np.isin(measured.X[~control][:, 0], predicted.X[~control][:, 0]).any()


def test_predicted_means_are_those_of_the_model(pair, model, parts):
    _, _, predicted = pair
    ask = parts["new_dose"].obs.loc[parts["new_dose"].obs["drug"] != "control", ["drug", "dose"]].drop_duplicates()
    wanted = model.predict_mean(ask).to_numpy()
    label = [f"{drug} @ {dose:g}" for drug, dose in zip(ask["drug"], ask["dose"], strict=True)]
    found = np.stack([predicted.X[(predicted.obs["perturbation"] == name).to_numpy()].mean(axis=0) for name in label])
    sd = predicted.X.std(axis=0) / np.sqrt(40)
    assert (np.abs(found - wanted) < 5 * sd).mean() > 0.99


def test_files_read_back_equal(pair):
    folder, measured, predicted = pair
    for name, made in (("measured", measured), ("predicted", predicted)):
        read = ad.read_h5ad(folder / "out" / f"{name}.h5ad")
        np.testing.assert_array_equal(read.X, made.X)
        assert read.obs["perturbation"].astype(str).tolist() == made.obs["perturbation"].astype(str).tolist()


def test_moved_controls_and_seeds(model, parts):
    first, second = (
        tl.export_predictions(model, parts["new_dose"], n_cells=10, population="control", rng=3)[1] for _ in range(2)
    )
    np.testing.assert_array_equal(first.X, second.X)


@pytest.fixture(scope="module")
def counts():
    """Held-out doses of a screen of counts, and their predictions, as logarithms of normalised counts."""
    adata = systems.make_screen(n_genes=30, n_cells=40, batches=("a", "b"))
    rng = np.random.default_rng(0)
    adata.X = np.log1p(rng.poisson(np.exp(np.clip(np.asarray(adata.X) * 0.3 + 1, -3, 4)))).astype(np.float32)
    held = ((adata.obs["drug"] != "DMSO") & (adata.obs["dose"] == 1.0)).to_numpy()
    model = tl.fit(
        adata[~held].copy(),
        perturbation_key="drug",
        dose_key="dose",
        control="DMSO",
        batch_key="batch",
        max_epochs=0,
        progress=False,
    )
    return tl.export_predictions(model, adata[held].copy())


def test_values_below_zero_are_cut_where_there_are_none_in_the_data(counts):
    measured, predicted = counts
    assert measured.X.min() >= 0 and predicted.X.min() == 0
    assert set(measured.obs["batch"]) == {"a", "b"}


@pytest.mark.filterwarnings("ignore")
def test_scperteval_reads_them(counts):
    sp = pytest.importorskip("scperteval")
    measured, predicted = counts
    prepared = sp.prepare(measured, ["pearson_ctrl", "mse"], name="held out")
    own = sp.score(prepared, "pearson_ctrl", predicted)
    assert own.per_perturbation["perturbation"].nunique() == 3
    assert sp.score(prepared, "mse", measured).aggregate["mean"] == pytest.approx(0, abs=1e-8)
    control = measured.X[(measured.obs["perturbation"] == "control").to_numpy()].mean(axis=0)
    for _, row in own.per_perturbation.iterrows():
        here = (measured.obs["perturbation"] == row["perturbation"]).to_numpy()
        change = [cells.X[here].mean(axis=0) - control for cells in (measured, predicted)]
        value = row.drop(labels="perturbation").apply(lambda x: x if isinstance(x, float) else np.nan).to_numpy(float)
        assert np.isclose(value, np.corrcoef(*change)[0, 1], atol=1e-4).any()


@pytest.mark.filterwarnings("ignore")
def test_cell_eval_reads_them(counts, tmp_path):
    cell_eval = pytest.importorskip("cell_eval")
    measured, predicted = counts
    evaluator = cell_eval.MetricsEvaluator(
        adata_pred=predicted.copy(),
        adata_real=measured.copy(),
        control_pert="control",
        pert_col="perturbation",
        num_threads=1,
        outdir=str(tmp_path / "out"),
    )
    table, _ = evaluator.compute(profile="anndata", write_csv=False, break_on_error=True)
    control = measured.X[(measured.obs["perturbation"] == "control").to_numpy()].mean(axis=0)
    for row in table.iter_rows(named=True):
        here = (measured.obs["perturbation"] == row["perturbation"]).to_numpy()
        change = [cells.X[here].mean(axis=0) - control for cells in (measured, predicted)]
        assert row["pearson_delta"] == pytest.approx(np.corrcoef(*change)[0, 1], abs=1e-4)
