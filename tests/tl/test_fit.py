"""tl.fit on simulated data: recovery, what is written, what is left alone."""

import signal
import warnings

import anndata as ad
import mudata as md
import numpy as np
import pandas as pd
import pytest
from lightning.pytorch.callbacks import Callback

import systems
from scgim import _keys, datasets, get, metrics, pl, tl
from scgim._keys import RESULTS
from scgim.model import GIM

NAMES = {"drug_1": "(+/-)-Abacavir sulfate / HCl", "drug_2": "β-Lapachone", "drug_3": "drug with spaces"}


def simulated(**kwargs):
    settings = {"n_genes": 6, "n_drugs": 8, "n_new_drugs": 2, "n_cells": 30, "n_test_cells": 60, "max_targets": 2}
    adata = systems.simulated(**settings | kwargs)
    names = NAMES | {name: name for name in adata.obs["drug"].cat.categories if name not in NAMES}
    adata.obs["drug"] = adata.obs["drug"].cat.rename_categories(names)
    return adata


@pytest.fixture(scope="module")
def everything():
    return simulated()


@pytest.fixture(scope="module")
def fitted(everything):
    train = everything[everything.obs["split"] == "train"].copy()
    model = tl.fit(train, perturbation_key="drug", dose_key="dose", control="control", max_epochs=0)
    return train, model


def test_recovers_the_truth(fitted):
    adata, _ = fitted
    truth = adata.uns["truth"]
    assert metrics.edge_f1(truth["graph"], adata.varp["scgim_graph"]) >= 0.8
    sure = get.targets(adata, min_probability=0.5)
    assert len(sure) > 0


def test_writes_the_keys_and_nothing_else(everything, fitted):
    adata, model = fitted
    before = everything[everything.obs["split"] == "train"].copy()
    assert isinstance(model, GIM) and model.is_trained_
    for key in _keys.FIT:
        key.find(adata)
    assert list(adata.obs) == [*before.obs, "scgim_target", "scgim_target_probability"]
    assert set(adata.uns) == {*before.uns, "scgim"}
    assert (
        list(adata.var) == list(before.var) and not set(adata.layers) - {None} and set(adata.obsm) == set(before.obsm)
    )
    np.testing.assert_array_equal(adata.X, before.X)
    pd.testing.assert_frame_equal(adata.obs[list(before.obs)], before.obs)
    assert adata.varm["scgim_effect"].shape == (6, len(adata.uns["scgim"]["contexts"]))


def test_contexts_and_targets_are_in_one_order(fitted):
    adata, _ = fitted
    contexts = adata.uns["scgim"]["contexts"]
    table = adata.uns["scgim"]["targets"]
    k = 5
    row = contexts.iloc[k]
    part = table[(table["drug"] == row["drug"]) & (table["dose"] == row["dose"])].set_index("gene")
    np.testing.assert_allclose(
        part.loc[adata.var_names, "probability"], adata.varm["scgim_target_probability"][:, k], rtol=1e-5
    )
    np.testing.assert_allclose(part.loc[adata.var_names, "effect"], adata.varm["scgim_effect"][:, k], rtol=1e-4)
    cells = adata.obs[(adata.obs["drug"] == row["drug"]) & (adata.obs["dose"] == row["dose"])]
    assert len(cells) == row["n_cells"]
    assert set(adata.obs.loc[adata.obs["drug"] == "control", "scgim_target"]) == {"none"}


def test_params_and_history_are_kept(fitted):
    adata, _ = fitted
    params = adata.uns["scgim"]["params"]
    assert params["mechanism"] == "linear" and params["rng"] == 0 and list(params["perturbation_key"]) == ["drug"]
    assert {"scgim", "scvi-tools", "torch", "anndata"} <= set(params["versions"])
    assert params["train_kwargs"] == {"max_epochs": 0}
    history = adata.uns["scgim"]["history"]
    assert list(history) == ["stage", "metric", "step", "value"] and set(history["stage"]) == {
        "search 1",
        "search 2",
        "search 3",
    }


def test_same_seed_gives_the_same_result_and_global_seeds_are_restored(fitted):
    import torch
    from scvi import settings

    adata, _ = fitted
    train = adata[:, :].copy()
    np.random.seed(5)  # noqa: NPY002
    torch.manual_seed(5)
    before = np.random.get_state()[1].copy(), torch.get_rng_state(), settings.seed  # noqa: NPY002
    tl.fit(train, perturbation_key="drug", dose_key="dose", control="control", max_epochs=0, key_added="again")
    assert (np.random.get_state()[1] == before[0]).all()  # noqa: NPY002
    assert torch.equal(torch.get_rng_state(), before[1])
    assert settings.seed == before[2]
    np.testing.assert_allclose(train.varm["again_effect"], adata.varm["scgim_effect"], rtol=1e-6)
    assert abs(train.varp["again_graph"] - adata.varp["scgim_graph"]).max() < 1e-6


