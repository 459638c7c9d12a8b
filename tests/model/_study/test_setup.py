"""Registration of AnnData: what is stored, what is refused, and that a refusal leaves the data alone."""

import pickle
import warnings
from pathlib import Path
from typing import Any

import anndata as ad
import numpy as np
import pandas as pd
import pytest
from scipy import sparse

from scgim.model import GIM
from scgim.model._study.study import Study

SETUP: dict[str, Any] = {"perturbation_key": "drug", "dose_key": "dose", "control": "DMSO"}


def fingerprint(adata: ad.AnnData) -> dict[str, Any]:
    """What must be the same before and after a refused call."""
    return {
        "obs": adata.obs.copy(),
        "obsm": sorted(adata.obsm),
        "uns": sorted(adata.uns),
        "layers": sorted(str(k) for k in adata.layers),
        "x": None if adata.X is None else (type(adata.X), np.asarray(sparse.csr_matrix(adata.X).toarray())),
    }


def assert_untouched(adata: ad.AnnData, before: dict[str, Any]) -> None:
    after = fingerprint(adata)
    pd.testing.assert_frame_equal(before.pop("obs"), after.pop("obs"))
    x, y = before.pop("x"), after.pop("x")
    if x is not None:
        assert x[0] is y[0]
        np.testing.assert_array_equal(x[1], y[1])
    assert before == after


def drop_control(a: ad.AnnData) -> ad.AnnData:
    return a[a.obs["drug"] != "DMSO"].copy()


def edit_obs(column: str, where: Any, value: Any) -> Any:
    def edit(a: ad.AnnData) -> ad.AnnData:
        a.obs[column] = a.obs[column].astype(object)
        a.obs.loc[a.obs_names[where], column] = value
        if column == "dose" and not isinstance(value, str):
            a.obs[column] = a.obs[column].astype(float)
        return a

    return edit


def edit_x(where: Any, value: float) -> Any:
    def edit(a: ad.AnnData) -> ad.AnnData:
        a.X[where] = value
        return a

    return edit


def with_uns(table: Any) -> Any:
    def edit(a: ad.AnnData) -> ad.AnnData:
        a.uns["f"] = table(a) if callable(table) else table
        return a

    return edit


def with_obsm(make: Any) -> Any:
    def edit(a: ad.AnnData) -> ad.AnnData:
        a.obsm["f"] = make(a)
        return a

    return edit


def drug_names(a: ad.AnnData) -> list[str]:
    return sorted(set(a.obs["drug"]) - {"DMSO"})


def features(a: ad.AnnData) -> pd.DataFrame:
    return pd.DataFrame({"q0": [0.0, 1.0, 2.0], "q1": [1.0, 0.0, 1.0]}, index=drug_names(a))


def duplicate_genes(a: ad.AnnData) -> ad.AnnData:
    a.var_names = ["g0", "g0", "g2", "g3"]
    return a


def batch_without_control(a: ad.AnnData) -> ad.AnnData:
    a.obs["batch"] = np.where(a.obs["drug"] == "Ünï-drug α", "lonely", "a")
    return a


def without_x(a: ad.AnnData) -> ad.AnnData:
    return ad.AnnData(obs=a.obs, var=a.var)


def yes_and_no(a: ad.AnnData) -> ad.AnnData:
    a.obs["s"] = np.arange(a.n_obs) % 2 == 0
    return a


def same(a: ad.AnnData) -> ad.AnnData:
    return a


