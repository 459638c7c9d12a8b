"""The benchmark on held-out patients runs on few genes, and keeps what is there."""

from pathlib import Path

import pandas as pd
import pytest

FOLDER = "gbm"


def test_one_patient_under_both_noise_models(
    run, monkeypatch: pytest.MonkeyPatch, shared_data: Path, tmp_path: Path
) -> None:
    monkeypatch.setenv("SCGIM_DATA_DIR", str(shared_data))
    options = ["--genes", "8", "--patients", "PW030", "--out", str(tmp_path)]
    run.main([*options, "--noise", "poisson_lognormal"])
    first = pd.read_csv(tmp_path / "patients.csv")
    run.main(options)
    table = pd.read_csv(tmp_path / "patients.csv")
    assert set(table["method"]) == set(run.ORDER)
    pd.testing.assert_frame_equal(table.head(len(first)), first)  # not run again
    average = pd.read_csv(tmp_path / "average.csv").set_index("method")
    assert average.loc["control", "pearson_mean_change"] == 0
    assert average.loc["scgim", "mean_distance"] < average.loc["control", "mean_distance"]
