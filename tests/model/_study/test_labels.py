"""Labels that read the same, nearly the same, or as combinations."""

import warnings
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

import scgim
import systems
from scgim.model import GIM

KEYS = {"perturbation_key": "drug", "control": "DMSO"}


def with_labels(*names: object):
    """The screen with its four labels replaced."""
    adata = systems.make_screen()
    old = list(dict.fromkeys(adata.obs["drug"]))
    adata.obs["drug"] = pd.Series(adata.obs["drug"]).map(dict(zip(old, names, strict=True))).astype(object).to_numpy()
    return adata


@pytest.mark.parametrize(
    "names", [("DMSO", "a", "A", "b"), ("DMSO", "a", "a ", "b"), ("DMSO", "x+y", "x + y", "b")], ids=str
)
def test_labels_that_differ_by_case_or_blanks_are_warned_about(names: tuple[str, ...]) -> None:
    with pytest.warns(UserWarning, match="perturbation_key: .* differ by case or blanks alone"):
        GIM.setup_anndata(with_labels(*names), **KEYS)


def test_combinations_are_pointed_out() -> None:
    with pytest.warns(
        UserWarning, match=r"such as 'a \+ b', look like combinations .*split_combinations\(adata, 'drug'\)"
    ):
        GIM.setup_anndata(with_labels("DMSO", "a", "b", "a + b"), **KEYS)
    with warnings.catch_warnings():
        warnings.simplefilter("error", UserWarning)
        GIM.setup_anndata(with_labels("DMSO", "a", "vitamin B+", "c+d"), **KEYS)


def test_numbers_and_text_that_read_the_same_are_refused() -> None:
    adata = with_labels("DMSO", 1, "1", "b")
    with pytest.raises(ValueError, match=r"perturbation_key: .*\['1'\] both as text and as numbers; .*astype\(str\)"):
        GIM.setup_anndata(adata, **KEYS)
    assert "_scvi_uuid" not in adata.uns


@pytest.mark.parametrize(
    ("names", "control"),
    [
        ((0, 1, 2, 3), 0),
        ((0, 1, 2, 3), "0"),
        (("0", 1, 2.5, "b"), "0"),
        ((np.int64(0), 1, 2, 3), np.int64(0)),
    ],
    ids=str,
)
def test_numbers_are_labels(names: tuple[object, ...], control: object) -> None:
    adata = with_labels(*names)
    GIM.setup_anndata(adata, perturbation_key="drug", control=control)
    assert GIM(adata).drugs == tuple(sorted(str(name) for name in names[1:]))


def test_booleans_are_labels() -> None:
    adata = systems.make_screen()
    adata.obs["treated"] = (adata.obs["drug"] != "DMSO").to_numpy()
    GIM.setup_anndata(adata, perturbation_key="treated", control=False)
    assert GIM(adata).drugs == ("True",)


def test_categories_that_do_not_occur_are_no_drugs() -> None:
    adata = systems.make_screen()
    adata.obs["drug"] = adata.obs["drug"].astype("category").cat.add_categories(["never"])
    GIM.setup_anndata(adata, **KEYS)
    assert "never" not in GIM(adata).drugs


@pytest.mark.parametrize("names", [("DMSO", "ctrl", "a", "b"), ("DMSO", "a", "b", "a+Non-targeting")], ids=str)
def test_names_of_controls_beside_the_control_are_pointed_out(names: tuple[str, ...]) -> None:
    with pytest.warns(UserWarning, match="control: .*(ctrl|Non-targeting).* read like controls"):
        GIM.setup_anndata(with_labels(*names), **KEYS)


def test_text_of_nothing_is_no_drug() -> None:
    with pytest.raises(ValueError, match=r"column 'drug' is missing in \d+ row\(s\); .*replace\('', None\)"):
        GIM.setup_anndata(with_labels("DMSO", "", "a", "b"), **KEYS)
    with pytest.warns(UserWarning, match=r"control: \['nan'\] read like controls"):
        GIM.setup_anndata(with_labels("DMSO", "nan", "a", "b"), **KEYS)


def test_labels_that_read_like_controls_are_named_first() -> None:
    with pytest.raises(ValueError, match=r"found \['non-targeting', 'A1', 'A2', 'a'\]"):
        GIM.setup_anndata(with_labels("non-targeting", "A1", "A2", "a"), **KEYS)


def test_combinations_need_the_control_label_in_every_column() -> None:
    adata = with_labels("DMSO", "a", "b", "c")
    adata.obs["second"] = "no second"
    with pytest.raises(ValueError, match=r"only in some of them, such as \{'drug': 'DMSO', 'second': 'no second'\}"):
        GIM.setup_anndata(adata, perturbation_key=["drug", "second"], control="DMSO")


@pytest.mark.parametrize("dtype", ["float64", "float32", "int64", "category"])
def test_numbers_are_found_by_their_value(dtype: str, tmp_path: Path) -> None:
    """A batch 1.0 is that of 1, and the other way round; likewise numbers of drugs."""
    adata = systems.make_screen(batches=("1", "2"))
    adata.obs["batch"] = adata.obs["batch"].astype("float64" if dtype == "category" else dtype).astype(dtype)
    adata.obs["drug"] = (adata.obs["drug"].factorize()[0] + 0.5).astype("float32")
    model = scgim.tl.fit(
        adata, perturbation_key="drug", dose_key="dose", control=0.5, batch_key="batch", progress=False
    )
    asked = [pd.DataFrame({"drug": [1.5], "dose": 1.0, "batch": [one]}) for one in (1, 1.0, np.float32(1))]
    means = [model.predict_mean(one).to_numpy() for one in asked]
    np.testing.assert_array_equal(means[0], means[1])
    np.testing.assert_array_equal(means[0], means[2])
    with pytest.raises(ValueError, match=r"perturbations: 'batch' is '1.5', which the model has no baseline for"):
        model.predict_mean(asked[0].assign(batch=1.5))
    other = adata.copy()
    other.obs["batch"] = adata.obs["batch"].astype("int64" if dtype != "int64" else "float64")
    model.save(tmp_path / "model")
    np.testing.assert_array_equal(GIM.load(tmp_path / "model", other).cells().index, model.cells().index)
