"""The benchmark on sci-Plex 3 runs on a small generated file with the columns of the public one."""

import importlib
from pathlib import Path

import anndata
import numpy as np
import pandas as pd
import pytest
from scipy import sparse

FOLDER = "sciplex3"
DRUGS = [
    "Belinostat (PXD101) ",
    "Dacinostat (LAQ824)",
    "(+)-JQ1",
    "Alpha/beta",
    "Gamma",
]  # one with a blank, as in the file
SMILES = ["ONC(=O)C=Cc1cccc(c1)S(=O)(=O)Nc1ccccc1", "ONC(=O)C=Cc1ccc(cc1)CN(CCO)CCc1c[nH]c2ccccc12", "CCO", "c1ccncc1"]
LINES = ["A549", "K562"]


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Two lines, five drugs at four doses, 12 genes of which each drug moves two; and a table of structures."""
    rng = np.random.default_rng(0)
    rows = [(line, "control", 0.0, 60) for line in LINES]
    rows += [(line, drug, dose, 20) for line in LINES for drug in DRUGS for dose in (10.0, 100.0, 1000.0, 10000.0)]
    label = [row for row in rows for _ in range(row[3])]
    line, drug, dose = (np.array([row[i] for row in label], dtype=object) for i in range(3))
    log_rate = np.full((len(label), 12), 1.0)
    for d, name in enumerate(DRUGS):
        log_rate[:, 2 * d : 2 * d + 2] += (
            1.5 * ((drug == name) * dose.astype(float) / (1000 + dose.astype(float)))[:, None]
        )
    log_rate[line == "K562"] += rng.normal(0, 0.3, 12)
    counts = rng.poisson(np.exp(log_rate))
    obs = pd.DataFrame(
        {
            "cell_line": pd.Categorical(line),
            "dose_unit": pd.Categorical(np.full(len(label), "nM")),
            "dose_value": dose.astype(float),
            "perturbation": pd.Categorical(drug),
            "time": 24.0,
            "ncounts": counts.sum(axis=1).astype(float),
        },
        index=[f"cell{i}" for i in range(len(label))],
    )
    var = pd.DataFrame({"ensembl_id": [f"ENSG{g}" for g in range(12)]}, index=[f"GENE{g}" for g in range(12)])
    adata = anndata.AnnData(sparse.csr_matrix(counts), obs=obs, var=var)
    adata.write_h5ad(tmp_path / importlib.import_module("scgim.datasets._sciplex3").FILE)
    table = pd.DataFrame({"product_name": DRUGS[:4], "SMILES": SMILES})
    table.to_csv(tmp_path / "structures.csv", index=False)
    return tmp_path


@pytest.mark.filterwarnings("ignore:features. there are too few drugs")  # of which the file has five
def test_both_tasks_run_and_are_not_run_twice(run, folder: Path, capsys: pytest.CaptureFixture) -> None:
    pytest.importorskip("rdkit")
    command = ["--out", str(folder / "out"), "--directory", str(folder), "--structures", str(folder / "structures.csv")]
    command += ["--no-verify", "--genes", "6", "--cell-lines", *LINES, "--drugs", "Belinostat (PXD101)", "(+)-JQ1"]
    run.main(command)
    runs = pd.read_csv(folder / "out" / "runs.csv")
    assert set(runs.loc[runs["task"] == "doses", "held_out"]) == {"Belinostat (PXD101)", "(+)-JQ1"}
    assert set(runs["method"]) == {"scgim", "control", "training_mean", "ridge", "knn"}
    held = runs.loc[(runs["task"] == "doses") & (runs["metric"] == "mean_distance")]
    assert held["context"].str.contains("10000").all()  # the highest dose, of one drug
    assert held.groupby(["cell_line", "held_out"])["context"].nunique().eq(1).all()
    mean = held.groupby("method")["value"].mean()
    assert mean["scgim"] < mean["control"]
    assert "without a structure are left out: ['Gamma']" in capsys.readouterr().out
    new = runs.loc[runs["task"] == "drugs", "context"].dropna()
    assert not new.str.contains("Gamma").any()
    assert len(pd.read_csv(folder / "out" / "average.csv")) == 10
    run.main(command)
    assert len(pd.read_csv(folder / "out" / "runs.csv")) == len(runs)
