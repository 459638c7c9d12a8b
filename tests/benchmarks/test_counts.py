"""The benchmark on counts runs, writes what the documentation reads, and does not run again what is there."""

from pathlib import Path

import pandas as pd

FOLDER = "counts"


def test_tables_hold_every_method_once(run, tmp_path: Path) -> None:
    options = ["--quick", "--seeds", "0", "--data", "counts", "--out", str(tmp_path)]
    run.main([*options, "--method", "poisson_lognormal"])
    first = pd.read_csv(tmp_path / "screens.csv")
    assert first["method"].tolist() == ["poisson_lognormal"]
    run.main([*options, "--method", "poisson_lognormal", "gaussian_log1p"])
    table = pd.read_csv(tmp_path / "screens.csv")
    assert sorted(table["method"]) == ["gaussian_log1p", "poisson_lognormal"]
    assert table.set_index("method")["seconds"]["poisson_lognormal"] == first["seconds"].item()  # not run again
    medians = pd.read_csv(tmp_path / "medians.csv").set_index("method")
    assert medians["edge_f1"]["poisson_lognormal"] == first["edge_f1"].item()
