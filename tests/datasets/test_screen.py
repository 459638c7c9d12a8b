"""`scgim.datasets.screen`: real files where they are at hand, made ones everywhere."""

import importlib

import anndata
import numpy as np
import pandas as pd
import pytest

from scgim.datasets import screen

module = importlib.import_module("scgim.datasets._screen")
NAME = "hepatocytes_inhibitors"


def write(path, n_cells: int, columns: tuple[str, ...]) -> None:
    """A file of this many cells whose columns hold the letter a."""
    obs = pd.DataFrame({column: ["a"] * n_cells for column in columns}, index=[f"c{i}" for i in range(n_cells)])
    path.parent.mkdir(parents=True, exist_ok=True)
    anndata.AnnData(np.ones((n_cells, 17), np.float32), obs=obs).write_h5ad(path)


@pytest.mark.parametrize("place", ["", NAME, f"known_targets/{NAME}"])
def test_file_is_found_in_a_folder_of_any_depth(tmp_path, monkeypatch, place):
    write(tmp_path / place / f"{NAME}.h5ad", 368, module.SCREENS[NAME].columns)
    monkeypatch.setenv("SCGIM_DATA_DIR", str(tmp_path))
    assert screen(NAME).shape == (368, 17)
    assert screen(NAME, directory=tmp_path).shape == (368, 17)


def test_absent_file_names_its_publication(tmp_path, monkeypatch):
    monkeypatch.delenv("SCGIM_DATA_DIR", raising=False)
    with pytest.raises(FileNotFoundError, match=r"SCGIM_DATA_DIR does not hold tapseq_k562.*crispat.*directory"):
        screen("tapseq_k562")
    with pytest.raises(FileNotFoundError, match="directory="):
        screen("tapseq_k562", directory=tmp_path)


@pytest.mark.parametrize(("n_cells", "dropped"), [(367, 0), (368, 1)])
def test_another_file_is_refused(tmp_path, n_cells, dropped):
    write(tmp_path / f"{NAME}.h5ad", n_cells, module.SCREENS[NAME].columns[dropped:])
    with pytest.raises(ValueError, match=r"expected 368 x 17 values.*Make it again"):
        screen(NAME, directory=tmp_path)


@pytest.mark.parametrize("name", sorted(module.SCREENS))
def test_real_files_are_those_described(shared_data, name):
    adata = screen(name, directory=shared_data / module.SCREENS[name].folder)
    assert adata.shape == module.SCREENS[name].shape
