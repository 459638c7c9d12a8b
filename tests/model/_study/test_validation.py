"""One well a context: replicates elsewhere tell the spread."""

import anndata
import numpy as np
import pytest

import scgim

KEYS = {"perturbation_key": "drug", "control": "control", "dose_key": "dose"}


def wells(n: int, n_control: int = 24) -> anndata.AnnData:
    """A screen in wells, `n` a drug and dose."""
    adata = scgim.datasets.simulate(
        n_genes=12, n_drugs=10, doses=(0.5, 1.0, 1.5, 2.0), new_doses=(), n_new_drugs=0, n_control=n_control, n_cells=max(n, 2),
        features="noise", rng=0,
    )  # fmt: skip
    label = adata.obs["drug"].astype(str) + "|" + adata.obs["dose"].astype(str)
    first = label.groupby(label).cumcount().to_numpy() < n
    return adata[first | (adata.obs["drug"] == "control").to_numpy()].copy()


@pytest.mark.parametrize("n", [1, 2, 8])
def test_targets_are_found_in_wells(n):
    adata = wells(n)
    truth = np.asarray(adata.uns["truth"]["drug_effect"]) != 0
    drugs = [str(name) for name in adata.uns["truth"]["drugs"]]
    scgim.tl.fit(adata, progress=False, **KEYS)
    table = scgim.get.targets(adata, level="drug").astype({"perturbation": str, "gene": str})
    called = (
        table.pivot(index="perturbation", columns="gene", values="probability").loc[drugs, list(adata.var_names)] > 0.9
    )
    assert (called.to_numpy() & truth).sum() >= 0.5 * truth.sum()
    assert (called.to_numpy() & truth).sum() >= 0.85 * called.to_numpy().sum()


@pytest.mark.parametrize("kind", ["hard", "activity", "auto"])
def test_other_kinds_take_single_wells(kind):
    adata = wells(1)
    model = scgim.tl.fit(adata, progress=False, intervention=kind, **KEYS)
    assert np.isfinite(scgim.get.targets(adata)["probability"]).all()
    assert np.isfinite(model.get_targets()["effect"]).all()


def test_no_replicates_at_all_say_what_is_missing():
    with pytest.raises(ValueError, match="cells beyond the first of their context in all; expected at least 10"):
        scgim.tl.fit(wells(1, n_control=6), progress=False, **KEYS)


def test_few_controls_and_doses_far_outside_are_said():
    adata = wells(3)
    control = np.flatnonzero(adata.obs["drug"] == "control")
    few = np.delete(np.arange(adata.n_obs), control[2:])
    with pytest.warns(
        UserWarning, match=r"control: 2 cell\(s\) \(or wells\) labelled 'control' in all; expected at least 3"
    ):
        scgim.model.GIM.setup_anndata(adata[few].copy(), **KEYS)
    model = scgim.tl.fit(adata, progress=False, max_epochs=0, **KEYS)
    asked = adata.obs.loc[adata.obs["drug"] != "control", ["drug", "dose"]].iloc[:1]
    model.predict(asked.assign(dose=20.0), n_cells=1)
    for dose in (1000.0, 0.001):
        with pytest.warns(
            UserWarning, match=f"perturbations: dose {dose:g} of .* more than 10 times outside those measured, 0.5 to 2"
        ):
            model.predict_mean(asked.assign(dose=dose))


def test_a_wrong_layer_is_told_from_those_that_there_are_and_lazy_columns_are_refused(tmp_path):
    adata = wells(2)
    adata.layers["counts"] = adata.X
    with pytest.raises(
        KeyError, match=r"layer: 'count' is not in adata.layers; found \['counts'\]; did you mean 'counts'"
    ):
        scgim.tl.fit(adata, layer="count", **KEYS)
    pytest.importorskip("xarray")
    from anndata.experimental import read_lazy

    adata.write_zarr(tmp_path / "cells.zarr")
    lazy = read_lazy(tmp_path / "cells.zarr")
    for call in (lambda: scgim.tl.fit(lazy, **KEYS), lambda: scgim.get.targets(lazy)):
        with pytest.raises(TypeError, match=r"adata: .obs is lazy, .* load it with adata = adata.to_memory"):
            call()
    adata.write_h5ad(tmp_path / "cells.h5ad")
    with pytest.raises(ValueError, match=r"found a view.*adata\.to_memory\(\)"):
        scgim.tl.fit(anndata.read_h5ad(tmp_path / "cells.h5ad", backed="r")[:3], **KEYS)
