"""Two processes on the CPU, cells in memory and on disk: shards, equal results, one saved model."""

import os
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
import torch
from lightning.pytorch.callbacks import Callback
from scgim.model import GIM

torch.set_num_threads(1)
n_processes, where, out = int(sys.argv[1]), sys.argv[2], sys.argv[3]


class Seen(Callback):
    cells = []

    def on_train_batch_start(self, trainer, plan, batch, index):
        if trainer.current_epoch == 0:
            self.cells.append(batch["X"][:, 0].double().cpu().numpy())


adata = scgim.datasets.simulate(
    5, mechanism="neural", edges_per_gene=1.0, n_drugs=6, n_control=200,
    n_cells=25, n_new_drugs=1, n_test_cells=5, rng=0,
)
adata = adata[adata.obs["split"] == "train"].copy()
column = adata.X[:, 0].astype(float)
if where == "disk":
    adata.write_h5ad(f"{out}/cells{os.environ.get('LOCAL_RANK', '0')}.h5ad")
    adata = anndata.read_h5ad(f"{out}/cells{os.environ.get('LOCAL_RANK', '0')}.h5ad", backed="r")
GIM.setup_anndata(adata, perturbation_key="drug", dose_key="dose", control="control")
model = GIM(adata, mechanism="neural")
seen = Seen()
more = {"strategy": "ddp", "devices": 2} if n_processes == 2 else {"devices": 1}
model.train(max_epochs=3, accelerator="cpu", batch_size=64, callbacks=[seen], enable_progress_bar=False, **more)
rank = model.trainer.global_rank
np.savez(
    f"{out}/seen{rank}.npz", seen=np.concatenate(seen.cells), cells=column,
    train=model.train_indices, effect=model.fitted.of_context.mean * model.fitted.of_context.probability,
    noise=model.fitted.mechanisms.noise_sd, graph=model.fitted.graph.weights, state=model.module.baseline.detach().numpy(),
)
if model.trainer.is_global_zero:
    model.save(f"{out}/model")
    assert {"train_loss", "score"} <= set(model.history), sorted(model.history)
"""


def run(folder, n_processes, where):
    folder.mkdir()
    script = folder / "script.py"
    script.write_text(SCRIPT)
    env = {**os.environ, "OMP_NUM_THREADS": "1", "CUDA_VISIBLE_DEVICES": ""}
    done = subprocess.run(
        [sys.executable, str(script), str(n_processes), where, str(folder)],
        env=env,
        cwd=folder,
        capture_output=True,
        text=True,
        timeout=240,
    )
    assert done.returncode == 0, done.stderr[-3000:]
    return [np.load(folder / f"seen{rank}.npz") for rank in range(n_processes)]


@pytest.fixture(scope="module")
def one(tmp_path_factory):
    """What one process learns."""
    return run(tmp_path_factory.mktemp("processes") / "one", 1, "memory")[0]


@pytest.mark.parametrize("where", ["memory", "disk"])
def test_two_processes_share_the_cells_and_agree(tmp_path, one, where):
    two = run(tmp_path / "two", 2, where)
    shards = [set(r["seen"].tolist()) for r in two]
    trained = set(two[0]["cells"][two[0]["train"]].tolist())
    padding = sum(len(r["seen"]) for r in two) - len(trained)
    assert shards[0] | shards[1] == trained  # complete
    assert len(two[0]["seen"]) == len(two[1]["seen"])
    assert len(shards[0] & shards[1]) <= padding <= 1  # disjoint, up to one cell that evens out the shards
    for name in ("effect", "noise", "graph", "state"):  # every process ends with the same model
        assert np.allclose(two[0][name], two[1][name], atol=1e-6)
    assert np.array_equal(one["graph"] != 0, two[0]["graph"] != 0)
    assert np.allclose(one["noise"], two[0]["noise"], rtol=0.05)
    assert np.allclose(one["effect"], two[0]["effect"], atol=0.2)
    assert (tmp_path / "two" / "model" / "model.npz").is_file()