WRONG = {
    "missing column": (same, {"perturbation_key": "drugg"}, KeyError, r"perturbation_key: .*Did you mean 'drug'"),
    "missing dose": (same, {"dose_key": "c"}, KeyError, "dose_key: column 'c'"),
    "missing batch": (same, {"batch_key": "b"}, KeyError, "batch_key"),
    "missing covariate": (same, {"continuous_covariate_keys": ["s"]}, KeyError, "continuous_covariate_keys"),
    "missing layer": (same, {"layer": "logs"}, KeyError, "layer: 'logs'"),
    "X as a layer": (same, {"layer": "X"}, KeyError, "leave layer out for adata.X"),
    "raw as a layer": (same, {"layer": "raw"}, KeyError, r"adata\.raw\.to_adata\(\)"),
    "yes and no as numbers": (
        yes_and_no,
        {"continuous_covariate_keys": ["s"]},
        TypeError,
        r"astype\(float\)",
    ),
    "layer of wrong type": (same, {"layer": ["logs"]}, TypeError, "layer"),
    "control absent": (drop_control, {}, ValueError, r"control: no cell has 'DMSO'"),
    "control mistyped": (same, {"control": "dmso"}, ValueError, r"control: .*Ünï"),
    "only control": (lambda a: a[a.obs["drug"] == "DMSO"].copy(), {}, ValueError, "perturbation_key: all cells"),
    "dose is text": (edit_obs("dose", slice(0, 99), "high"), {}, TypeError, "dose_key"),
    "dose negative": (edit_obs("dose", -1, -2.0), {}, ValueError, "dose_key: .*negative"),
    "dose missing": (edit_obs("dose", -1, np.nan), {}, ValueError, "dose_key: .*missing"),
    "dose 0 of a drug": (edit_obs("dose", -1, 0.0), {}, ValueError, "dose_key: .*control"),
    "drug missing": (edit_obs("drug", -1, None), {}, ValueError, "perturbation_key: .*fillna"),
    "batch without control": (batch_without_control, {"batch_key": "batch"}, ValueError, "batch_key: 1 group"),
    "gene without variance": (edit_x((slice(None), 1), 3.0), {}, ValueError, r"layer: 1 gene.*no variance.*'g1'"),
    "NaN": (edit_x((5, 2), np.nan), {}, ValueError, "layer: adata.X holds NaN.*'g2'"),
    "infinite": (edit_x((-1, 3), np.inf), {}, ValueError, "layer: adata.X holds NaN or infinite.*'g3'"),
    "gene names": (duplicate_genes, {}, ValueError, "gene names .'g0'. occur"),
    "no expression": (without_x, {}, ValueError, "layer: adata.X is empty"),
    "features key": (same, {"features_key": "f"}, KeyError, "features_key: 'f'"),
    "features type": (with_uns({"a": 1}), {"features_key": "f"}, TypeError, "DataFrame"),
    "features of a drug": (
        with_uns(lambda a: features(a).iloc[:2]),
        {"features_key": "f"},
        KeyError,
        "no row for 1 drug",
    ),
    "features text": (with_uns(lambda a: features(a).astype(str)), {"features_key": "f"}, TypeError, "numbers"),
    "features NaN": (
        with_uns(lambda a: features(a).replace(0.0, np.nan)),
        {"features_key": "f"},
        ValueError,
        "missing",
    ),
    "features twice": (
        with_uns(lambda a: pd.concat([features(a), features(a)])),
        {"features_key": "f"},
        ValueError,
        "more than one row",
    ),
    "features vary": (
        with_obsm(lambda a: np.arange(a.n_obs, dtype=float)[:, None]),
        {"features_key": "f"},
        ValueError,
        "constant within a context",
    ),
    "obsm NaN": (with_obsm(lambda a: np.full((a.n_obs, 2), np.nan)), {"features_key": "f"}, ValueError, "NaN"),
}


@pytest.mark.parametrize("case", WRONG)
def test_wrong_calls_name_the_argument_and_write_nothing(screen: ad.AnnData, case: str) -> None:
    edit, arguments, error, message = WRONG[case]
    adata = edit(screen)
    before = fingerprint(adata)
    with pytest.raises(error, match=message):
        GIM.setup_anndata(adata, **SETUP | arguments)
    assert_untouched(adata, before)


def test_view_is_refused(screen: ad.AnnData) -> None:
    with pytest.raises(ValueError, match=r"view; run adata = adata.copy\(\)"):
        GIM.setup_anndata(screen[:50], **SETUP)


