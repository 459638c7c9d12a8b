"""Two processes on the CPU, cells in memory and on disk: shards, equal results, one saved model."""

import os
import runpy
import subprocess
import sys

import numpy as np
import pytest

pytest.importorskip("torch.distributed")

SCRIPT = """
import os
import sys
import anndata
import numpy as np
import scgim
from lightning.pytorch.callbacks import Callback
from scgim.model import GIM


class Seen(Callback):
    def __init__(self):
        self.cells = []

    def on_train_batch_start(self, trainer, plan, batch, index):
        if trainer.current_epoch == 0:
            self.cells.append(batch["X"][:, 0].double().cpu().numpy())


def learn(where, out, **devices):
    adata = scgim.datasets.simulate(
        5, mechanism="neural", edges_per_gene=1.0, n_drugs=6, n_control=200,
        n_cells=25, n_new_drugs=1, n_test_cells=5, rng=0,
    )
    adata = adata[adata.obs["split"] == "train"].copy()
    column = adata.X[:, 0].astype(float)
    if where == "disk":
        path = f"{out}/cells{os.environ.get('LOCAL_RANK', '0')}.h5ad"
        adata.write_h5ad(path)
        adata = anndata.read_h5ad(path, backed="r")
    GIM.setup_anndata(adata, perturbation_key="drug", dose_key="dose", control="control")
    model, seen = GIM(adata, mechanism="neural"), Seen()
    model.train(
        max_epochs=3, accelerator="cpu", batch_size=64, callbacks=[seen], enable_progress_bar=False, **devices
    )
    np.savez(
        f"{out}/{where}{model.trainer.global_rank}.npz", seen=np.concatenate(seen.cells), cells=column,
        train=model.train_indices, effect=model.fitted.of_context.mean * model.fitted.of_context.probability,
        noise=model.fitted.mechanisms.noise_sd, graph=model.fitted.graph.weights,
        state=model.module.baseline.detach().numpy(),
    )
    if model.trainer.is_global_zero:
        model.save(f"{out}/{where}")
        assert {"train_loss", "score"} <= set(model.history), sorted(model.history)


if __name__ == "__main__":
    for where in ("memory", "disk"):  # in one go: processes take longer to start than to learn
        learn(where, sys.argv[1], strategy="ddp", devices=2)
"""


def test_two_processes_share_the_cells_and_agree(tmp_path):
    script, alone, together = tmp_path / "script.py", tmp_path / "alone", tmp_path / "together"
    script.write_text(SCRIPT)
    alone.mkdir()
    together.mkdir()
    done = subprocess.run(
        [sys.executable, str(script), str(together)],
        env={**os.environ, "OMP_NUM_THREADS": "1", "CUDA_VISIBLE_DEVICES": ""},
        cwd=together,
        capture_output=True,
        text=True,
        timeout=300,
    )
    assert done.returncode == 0, done.stderr[-3000:]
    runpy.run_path(str(script))["learn"]("memory", alone, devices=1)
    one = np.load(alone / "memory0.npz")
    for where in ("memory", "disk"):
        two = [np.load(together / f"{where}{rank}.npz") for rank in range(2)]
        shards = [set(r["seen"].tolist()) for r in two]
        trained = set(two[0]["cells"][two[0]["train"]].tolist())
        padding = sum(len(r["seen"]) for r in two) - len(trained)
        assert shards[0] | shards[1] == trained, where  # complete
        assert len(two[0]["seen"]) == len(two[1]["seen"])
        assert len(shards[0] & shards[1]) <= padding <= 1  # disjoint, up to one cell that evens out the shards
        for name in ("effect", "noise", "graph", "state"):  # every process ends with the same model
            assert np.allclose(two[0][name], two[1][name], atol=1e-6), (where, name)
        assert np.array_equal(one["graph"] != 0, two[0]["graph"] != 0)
        assert np.allclose(one["noise"], two[0]["noise"], rtol=0.05)
        assert np.allclose(one["effect"], two[0]["effect"], atol=0.2)
        assert (together / where / "model.npz").is_file()