@pytest.mark.parametrize("suffix", ["h5ad", "zarr"])
def test_results_survive_writing(fitted, tmp_path, suffix):
    adata, _ = fitted
    getattr(adata, f"write_{suffix}")(tmp_path / f"a.{suffix}")
    back = getattr(ad, f"read_{suffix}")(tmp_path / f"a.{suffix}")
    for entry in ("contexts", "targets", "history"):
        pd.testing.assert_frame_equal(
            adata.uns["scgim"][entry], back.uns["scgim"][entry], check_index_type=False, check_column_type=False
        )
    assert NAMES["drug_1"] in set(back.obs["drug"]) or NAMES["drug_1"] not in set(adata.obs["drug"])


def test_views_and_other_objects_are_refused(everything):
    with pytest.raises(ValueError, match="view"):
        tl.fit(everything[:100], perturbation_key="drug", control="control")
    with pytest.raises(TypeError, match="DataFrame"):
        tl.fit(everything.to_df(), perturbation_key="drug", control="control")


def test_layer_and_sparse_give_the_same(fitted):
    from scipy import sparse

    adata, _ = fitted
    other = ad.AnnData(np.zeros(adata.shape, np.float32), obs=adata.obs[["drug", "dose"]].copy(), var=adata.var.copy())
    other.layers["log"] = sparse.csr_matrix(adata.X)
    tl.fit(other, perturbation_key="drug", dose_key="dose", control="control", layer="log", max_epochs=0)
    np.testing.assert_allclose(other.varm["scgim_effect"], adata.varm["scgim_effect"], rtol=1e-3, atol=1e-3)


def test_mudata_is_fitted_saved_and_loaded_without_warnings_of_mudata(everything, tmp_path):
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        mdata = md.MuData({"rna": everything[:, :2].copy(), "protein": everything[:, 2:4].copy()})
        mdata.obs[["drug", "dose"]] = everything.obs[["drug", "dose"]]
    with warnings.catch_warnings():
        warnings.simplefilter("error", FutureWarning)
        model = tl.fit(mdata, perturbation_key="drug", dose_key="dose", control="control", max_epochs=0)
        model.save(tmp_path / "m", save_anndata=True)
        assert GIM.load(tmp_path / "m").genes == model.genes


def test_units_offsets_and_the_order_of_cells_do_not_matter(fitted):
    adata, _ = fitted
    other, unit = adata[::-1].copy(), np.array([1, 10, 0.1, 1000, 1, 1])
    other.X = other.X * unit + 7
    tl.fit(other, perturbation_key="drug", dose_key="dose", control="control", max_epochs=0)
    effect = adata.varm["scgim_effect"] * unit[:, None]
    np.testing.assert_allclose(other.varm["scgim_effect"], effect, rtol=1e-3, atol=1e-3)


class CtrlC(Callback):
    """Ctrl-C in the first epoch."""

    def on_train_epoch_end(self, *_):
        raise KeyboardInterrupt


def test_ctrl_c_in_training_is_a_keyboard_interrupt_and_leaves_the_object(everything):
    adata, handler = everything.copy(), signal.getsignal(signal.SIGINT)
    with pytest.raises(KeyboardInterrupt, match="broken off"):
        tl.fit(adata, perturbation_key="drug", dose_key="dose", control="control", max_epochs=3, callbacks=[CtrlC()])
    assert signal.getsignal(signal.SIGINT) is handler
    assert not any("scgim" in str(name) for slot in (adata.obs, adata.uns, adata.varm, adata.varp) for name in slot)


def test_mudata_is_fitted_like_its_parts_together(fitted, tmp_path, quiet_mudata):
    adata, _ = fitted
    parts = {"rna": adata[:, :4].copy(), "protein": adata[:, 4:].copy()}
    for part in parts.values():
        for slot in (part.varm, part.varp, part.uns):
            for name in list(slot):
                del slot[name]
        part.obs = part.obs[["drug", "dose"]].copy()
    mdata = md.MuData(parts)
    mdata.obs["drug"], mdata.obs["dose"] = adata.obs["drug"], adata.obs["dose"]
    columns = list(mdata.obs)
    tl.fit(mdata, perturbation_key="drug", dose_key="dose", control="control", max_epochs=0)
    np.testing.assert_allclose(mdata.varm["scgim_effect"], adata.varm["scgim_effect"], rtol=1e-3, atol=1e-3)
    np.testing.assert_allclose(mdata["protein"].varm["scgim_effect"], mdata.varm["scgim_effect"][4:])
    assert list(mdata.obs) == [*columns, "scgim_target", "scgim_target_probability"]
    assert list(mdata["rna"].obs) == ["drug", "dose", "scgim_target", "scgim_target_probability"]
    assert get.graph(mdata).number_of_edges() == get.graph(adata).number_of_edges()
    mdata.write(tmp_path / "m.h5mu")
    back = md.read_h5mu(tmp_path / "m.h5mu")
    np.testing.assert_array_equal(back.varm["scgim_effect"], mdata.varm["scgim_effect"])
    assert "scgim" in back.uns and "scgim" in back["rna"].uns