def test_other_objects_are_refused() -> None:
    with pytest.raises(TypeError, match="adata: expected AnnData, found DataFrame"):
        GIM.setup_anndata(pd.DataFrame(), **SETUP)


@pytest.mark.parametrize("several", [False, True])
def test_doses_of_controls_are_ignored_with_a_warning_where_they_are_several(screen: ad.AnnData, several: bool) -> None:
    of_control = screen.obs_names[screen.obs["drug"] == "DMSO"]
    screen.obs.loc[of_control, "dose"] = 0.5
    screen.obs.loc[of_control[:3], "dose"] = 0.7 if several else 0.5
    with warnings.catch_warnings(record=True) as said:
        warnings.simplefilter("always")
        GIM.setup_anndata(screen, **SETUP)
    assert ["doses of controls are ignored" in str(w.message) for w in said] == [True] * several
    assert GIM(screen).contexts["dose"].iloc[0] == 0


def test_missing_dose_of_control_is_fine(screen: ad.AnnData) -> None:
    screen.obs.loc[screen.obs["drug"] == "DMSO", "dose"] = np.nan
    GIM.setup_anndata(screen, **SETUP)
    assert GIM(screen).design.control.sum() == 1


def test_contexts_are_listed_with_their_cells(screen: ad.AnnData) -> None:
    GIM.setup_anndata(screen, **SETUP)
    model = GIM(screen)
    assert list(model.contexts) == ["drug", "dose", "n_cells"]
    assert model.contexts["n_cells"].tolist() == [48, *[12] * 9]
    assert model.drugs == ("(+/-) JQ1/analogue", "drug with spaces", "Ünï-drug α")
    codes = screen.obs["_scvi_context"].to_numpy()
    table = model.contexts.iloc[codes]
    assert (table["drug"].to_numpy() == screen.obs["drug"].to_numpy()).all()
    assert (table["dose"].to_numpy() == screen.obs["dose"].to_numpy()).all()


@pytest.mark.parametrize("kind", ["csr", "csc", "dask", "backed", "backed csr", "layer"])
def test_formats_of_the_matrix_agree(screen: ad.AnnData, tmp_path: Path, kind: str) -> None:
    """Moments of any format equal those of the dense matrix; a format is kept as it was."""
    screen.X[np.abs(screen.X) < 0.3] = 0
    dense = screen.copy()
    GIM.setup_anndata(dense, **SETUP)
    expected = np.concatenate([np.asarray(x) for x, _ in GIM(dense).cells()()])
    arguments = dict(SETUP)
    if kind == "layer":
        screen.layers["logs"] = screen.X
        screen.X = np.zeros_like(screen.X)
        arguments["layer"] = "logs"
    elif kind == "dask":
        da = pytest.importorskip("dask.array")
        screen.X = da.from_array(screen.X, chunks=(50, 4))
    elif kind != "backed":
        screen.X = (sparse.csc_matrix if kind == "csc" else sparse.csr_matrix)(screen.X)
    if kind.startswith("backed"):
        screen.write_h5ad(tmp_path / "a.h5ad")
        screen = ad.read_h5ad(tmp_path / "a.h5ad", backed="r")
    before = type(screen.X)
    GIM.setup_anndata(screen, **arguments)
    assert type(screen.X) is before
    blocks = [x.toarray() if sparse.issparse(x) else x for x, _ in GIM(screen).cells()()]
    np.testing.assert_array_equal(np.concatenate(blocks), expected)


def test_bad_values_of_sparse_matrices_are_found(screen: ad.AnnData) -> None:
    screen.X[7, 2] = np.nan
    screen.X = sparse.csr_matrix(screen.X)
    with pytest.raises(ValueError, match="'g2'"):
        GIM.setup_anndata(screen, **SETUP)


