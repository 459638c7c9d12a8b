"""Time and peak memory of prediction streamed to disk, against the number of predicted cells.

    python benchmarks/scale/prediction.py            # up to 30,000 cells x 30 genes
    python benchmarks/scale/prediction.py --full     # up to 1,000,000 cells x 200 genes

A model is fitted to a simulated screen and predicts its own drugs at a new dose with `GIM.predict_to_disk`; each number
of cells in a process of its own; ``cpu`` is what the processor worked of it. Memory is flat where ``added_mb`` does not grow.
"""

import argparse
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).parent))

from _measure import exponent, measure, peak_mb, show, tell, versions, write

SIZES = {"small": (1_000, 10_000, 30_000), "full": (10_000, 100_000, 1_000_000)}
GENES = {"small": 30, "full": 200}
CONTEXTS = 41


def fitted(n_genes: int) -> Any:
    """A model of a simulated screen."""
    import anndata as ad
    import numpy as np
    import pandas as pd
    from _system import System

    from scgim.model import GIM

    system = System(n_genes, 10_000, CONTEXTS)
    cells = np.concatenate([x for x, _ in system.chunks()])
    obs = pd.DataFrame(system.obs()).rename(index=str)
    adata = ad.AnnData(cells, obs=obs, var=pd.DataFrame(index=system.genes))
    GIM.setup_anndata(adata, perturbation_key="drug", dose_key="dose", control="control")
    model = GIM(adata)
    model.train(max_epochs=0)
    return model


def one(arguments: argparse.Namespace) -> dict[str, Any]:
    """Predict with the saved model."""
    import pandas as pd

    from scgim.model import GIM

    model = GIM.load(arguments.model, adata=False)
    asked = pd.DataFrame({"drug": list(model.design.drugs), "dose": 1.25})
    each = arguments.cells // len(asked)
    with tempfile.TemporaryDirectory() as folder:
        before, began, cpu = peak_mb(), time.perf_counter(), time.process_time()
        model.predict_to_disk(asked, Path(folder) / "cells.zarr", n_cells=each)
        seconds, cpu = time.perf_counter() - began, time.process_time() - cpu
    row = {"cells": each * len(asked), "genes": len(model.genes), "predict_s": seconds, "predict_cpu_s": cpu}
    return row | {"peak_mb": peak_mb(), "added_mb": peak_mb() - before}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--full", action="store_true", help="up to 1,000,000 cells x 200 genes")
    parser.add_argument("--model", help=argparse.SUPPRESS)
    parser.add_argument("--cells", type=int, help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    if arguments.model:
        tell(one(arguments))
        return
    kind = "full" if arguments.full else "small"
    rows: list[dict[str, Any]] = []
    with tempfile.TemporaryDirectory() as folder:
        fitted(GENES[kind]).save(str(Path(folder) / "model"))
        for cells in SIZES[kind]:
            rows.append(measure(__file__, {"model": Path(folder) / "model", "cells": cells}) | versions())
            show(rows[-1:])
            write("prediction", rows)
    size, curves = (
        [row["cells"] for row in rows],
        {"predict_cpu_s": "predict", "peak_mb": "peak", "added_mb": "of it added"},
    )
    show([{"quantity": c, "exponent": exponent(size, [row[c] for row in rows])} for c in curves])


if __name__ == "__main__":
    main()
