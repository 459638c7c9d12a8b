"""`scgim.datasets.sciplex3` on a small generated file with the columns of the public one."""

import importlib

import anndata
import numpy as np
import pandas as pd
import pytest
from scipy import sparse

from scgim.datasets import sciplex3

module = importlib.import_module("scgim.datasets._sciplex3")

DRUGS = [
    "control",
    "Belinostat (PXD101) ",
    "(+)-JQ1",
    "Dacinostat (LAQ824)",
]  # one with a blank at its end, as in the file


def make(n=400, genes=30, seed=0):
    """AnnData of the schema of scPerturb 1.4: missing labels, blanks in names, two times, sparse integer counts."""
    rng = np.random.default_rng(seed)
    drug = rng.choice(DRUGS, n).astype(object)
    dose = np.where(drug == "control", 0.0, rng.choice([10.0, 100, 1000, 10000], n))
    drug[:5], dose[5:8] = np.nan, np.nan
    line = rng.choice(["A549", "K562", "MCF7"], n).astype(object)
    obs = pd.DataFrame(
        {
            "cell_line": pd.Categorical(line),
            "dose_unit": pd.Categorical(np.full(n, "nM")),
            "dose_value": dose,
            "perturbation": pd.Categorical(drug),
            "plate": pd.Categorical(rng.choice(["plate1", "plate2"], n)),
            "replicate": pd.Categorical(rng.choice(["rep1", "rep2"], n)),
            "time": np.where((line == "A549") & (rng.random(n) < 0.2), 72.0, 24.0),
            "ncounts": 10.0,
        },
        index=[f"cell{i}" for i in range(n)],
    )
    names = [f"GENE{g}" for g in range(genes)]
    var = pd.DataFrame({"ensembl_id": [f"ENSG{g}" for g in range(genes)]}, index=pd.Index(names, name="gene_symbol"))
    return anndata.AnnData(sparse.csr_matrix(rng.poisson(0.3, (n, genes))), obs=obs, var=var)


@pytest.fixture
def folder(tmp_path):
    make().write_h5ad(tmp_path / module.FILE)
    return tmp_path


def test_columns_are_mapped(folder, monkeypatch):
    """Every labelled cell is kept in order, in blocks of any size, under our names."""
    monkeypatch.setattr(module, "ROWS", 37)
    source = make()
    adata = sciplex3(directory=folder, verify=False, time=None)
    labelled = np.array(source.obs["perturbation"].notna() & source.obs["dose_value"].notna())
    # vehicle cells have dose 0 even where the file leaves it out
    labelled |= (source.obs["perturbation"] == "control").to_numpy()
    assert list(adata.obs_names) == list(source.obs_names[labelled])
    np.testing.assert_array_equal(adata.X.toarray(), source.X[labelled].toarray())
    assert sparse.issparse(adata.X)
    assert set(adata.obs["drug"]) == {"control", "Belinostat (PXD101)", "(+)-JQ1", "Dacinostat (LAQ824)"}
    assert set(adata.obs.loc[adata.obs["drug"] == "control", "dose"]) == {0.0}
    assert set(adata.obs["dose"]) == {0.0, 10, 100, 1000, 10000}
    assert {"cell_line", "replicate", "plate", "time"} <= set(adata.obs)
    assert adata.uns["dose_unit"] == "nM"


def test_cells_and_genes_are_chosen_by_name(folder):
    adata = sciplex3(
        directory=folder, verify=False, cell_lines="A549", drugs=["(+)-JQ1"], genes=["GENE7", "GENE2"], time=24
    )
    assert set(adata.obs["cell_line"]) == {"A549"}
    assert set(adata.obs["drug"]) == {"control", "(+)-JQ1"}
    assert list(adata.obs["drug"].cat.categories) == ["(+)-JQ1", "control"]
    assert set(adata.obs["time"]) == {24.0}
    assert list(adata.var_names) == ["GENE7", "GENE2"]
    source = make()
    np.testing.assert_array_equal(adata.X.toarray(), source[adata.obs_names, ["GENE7", "GENE2"]].X.toarray())


def test_checksum_is_compared(folder):
    with pytest.raises(ValueError, match="expected SHA-256"):
        sciplex3(directory=folder)


def test_old_versions_are_refused(tmp_path):
    """Before version 1.4 a stray header row shifted every gene name by one."""
    old = make()
    old.var["ensembl_id"] = ["id gene_short_name", *old.var["ensembl_id"][:-1]]
    old.write_h5ad(tmp_path / module.FILE)
    with pytest.raises(ValueError, match="before 1.4"):
        sciplex3(directory=tmp_path, verify=False)


def test_other_schema_is_refused(tmp_path):
    other = make()
    del other.obs["dose_value"]
    other.write_h5ad(tmp_path / module.FILE)
    with pytest.raises(ValueError, match="dose_value"):
        sciplex3(directory=tmp_path, verify=False)


def test_other_units_are_refused(tmp_path):
    other = make()
    other.obs["dose_unit"] = pd.Categorical(["uM"] * other.n_obs)
    other.write_h5ad(tmp_path / module.FILE)
    with pytest.raises(ValueError, match="uM"):
        sciplex3(directory=tmp_path, verify=False)


@pytest.mark.parametrize(
    ("kwargs", "error", "message"),
    [
        ({"cell_lines": "HeLa"}, ValueError, "cell_lines: .'HeLa'"),
        ({"drugs": ["water"]}, ValueError, "drugs: .'water'"),
        ({"drugs": "water"}, ValueError, "list of names"),
        ({"genes": ["GENE1", "TP53"]}, ValueError, "TP53"),
        ({"genes": ["GENE1", "GENE1"]}, ValueError, "distinct"),
        ({"genes": "GENE1"}, ValueError, "list of names"),
        ({"time": 48}, ValueError, "found none in this file"),
        ({"max_gb": 1e-7}, MemoryError, "max_gb"),
        ({"max_gb": 0}, ValueError, "max_gb"),
    ],
)
def test_wrong_arguments_are_named(folder, kwargs, error, message):
    with pytest.raises(error, match=message):
        sciplex3(directory=folder, verify=False, **kwargs)


def test_absent_file_says_where_to_get_it(tmp_path):
    with pytest.raises(FileNotFoundError, match="zenodo"):
        sciplex3(directory=tmp_path)
