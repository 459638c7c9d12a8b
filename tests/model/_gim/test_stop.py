"""Searches that are ended by a time or by Ctrl-C leave a model that answers, and that says so."""

import os
import signal
import subprocess
import sys
import textwrap
import time

import numpy as np
import pytest

import scgim
from scgim.model import GIM

COLUMNS = {"perturbation_key": "drug", "control": "control", "dose_key": "dose"}
QUIET = {"enable_progress_bar": False, "accelerator": "cpu", "max_epochs": 0}


def large():
    """A system whose search takes many times as long as the times below."""
    return scgim.datasets.simulate(n_genes=80, n_drugs=20, n_cells=10, n_new_drugs=1, n_test_cells=5, rng=0)


def check(model: GIM, why: str) -> None:
    """Whole results, marked."""
    assert model.fitted.settings["stopped"] == why
    assert np.isfinite(model.get_targets()["probability"]).all()
    graph = model.fitted.graph
    assert np.isfinite(graph.weights).all() and 0 <= graph.probability.min() <= graph.probability.max() <= 1


def test_timeout_ends_with_the_best_so_far():
    adata = large()
    GIM.setup_anndata(adata, **COLUMNS)
    model, began = GIM(adata), time.process_time()
    with pytest.warns(UserWarning, match=r"timeout: the search was not done after 0.5 s.*pp.select_genes"):
        model.train(timeout=0.5, **QUIET)
    assert time.process_time() - began < 30
    check(model, "timeout")


def test_interrupt_between_moves_ends_with_the_best_so_far():
    adata, asked = large(), []
    GIM.setup_anndata(adata, **COLUMNS)

    class Impatient:
        def __call__(self, stage, value):
            pass

        def share(self, stage, done, total):
            if "sweep" in stage and not asked:
                asked.append(stage)
                os.kill(os.getpid(), signal.SIGINT)

    model = GIM(adata)
    with pytest.warns(UserWarning, match="Ctrl-C ended the search"):
        model.train(progress=Impatient(), **QUIET)
    assert asked == ["search 1, a sweep over genes"]
    check(model, "interrupt")


def test_a_process_that_is_interrupted_writes_its_results(tmp_path):
    code = """
        import sys, warnings
        import scgim
        from scgim.tl._fitting import progress as _progress

        class Loud(_progress.Teller):
            def tell(self, text):
                if "sweep" in text:
                    print("searching", flush=True)

        _progress.Teller = Loud
        adata = scgim.datasets.simulate(n_genes=80, n_drugs=20, n_cells=10, n_new_drugs=1, n_test_cells=5, rng=0)
        model = scgim.tl.fit(adata, perturbation_key="drug", control="control", dose_key="dose", accelerator="cpu", progress=True)
        adata.write_h5ad(sys.argv[1])
        print(model.fitted.settings["stopped"], flush=True)
    """
    path = tmp_path / "fitted.h5ad"
    command = [sys.executable, "-c", textwrap.dedent(code), str(path)]
    child = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
    assert child.stdout is not None
    assert any(line == "searching\n" for line in child.stdout)
    child.send_signal(signal.SIGINT)
    out, error = child.communicate(timeout=300)
    assert child.returncode == 0, error
    assert out.endswith("interrupt\n")
    assert "Ctrl-C ended the search" in error
    import anndata

    assert len(scgim.get.targets(anndata.read_h5ad(path)))


def test_a_model_that_ended_early_is_saved_with_its_mark(tmp_path):
    adata = large()
    GIM.setup_anndata(adata, **COLUMNS)
    model = GIM(adata)
    with pytest.warns(UserWarning, match="timeout"):
        model.train(timeout=1e-3, **QUIET)
    model.save(tmp_path / "model")
    check(GIM.load(tmp_path / "model", adata), "timeout")
