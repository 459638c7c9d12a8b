"""Seconds an epoch of the cell path beside `scvi.model.SCVI`, on the same cells in the same process.

    python benchmarks/scale/epochs.py            # 5,000 cells x 30 genes
    python benchmarks/scale/epochs.py --full     # 20,000 cells x 200 genes
    python benchmarks/scale/epochs.py --full --disk    # ours from a backed file, theirs in memory

The searches before the training are kept short by a mask of the true edges, which changes nothing in an epoch: every
mechanism reads its padded list of candidates. Both models train on all cells with the same batch size and number of epochs. `SCVI` gets rounded exponentials of the
same matrix, as it needs counts. An epoch lasts from its start to that of the next; medians, the first epoch left out.
``cpu`` is what the processor worked, which matters on a machine that is shared.
"""

import argparse
import statistics
import sys
import tempfile
import time
import warnings
from itertools import pairwise
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).parent))

from _measure import peak_mb, show, versions, write

SIZES = {"small": {"cells": 5_000, "genes": 30}, "full": {"cells": 20_000, "genes": 200}}
EPOCHS = 6
BATCH = 256
CONTEXTS = 81
QUIET = {"accelerator": "cpu", "devices": 1, "enable_progress_bar": False, "logger": False}


def screen(size: dict[str, int], seed: int) -> Any:
    """A simulated screen with a layer of counts."""
    import anndata as ad
    import numpy as np
    import pandas as pd
    from _system import System

    system = System(size["genes"], size["cells"], CONTEXTS, seed)
    cells = np.concatenate([x for x, _ in system.chunks()])
    obs = pd.DataFrame(system.obs()).rename(index=str)
    adata = ad.AnnData(cells, obs=obs, var=pd.DataFrame(index=system.genes))
    adata.uns["graph"] = system.weights != 0
    adata.layers["counts"] = np.round(np.exp(np.clip(cells / cells.std(axis=0), -3, 3)) * 3)
    return adata


def clock() -> Any:
    """A callback that notes when each epoch starts."""
    from lightning.pytorch.callbacks import Callback

    class Clock(Callback):
        def __init__(self) -> None:
            self.wall, self.cpu = [], []

        def on_train_epoch_start(self, *_: Any) -> None:
            self.wall.append(time.perf_counter())
            self.cpu.append(time.process_time())

        def medians(self) -> tuple[float, float]:
            """Seconds an epoch, of the wall and of the processor."""
            return tuple(statistics.median(b - a for a, b in pairwise(times[1:])) for times in (self.wall, self.cpu))

    return Clock()


def train_scgim(adata: Any, mechanism: str, *, disk: bool) -> tuple[float, float]:
    import anndata as ad

    from scgim.model import GIM

    data, ticks, graph = ad.AnnData(adata.X, obs=adata.obs.copy(), var=adata.var.copy()), clock(), adata.uns["graph"]
    with tempfile.TemporaryDirectory() as folder:
        if disk:
            data.write_h5ad(Path(folder) / "cells.h5ad")
            data = ad.read_h5ad(Path(folder) / "cells.h5ad", backed="r")
        GIM.setup_anndata(data, perturbation_key="drug", dose_key="dose", control="control")
        model = GIM(data, mechanism=mechanism, graph_prior=graph)
        model.train(max_epochs=EPOCHS, batch_size=BATCH, train_size=1.0, rng=0, callbacks=[ticks], **QUIET)
    return ticks.medians()


def train_scvi(adata: Any) -> tuple[float, float]:
    from scvi.model import SCVI

    data, ticks = adata.copy(), clock()
    SCVI.setup_anndata(data, layer="counts")
    SCVI(data).train(max_epochs=EPOCHS, batch_size=BATCH, train_size=1.0, callbacks=[ticks], **QUIET)
    return ticks.medians()


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--full", action="store_true", help="20,000 cells x 200 genes")
    parser.add_argument("--mechanism", default="neural")
    parser.add_argument("--disk", action="store_true", help="cells of scgim stay in a backed file")
    for name in SIZES["small"]:
        parser.add_argument(f"--{name}", type=int, help="instead of the given number")
    parser.add_argument("--seed", type=int, default=0)
    arguments = parser.parse_args()
    size = SIZES["full" if arguments.full else "small"]
    size = {name: getattr(arguments, name) or value for name, value in size.items()}
    warnings.simplefilter("ignore")
    adata = screen(size, arguments.seed)
    (theirs, their_cpu), (ours, our_cpu) = (
        train_scvi(adata),
        train_scgim(adata, arguments.mechanism, disk=arguments.disk),
    )
    row = {**size, "mechanism": arguments.mechanism, "scgim_epoch_s": ours, "scvi_epoch_s": theirs}
    row |= {"scgim_cpu_s": our_cpu, "scvi_cpu_s": their_cpu}
    import scvi

    row |= {
        "ratio": ours / theirs,
        "cpu_ratio": our_cpu / their_cpu,
        "peak_mb": peak_mb(),
        **versions(),
        "scvi": scvi.__version__,
    }
    show([row])
    print(write(f"epochs_{arguments.mechanism}{'_disk' if arguments.disk else ''}", [row]))


if __name__ == "__main__":
    main()
