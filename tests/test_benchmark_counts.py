"""The benchmark on counts runs, writes what the documentation reads, and does not run again what is there."""

import importlib
import sys
from pathlib import Path

import pandas as pd
import pytest

FOLDER = Path(__file__).parents[1] / "benchmarks" / "counts"

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
