"""Memory is estimated before it is taken, and the refusal says what to lower."""

import numpy as np
import pytest

import scgim
from scgim._core.kinds import INTERVENTIONS
from scgim.model import GIM
from scgim.model._training import limits

COLUMNS = {"perturbation_key": "drug", "control": "control", "dose_key": "dose"}


def test_memory_is_read_with_the_limit_of_the_container(tmp_path, monkeypatch):
    monkeypatch.setattr(limits, "MEMINFO", tmp_path / "meminfo")
    monkeypatch.setattr(limits, "CGROUP", tmp_path)
    assert limits.free_memory() == float("inf")
    (tmp_path / "meminfo").write_text("MemTotal:  2000 kB\nMemAvailable:  1000 kB\n")
    assert limits.free_memory() == 1_024_000
    (tmp_path / "memory.max").write_text("max\n")
    (tmp_path / "memory.current").write_text("400000\n")
    assert limits.free_memory() == 1_024_000
    (tmp_path / "memory.max").write_text("1000000\n")
    assert limits.free_memory() == 600_000


@pytest.mark.parametrize("intervention", INTERVENTIONS)
def test_what_does_not_fit_is_refused_with_what_fits(intervention, monkeypatch):
    monkeypatch.setattr(limits, "free_memory", lambda: 4e9)
    pool = None if intervention == "shift" else np.arange(1000)
    limits.check_memory(intervention, pool, 1000, 100)
    with pytest.raises(MemoryError, match=r"intervention: .* GB.*pp.select_genes.*at most (\d+)") as error:
        limits.check_memory(intervention, pool, 1000, 20_000)
    most = int(str(error.value).split("at most ")[1].split()[0])
    limits.check_memory(intervention, pool, 10, most - 5)
    assert ("intervention='shift'" in str(error.value)) == (intervention != "shift")


def test_300_genes_in_1000_contexts_need_less_than_4_gb(monkeypatch):
    monkeypatch.setattr(limits, "free_memory", lambda: 4e9)
    limits.check_memory("auto", np.arange(1000), 1000, 300)


def test_a_model_that_does_not_fit_says_so_before_reading_cells(monkeypatch):
    adata = scgim.datasets.simulate(n_genes=5, n_drugs=3, n_cells=10, n_new_drugs=1, n_test_cells=5, rng=0)
    GIM.setup_anndata(adata, **COLUMNS)
    model = GIM(adata, intervention="auto")
    monkeypatch.setattr(limits, "free_memory", lambda: 1e3)
    with pytest.raises(MemoryError, match="intervention='shift'"):
        model.train(max_epochs=0)
    assert not model.is_trained_