def test_chunks_cover_all_cells(screen: ad.AnnData, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("scgim.model._reading.expression.chunk_rows", lambda n: 7)
    GIM.setup_anndata(screen, **SETUP)
    blocks = list(GIM(screen).cells()())
    assert len(blocks) == -(-screen.n_obs // 7)
    np.testing.assert_array_equal(np.concatenate([x for x, _ in blocks]), screen.X)


def test_raw_counts_under_gaussian_noise_warn(screen: ad.AnnData) -> None:
    screen.layers["counts"] = np.random.default_rng(0).poisson(3, screen.shape)
    GIM.setup_anndata(screen, **SETUP, layer="counts")
    with pytest.warns(UserWarning, match=r"adata.layers\['counts'\] holds raw counts"):
        GIM(screen)


def test_registry_holds_plain_values_only(screen: ad.AnnData) -> None:
    """Nothing of pandas in the registry: it has to open with other versions."""
    screen.uns["f"] = features(screen)
    GIM.setup_anndata(screen, **SETUP | {"perturbation_key": ("drug",), "dose_key": ("dose",)}, features_key="f")
    registry = GIM(screen).registry_

    def walk(value: Any) -> None:
        assert isinstance(value, (dict, list, str, int, float, bool, type(None), np.ndarray)), type(value)
        if isinstance(value, np.ndarray):
            assert value.dtype.kind in "fiub"
        for item in value.values() if isinstance(value, dict) else value if isinstance(value, list) else ():
            walk(item)

    walk(dict(registry["field_registries"]))
    walk(registry["setup_args"])
    again = Study.of(pickle.loads(pickle.dumps(registry)))
    assert again.features is not None
    assert again.features.names == ("q0", "q1")
    assert again.genes == ["g0", "g1", "g2", "g3"]


@pytest.mark.parametrize("frame", [True, False])
def test_obsm_features_are_kept_by_context(screen: ad.AnnData, frame: bool) -> None:
    values = np.column_stack([screen.obs["dose"], screen.obs["drug"] == "Ünï-drug α"]).astype(float)
    values[screen.obs["drug"] == "DMSO"] = np.nan  # controls need none
    screen.obsm["f"] = pd.DataFrame(values, index=screen.obs_names, columns=["a", "b"]) if frame else values
    GIM.setup_anndata(screen, **SETUP, features_key="f")
    found = GIM(screen).study.features
    assert found is not None
    assert found.values[0].tolist() == [0.0, 0.0]
    assert found.values[-1].tolist() == [10.0, 1.0]


def test_order_of_two_drug_columns_does_not_matter(screen: ad.AnnData) -> None:
    screen.obs["drug2"], screen.obs["dose2"] = "DMSO", 0.0
    rows = screen.obs_names[-24:]
    screen.obs.loc[rows[::2], ["drug2", "dose2"]] = ["drug with spaces", 1.0]
    screen.obs.loc[rows[::2], ["drug", "dose"]] = ["Ünï-drug α", 1.0]
    screen.obs.loc[rows[1::2], ["drug", "dose"]] = ["drug with spaces", 1.0]
    screen.obs.loc[rows[1::2], ["drug2", "dose2"]] = ["Ünï-drug α", 1.0]
    GIM.setup_anndata(screen, perturbation_key=["drug", "drug2"], dose_key=["dose", "dose2"], control="DMSO")
    last = GIM(screen).contexts.iloc[-1]
    assert last.tolist() == ["drug with spaces", "Ünï-drug α", 1.0, 1.0, 24]


def test_setup_replays_on_other_cells(screen: ad.AnnData) -> None:
    GIM.setup_anndata(screen, **SETUP)
    model = GIM(screen)
    some = screen[screen.obs["dose"] == 1.0].copy()
    manager = model.adata_manager.transfer_fields(some)
    codes = np.asarray(manager.get_from_registry("scgim_context")).ravel()
    assert (model.contexts.iloc[codes]["drug"].to_numpy() == some.obs["drug"].to_numpy()).all()
    with pytest.raises(ValueError, match="genes of the model"):
        model.adata_manager.transfer_fields(screen[:, ::-1].copy())
