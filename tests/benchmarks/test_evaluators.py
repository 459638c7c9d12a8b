"""The evaluators of the field run on few genes, where they are installed."""

from pathlib import Path

import pandas as pd
import pytest

FOLDER = "evaluators"


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore")
def test_both_evaluators_on_both_screens(
    run, monkeypatch: pytest.MonkeyPatch, shared_data: Path, tmp_path: Path
) -> None:
    for package in ("scperteval", "cell_eval"):
        pytest.importorskip(package)
    monkeypatch.setenv("SCGIM_DATA_DIR", str(shared_data))
    run.main(["--genes", "20", "--patients", "PW030", "--out", str(tmp_path)])
    average = pd.read_csv(tmp_path / "average.csv").set_index(["screen", "method"])
    assert set(average.index) == {(screen, method) for screen in run.SCREENS for method in run.ORDER}
    simulated = average.loc["simulated"]
    assert simulated.loc["scgim_moved", "scperteval: pearson_ctrl"] > 0.5
    assert simulated.loc["scgim_moved", "cell-eval: mse"] < simulated.loc["mean_shift", "cell-eval: mse"]
    for screen in run.SCREENS:  # both packages agree on what they both measure
        part = average.loc[screen]
        pd.testing.assert_series_equal(
            part["scperteval: pearson_ctrl"], part["cell-eval: pearson_delta"], check_names=False, atol=1e-3
        )
