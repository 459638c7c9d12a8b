"""Time and peak memory of the search against genes, cells or contexts.

    python benchmarks/scale/scaling.py genes      # or: cells, contexts
    python benchmarks/scale/scaling.py genes --full
    python benchmarks/scale/scaling.py cells --seeds 3   # mean of three systems

Each size runs in a process of its own, on a simulated linear system whose cells are drawn chunk by chunk. Columns:
``moments`` is the pass over the cells (without drawing them), ``search`` everything after it, ``cpu`` what of it the
processor worked, which matters on a machine that is shared; ``scored`` counts the parent sets that it scored. Time
after the pass can depend on the number of cells in one way alone, by sharper evidence that leads the search elsewhere:
``cpu_per_score`` leaves that out. With ``--through tl`` the cells are held in memory and go through `scgim.tl.fit`
(without training epochs), so that ``total`` has all that a user waits for. Tables go to
``benchmarks/scale/tables``.
"""

import argparse
import sys
import time
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).parent))

from _measure import exponent, measure, peak_mb, show, tell, versions, write

SIZES = {
    "genes": {"small": (10, 20, 40), "full": (20, 100, 300, 1000, 2000)},
    "cells": {"small": (10_000, 30_000, 100_000), "full": (10_000, 30_000, 100_000, 300_000, 1_000_000)},
    "contexts": {"small": (101, 301, 1001), "full": (101, 301, 1001, 3001, 10_001)},
}
FIXED = {
    "small": {"genes": 20, "cells": 20_000, "contexts": 101},
    "full": {"genes": 100, "cells": 100_000, "contexts": 201},
}


def one(arguments: argparse.Namespace) -> dict[str, Any]:
    """Measure one size in this process."""
    import numpy as np
    from _system import System

    from scgim._core.learn.fit_search import fit_search
    from scgim._core.moments.moments import compute_moments

    system = System(arguments.genes, arguments.cells, arguments.contexts, arguments.seed)
    row = {"genes": arguments.genes, "cells": len(system.context), "contexts": len(system.context_drug)}
    if arguments.through == "tl":
        return row | through_tl(system)
    before, began = peak_mb(), time.perf_counter()
    moments = compute_moments(system.chunks, row["contexts"])
    read = time.perf_counter() - began - system.seconds
    choosers = count_scores()
    began, cpu = time.perf_counter(), time.process_time()
    fit = fit_search(moments, system.design, genes=system.genes, rng=arguments.seed)
    search, cpu = time.perf_counter() - began, time.process_time() - cpu
    scores = system.scores(fit.graph.weights, fit.of_drug.probability)
    if not np.isfinite(fit.graph.weights).all():
        raise SystemExit("the graph holds values that are not finite")
    seconds = {"moments_s": read, "search_s": search, "search_cpu_s": cpu, "total_s": read + search}
    return row | seconds | {"scored": float(sum(chooser.n_scored for chooser in choosers))} | memory(before) | scores


def count_scores() -> list[Any]:
    """Those that choose parents, which know how often they scored: how much work the search chose to do."""
    from scgim._core.structure.parents import Parents

    choosers: list[Any] = []
    begin = Parents.__post_init__

    def keep(chooser: Parents) -> None:
        choosers.append(chooser)
        begin(chooser)

    Parents.__post_init__ = keep  # type: ignore[method-assign]
    return choosers


def mean_row(rows: list[dict[str, Any]]) -> dict[str, Any]:
    """The mean over seeds of what was measured."""
    told = {name: sum(row[name] for row in rows) / len(rows) for name in rows[0] if isinstance(rows[0][name], float)}
    return rows[0] | told | {"seeds": len(rows)}


def growth(along: str, rows: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """What ten times the size costs, as a share of what the smaller size costs."""
    by_size, out = {round(row[along], -3): row for row in rows}, []
    for size, row in by_size.items():
        other = by_size.get(10 * size)
        if other is not None and "search_cpu_s" in row:
            each = {name: other[name] / max(row[name], 1e-9) for name in ("search_cpu_s", "scored")}
            each["cpu_per_score"] = each["search_cpu_s"] / each["scored"]
            out.append({"from": size, "to": 10 * size, **{f"{k}_ratio": v for k, v in each.items()}})
    return out


def memory(before: float) -> dict[str, float]:
    """Peak so far, and what of it came after the start."""
    return {"peak_mb": peak_mb(), "added_mb": peak_mb() - before}


def through_tl(system: Any) -> dict[str, Any]:
    """The same through the public function, with the cells in memory."""
    import anndata as ad
    import numpy as np
    import pandas as pd

    import scgim
    import scgim.model  # what the import takes is not counted

    obs = pd.DataFrame(system.obs()).rename(index=str)
    cells = np.concatenate([x for x, _ in system.chunks()])
    adata = ad.AnnData(cells, obs=obs, var=pd.DataFrame(index=system.genes))
    before, began, cpu = peak_mb(), time.perf_counter(), time.process_time()
    keys = {"perturbation_key": "drug", "dose_key": "dose", "control": "control"}
    model = scgim.tl.fit(adata, **keys, max_epochs=0, progress=False)
    seconds, cpu = time.perf_counter() - began, time.process_time() - cpu
    place = [model.fitted.drugs.index(name) for name in system.design.drugs]
    scores = system.scores(model.fitted.graph.weights, model.fitted.of_drug.probability[place])
    return {"total_s": seconds, "total_cpu_s": cpu} | memory(before) | scores


def parse() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("along", nargs="?", choices=sorted(SIZES), help="what grows")
    parser.add_argument("--full", action="store_true", help="the sizes of a real screen; hours")
    parser.add_argument("--through", choices=("engine", "tl"), default="engine")
    parser.add_argument("--sizes", type=int, nargs="+", help="sizes instead of the given ones")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--seeds", type=int, default=1, help="systems to average over, from `--seed` on")
    for name in SIZES:
        parser.add_argument(f"--{name}", type=int, help="fixed value instead of the given one")
    arguments = parser.parse_args()
    if arguments.along is None and None in (arguments.genes, arguments.cells, arguments.contexts):
        parser.error("name what grows: genes, cells or contexts")
    return arguments


def main() -> None:
    arguments = parse()
    if arguments.along is None:  # one size
        tell(one(arguments))
        return
    kind = "full" if arguments.full else "small"
    given = {name: getattr(arguments, name) for name in SIZES if getattr(arguments, name) is not None}
    fixed = FIXED[kind] | given | {"seed": arguments.seed, "through": arguments.through}
    rows: list[dict[str, Any]] = []
    name = f"{arguments.along}{'' if arguments.through == 'engine' else '_tl'}"
    for size in arguments.sizes or SIZES[arguments.along][kind]:
        seeds = range(arguments.seed, arguments.seed + arguments.seeds)
        told = [measure(__file__, fixed | {arguments.along: size, "seed": seed}) for seed in seeds]
        rows.append(mean_row(told) | versions())
        show(rows[-1:])
        write(name, rows)  # after each size, so that nothing is lost
    measured = [c for c in ("moments_s", "search_cpu_s", "total_s", "peak_mb", "added_mb") if c in rows[0]]
    size = [row[arguments.along] for row in rows]
    exponents = [{"quantity": c, "exponent": exponent(size, [row[c] for row in rows])} for c in measured]
    write(f"{name}_exponents", exponents)
    show(exponents)
    more = growth(arguments.along, rows) if arguments.along == "cells" else []
    if more:
        write(f"{name}_growth", more)
        show(more)


if __name__ == "__main__":
    main()
