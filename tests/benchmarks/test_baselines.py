"""The benchmark of baselines runs on a tiny screen and keeps what is there."""

from pathlib import Path

import pandas as pd

FOLDER = "baselines"


def test_a_case_has_its_rows_once(run, tmp_path: Path) -> None:
    options = ["--quick", "--seeds", "0", "--case", "pairs with interactions", "--out", str(tmp_path)]
    run.main(options)
    first = pd.read_csv(tmp_path / "seeds.csv")
    run.main(options)
    pd.testing.assert_frame_equal(pd.read_csv(tmp_path / "seeds.csv"), first)
    assert list(first["method"]) == ["scgim", "scgim_alone", "best_baseline"]
    assert (first["value"] > 0).all()
