"""The benchmark on Sachs's data runs, and its baseline is what the data's description says."""

from pathlib import Path

import pandas as pd
import pytest

import scgim

FOLDER = "sachs"


@pytest.fixture(autouse=True)
def _data(monkeypatch: pytest.MonkeyPatch, shared_data: Path) -> None:
    """The loader reads the file that is at hand."""
    monkeypatch.setenv("SCGIM_DATA_DIR", str(shared_data))


def test_mean_shift_ranks_by_the_change_of_mean(run) -> None:
    row = run.mean_shift(scgim.datasets.sachs())
    ranks = [int(rank) for rank in row["ranks"].split()]
    assert ranks[2:5] == [1, 1, 11]  # psitectorigenin and U0126 move their targets most, LY294002 its own least
    assert row["mean_reciprocal_rank"] == pytest.approx(sum(1 / rank for rank in ranks) / 7)


def test_rows_are_kept_and_a_mask_is_obeyed(run, tmp_path: Path) -> None:
    options = ["--out", str(tmp_path), "--mechanism", "linear", "--intervention", "shift", "--prior", "mask"]
    run.main(options)
    first = (tmp_path / "settings.csv").read_bytes()
    run.main(options)
    assert (tmp_path / "settings.csv").read_bytes() == first
    table = pd.read_csv(tmp_path / "settings.csv", keep_default_na=False).set_index("mechanism")
    assert list(table.index) == ["mean shift", "linear"]
    assert table.loc["linear", "edges"] == table.loc["linear", "in_consensus"]