@pytest.mark.parametrize("more", [{}, {"max_epochs": 0}, {"structure": "cyclic"}], ids=["default", "search", "cyclic"])
@pytest.mark.parametrize(
    ("wrong", "meant"),
    [
        ({"max_epoch": 3}, "max_epochs"),
        ({"random_state": 1}, "rng"),
        ({"seed": 1}, "rng"),
        ({"dose": "dose"}, "did you mean 'dose_key'"),
        ({"copy": True}, "adata.copy()"),
        ({"n_hidden": 8}, "model_kwargs={'n_hidden'"),
        ({"lr": 0.1}, "plan_kwargs={'lr'"),
        ({"doze_key": "dose"}, "dose_key"),
    ],
    ids=lambda x: next(iter(x)) if isinstance(x, dict) else None,
)
def test_wrong_keywords_are_refused_before_anything_is_done(screen, more, wrong, meant):
    """Also where there is no second stage, whose trainer would have refused them."""
    before = set(screen.uns), set(screen.obs)
    with pytest.raises(TypeError, match="unknown argument") as error:
        tl.fit(screen, perturbation_key="drug", control="DMSO", progress=False, **more, **wrong)
    assert meant in str(error.value)
    assert (set(screen.uns), set(screen.obs)) == before


def test_wrong_settings_of_the_module_are_refused_before_anything_is_done(screen):
    with pytest.raises(TypeError, match="n_hiden: unknown argument; did you mean 'n_hidden'"):
        tl.fit(screen, perturbation_key="drug", dose_key="dose", control="DMSO", model_kwargs={"n_hiden": 8})


@pytest.mark.parametrize("n_genes", [1, 2, 3])
@pytest.mark.parametrize(
    "settings", [{"intervention": "shift"}, {"intervention": "hard"}, {"structure": "cyclic"}], ids=str
)
def test_few_genes_have_probabilities_and_finite_effects(n_genes, settings):
    adata = systems.make_screen(
        n_genes=n_genes, drugs=("a",)
    )  # every drug hits every gene: the most that a prior can learn
    adata.X[(adata.obs["drug"] == "a").to_numpy()] += 5
    tl.fit(adata, perturbation_key="drug", control="DMSO", dose_key="dose", max_epochs=0, **settings)
    probability = adata.varm["scgim_target_probability"]
    assert ((probability >= 0) & (probability <= 1)).all() and probability[:, 1:].max() > 0.5
    assert np.isfinite(adata.varm["scgim_effect"]).all()


def test_columns_named_like_those_of_results_stand_beside_them():
    """CRISPR screens call the perturbed gene `gene`."""
    adata = datasets.simulate(5, n_drugs=3, n_control=60, n_cells=20, new_doses=(), n_new_drugs=0, rng=0)
    adata.obs["batch"] = ["a", "b"] * (adata.n_obs // 2)
    columns = {"perturbation_key": "drug", "dose_key": "dose", "batch_key": "batch", "control": "control"}
    tl.fit(adata, **columns, penetrance=True, max_epochs=0, progress=False)
    registered, tables = (
        {"drug", "dose", "batch"},
        {level: get.targets(adata, level=level) for level in ("context", "drug")},
    )
    assert set(tables["context"]) - registered <= RESULTS
    assert set(adata.uns["scgim"]["contexts"]) - registered <= RESULTS
    adata.obs = adata.obs.rename(columns={"drug": "gene", "dose": "effect", "batch": "rank"})
    columns = {"perturbation_key": "gene", "dose_key": "effect", "batch_key": "rank", "control": "control"}
    tl.fit(adata, **columns, penetrance=True, max_epochs=0, progress=False)
    renamed = {"drug": "obs_gene", "dose": "obs_effect", "batch": "obs_rank"}
    pd.testing.assert_frame_equal(get.targets(adata), tables["context"].rename(columns=renamed))
    pd.testing.assert_frame_equal(get.targets(adata, level="drug"), tables["drug"])
    pl.dose_response(adata, "drug_1", show=False)
