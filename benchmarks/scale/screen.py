"""Reading and fit of a whole screen on disk, with what it finds against the truth.

    python benchmarks/scale/screen.py              # 30 genes x 41 contexts x 10,000 cells
    python benchmarks/scale/screen.py --medium     # 300 genes x 201 contexts x 100,000 cells, 0.1 GB
    python benchmarks/scale/screen.py --large      # 1,000 genes x 753 contexts x 580,000 cells, 2.3 GB

A simulated screen (see ``_system.py``) is written to an h5ad file in one process, and opened backed, set up and fitted by
`scgim.tl.fit` in another, without training epochs. ``read_s`` is the set-up and the pass over the cells, ``search_s`` all
the rest of the fit; ``cpu`` what of them the processor worked, which matters on a machine that is shared; ``peak_mb`` the
largest resident memory of that process, imports included. Sizes can be given one by one.
"""

import argparse
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).parent))

import numpy as np
from _measure import measure, peak_mb, show, tell, versions, write

SIZES = {
    "small": {"genes": 30, "contexts": 41, "cells": 10_000},
    "medium": {"genes": 300, "contexts": 201, "cells": 100_000},
    "large": {"genes": 1_000, "contexts": 753, "cells": 580_000},
}
KEYS = {"perturbation_key": "drug", "dose_key": "dose", "control": "control"}


def system(arguments: argparse.Namespace) -> Any:
    from _system import System

    return System(arguments.genes, arguments.cells, arguments.contexts, arguments.seed)


def make(arguments: argparse.Namespace) -> dict[str, Any]:
    """Write the screen, chunk by chunk."""
    import pandas as pd

    from scgim.model._prediction.stream import write_stream

    study = system(arguments)
    obs = pd.DataFrame(study.obs()).rename(index=str).astype({"drug": "category"})

    def blocks() -> Iterator[tuple[np.ndarray, np.ndarray, np.ndarray]]:
        for cells, context in study.chunks():
            yield cells, context, context

    shape = (len(study.context), arguments.genes)
    var = pd.DataFrame(index=study.genes)
    write_stream(Path(arguments.store), shape, blocks(), lambda *_: obs, var, {})
    return {"array_mb": 4 * shape[0] * shape[1] / 1e6, "contexts": len(study.context_drug), "cells": shape[0]}


def fit(arguments: argparse.Namespace) -> dict[str, Any]:
    """Open, set up, fit, and compare with the truth."""
    import anndata as ad

    import scgim
    from scgim.model import GIM, _gim
    from scgim.model._reading.passes import cell_moments

    before, ticks = peak_mb(), []

    def tick(*positional: Any, **named: Any) -> Any:
        out = cell_moments(*positional, **named)
        ticks.append((time.perf_counter(), time.process_time()))
        return out

    _gim.cell_moments = tick
    ticks.append((time.perf_counter(), time.process_time()))
    adata = ad.read_h5ad(arguments.store, backed="r")
    model: GIM = scgim.tl.fit(adata, **KEYS, max_epochs=0, progress=False, rng=arguments.seed)
    ticks.append((time.perf_counter(), time.process_time()))
    row = {"peak_mb": peak_mb(), "added_mb": peak_mb() - before}
    (read, read_cpu), (search, search_cpu) = (
        (b[0] - a[0], b[1] - a[1]) for a, b in zip(ticks, ticks[1:], strict=False)
    )
    seconds = {"read_s": read, "search_s": search, "total_s": read + search, "read_cpu_s": read_cpu}
    seconds |= {"search_cpu_s": search_cpu, "total_cpu_s": read_cpu + search_cpu}
    study = system(arguments)
    place = [model.fitted.drugs.index(name) for name in study.design.drugs]
    return seconds | row | study.scores(model.fitted.graph.weights, model.fitted.of_drug.probability[place])


def parse() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    kind = parser.add_mutually_exclusive_group()
    kind.add_argument("--medium", action="store_true", help="300 genes x 201 contexts x 100,000 cells")
    kind.add_argument("--large", action="store_true", help="1,000 genes x 753 contexts x 580,000 cells")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--folder", help="where the file is written; the system's temporary folder by default")
    for name in SIZES["small"]:
        parser.add_argument(f"--{name}", type=int, help="instead of the given number")
    for name in ("role", "store"):
        parser.add_argument(f"--{name}", help=argparse.SUPPRESS)
    return parser.parse_args()


def main() -> None:
    arguments = parse()
    if arguments.role:
        tell({"make": make, "fit": fit}[arguments.role](arguments))
        return
    kind = "large" if arguments.large else "medium" if arguments.medium else "small"
    size = {name: getattr(arguments, name) or value for name, value in SIZES[kind].items()} | {"seed": arguments.seed}
    with tempfile.TemporaryDirectory(dir=arguments.folder) as folder:
        common = size | {"store": Path(folder) / "screen.h5ad"}
        made = measure(__file__, common | {"role": "make"})
        row = size | made | measure(__file__, common | {"role": "fit"}) | versions()
    show([row])
    print(write(f"screen_{kind}", [row]))


if __name__ == "__main__":
    main()
