"""The benchmark on activity interventions runs on tiny systems and keeps what is there."""

import importlib
import sys
from pathlib import Path

import pandas as pd
import pytest

FOLDER = Path(__file__).parents[1] / "benchmarks" / "activity"

pytestmark = pytest.mark.skipif(not FOLDER.is_dir(), reason="the benchmarks are not beside the tests")


@pytest.fixture
def run(monkeypatch: pytest.MonkeyPatch):
    """The script."""
    monkeypatch.syspath_prepend(str(FOLDER))
    before = sys.modules.pop("run", None)
    yield importlib.import_module("run")
    sys.modules.pop("run", None)
    if before is not None:
        sys.modules["run"] = before


def test_every_background_has_its_rows_once(run, tmp_path: Path) -> None:
    options = ["--quick", "--seeds", "0", "--method", "activity", "--out", str(tmp_path)]
    run.main(options)
    run.main(options)
    table = pd.read_csv(tmp_path / "seeds.csv")
    assert len(table) == 2 * 3  # backgrounds and metrics
    medians = pd.read_csv(tmp_path / "median.csv").set_index("background_sd")
    assert list(medians.index) == [0.0, 0.2]
    assert medians["target_f1"].between(0, 1).all()
