"""The benchmark on activity interventions runs on tiny systems and keeps what is there."""

from pathlib import Path

import pandas as pd

FOLDER = "activity"


def test_every_background_has_its_rows_once(run, tmp_path: Path) -> None:
    options = ["--quick", "--seeds", "0", "--method", "activity", "--out", str(tmp_path)]
    run.main(options)
    run.main(options)
    table = pd.read_csv(tmp_path / "seeds.csv")
    assert len(table) == 2 * 3  # backgrounds and metrics
    medians = pd.read_csv(tmp_path / "median.csv").set_index("background_sd")
    assert list(medians.index) == [0.0, 0.2]
    assert medians["target_f1"].between(0, 1).all()
