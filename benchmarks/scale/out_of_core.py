"""Fit of an on-disk data set that is larger than the memory allowed.

    python benchmarks/scale/out_of_core.py            # 200,000 cells x 100 genes, 80 MB
    python benchmarks/scale/out_of_core.py --full     # 2,000,000 cells x 500 genes, 4 GB, under 3 GB

A simulated screen is written to a zarr store (dense float32) and set up and fitted three ways, each in fresh
processes: in memory without a limit; lazily in one process under the limit; lazily on a Dask cluster of two worker
processes under the same limit, the client included. The moments are compared to those of the first way. The limit is set with
``RLIMIT_DATA``, which makes an allocation beyond it fail; resident memory is reported beside it. The store is deleted
afterwards unless ``--keep`` is given.
"""

import argparse
import contextlib
import resource
import shutil
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).parent))

import numpy as np
from _measure import measure, peak_mb, show, tell, versions, write

SIZES = {"small": {"cells": 200_000, "genes": 100}, "full": {"cells": 2_000_000, "genes": 500}}
LIMIT_MB = 3000
CONTEXTS = 201
WORKERS = 2
WAYS = ("memory", "process", "cluster")
BLOCK = 25_000  # rows of a block on disk
COMPARED = ("n", "mean", "within", "loc", "scale", "slope")
KEYS = {"perturbation_key": "drug", "dose_key": "dose", "control": "control"}


def limit(megabytes: float) -> None:
    """Let allocations of this process beyond this fail."""
    size = int(megabytes * 2**20)
    resource.setrlimit(resource.RLIMIT_DATA, (size, size))


def system(arguments: argparse.Namespace) -> Any:
    from _system import System

    return System(arguments.genes, arguments.cells, CONTEXTS, seed=0)


def make(arguments: argparse.Namespace) -> dict[str, Any]:
    """Write the store, one block of rows at a time."""
    import anndata as ad
    import pandas as pd
    import zarr

    study, began = system(arguments), time.perf_counter()
    obs = pd.DataFrame(study.obs()).rename(index=str).astype({"drug": "category"})
    ad.AnnData(obs=obs, var=pd.DataFrame(index=study.genes)).write_zarr(arguments.store)
    group = zarr.open_group(arguments.store, mode="a")
    shape = (len(study.context), arguments.genes)
    x = group.create_array("X", shape=shape, chunks=(BLOCK, arguments.genes), dtype="float32", overwrite=True)
    x.attrs.update({"encoding-type": "array", "encoding-version": "0.2.0"})
    rows, start = [], 0
    for cells, _ in study.chunks():
        rows.append(cells)
        if sum(map(len, rows)) >= BLOCK:
            block, rows = np.concatenate(rows), []
            x[start : start + len(block)] = block
            start += len(block)
    if rows:
        x[start:] = np.concatenate(rows)
    zarr.consolidate_metadata(arguments.store)
    size = sum(p.stat().st_size for p in Path(arguments.store).rglob("*") if p.is_file())
    return {
        "seconds": time.perf_counter() - began,
        "peak_mb": peak_mb(),
        "array_mb": 4 * np.prod(shape) / 1e6,
        "disk_mb": size / 1e6,
    }


def opened(store: str, *, lazy: bool) -> Any:
    """The store as AnnData, with its matrix on disk or in memory."""
    import anndata as ad
    import zarr

    group = zarr.open_group(store, mode="r")
    x = ad.experimental.read_elem_lazy(group["X"]) if lazy else ad.io.read_elem(group["X"])
    return ad.AnnData(x, obs=ad.io.read_elem(group["obs"]), var=ad.io.read_elem(group["var"]))


def fit(arguments: argparse.Namespace) -> dict[str, Any]:
    """Set-up, moments and search of the store, by the public calls."""
    from scgim.model import GIM, _gim
    from scgim.model._reading.passes import cell_moments

    before = peak_mb()
    if arguments.limit:
        limit(arguments.limit)
    row: dict[str, Any] = {}
    kept: list[Any] = []

    def keep(*positional: Any, **named: Any) -> Any:
        """The moments, as the model computes them, with the time it takes."""
        began = time.perf_counter(), time.process_time()
        kept.append(cell_moments(*positional, **named))
        row["moments_s"], row["moments_cpu_s"] = time.perf_counter() - began[0], time.process_time() - began[1]
        return kept[-1]

    _gim.cell_moments = keep
    with cluster(arguments) as client:
        adata, began = opened(arguments.store, lazy=arguments.way != "memory"), time.perf_counter()
        GIM.setup_anndata(adata, **KEYS)
        model = GIM(adata)
        row["setup_s"], began, cpu = time.perf_counter() - began, time.perf_counter(), time.process_time()
        if arguments.search:
            model.train(max_epochs=0, rng=0)
            row["search_s"] = time.perf_counter() - began - row["moments_s"]
            row["search_cpu_s"] = time.process_time() - cpu - row["moments_cpu_s"]
        else:
            keep(model.cells(), len(model.design.dose))
        row["workers_mb"] = sum(client.run(peak_mb).values()) if client is not None else 0.0
    np.savez(arguments.out, **{name: getattr(kept[0], name) for name in COMPARED})
    row |= {"peak_mb": peak_mb(), "added_mb": peak_mb() - before}
    if arguments.search:
        study = system(arguments)
        place = [model.design.drugs.index(name) for name in study.design.drugs]
        row |= study.scores(model.fitted.graph.weights, model.fitted.of_drug.probability[place])
    return row


@contextlib.contextmanager
def cluster(arguments: argparse.Namespace) -> Any:
    """A Dask cluster of worker processes where it is asked for; its workers share what the client leaves."""
    if arguments.way != "cluster":
        yield None
        return
    from distributed import Client, LocalCluster

    share = (arguments.limit or LIMIT_MB) / (WORKERS + 1)
    settings = {"processes": True, "threads_per_worker": 1, "dashboard_address": None}
    with (
        tempfile.TemporaryDirectory() as folder,
        LocalCluster(n_workers=WORKERS, memory_limit=f"{share:.0f}MB", local_directory=folder, **settings) as workers,
        Client(workers) as client,
    ):
        yield client


def difference(one: Path, other: Path) -> float:
    """Largest difference of any moment, relative to its largest value."""
    a, b = np.load(one), np.load(other)
    return max(float(np.abs(a[name] - b[name]).max() / np.abs(b[name]).max()) for name in COMPARED)


def main() -> None:
    arguments = parse()
    if arguments.role:
        tell({"make": make, "fit": fit}[arguments.role](arguments))
        return
    size = dict(SIZES["full" if arguments.full else "small"])
    size |= {name: getattr(arguments, name) for name in size if getattr(arguments, name)}
    folder = Path(tempfile.mkdtemp(dir=arguments.folder))
    common = size | {"store": folder / "screen.zarr"}
    rows: list[dict[str, Any]] = []
    try:
        made = measure(__file__, common | {"role": "make"})
        show([made])
        first = folder / f"{arguments.ways[0]}.npz"
        for way in arguments.ways:
            out, allowed = folder / f"{way}.npz", 0 if way == "memory" else LIMIT_MB
            told = measure(
                __file__,
                common | {"role": "fit", "way": way, "limit": allowed, "out": out, "search": arguments.search},
            )
            row = {"way": way, **size, "array_mb": made["array_mb"], "limit_mb": allowed or "", **told}
            row["difference"] = difference(out, first)
            rows.append(row | versions())
            show(rows[-1:])
            write("out_of_core" + ("_full" if arguments.full else ""), rows)
    finally:
        if not arguments.keep:
            shutil.rmtree(folder)
    for row in rows:
        if not row["limit_mb"]:
            continue
        held = row["peak_mb"] + row["workers_mb"]
        print(f"{row['way']}: {held:.0f} MB of {LIMIT_MB}, moments differ by {row['difference']:.1e}")
        if row["difference"] > 1e-10 or held > LIMIT_MB:
            raise SystemExit("not within the limits")


def parse() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--full", action="store_true", help="2,000,000 cells x 500 genes; 4 GB of disk")
    parser.add_argument("--search", type=int, default=1, help="1 to search the structure as well, 0 not to")
    parser.add_argument("--ways", nargs="+", choices=WAYS, default=WAYS, help="how to read; the first is compared with")
    parser.add_argument("--folder", help="where the store is written; the system's temporary folder by default")
    parser.add_argument("--keep", action="store_true", help="keep the store")
    parser.add_argument("--cells", type=int, help="another number of cells")
    parser.add_argument("--genes", type=int, help="another number of genes")
    for name, kind in (("role", str), ("way", str), ("store", str), ("out", str)):
        parser.add_argument(f"--{name}", type=kind, help=argparse.SUPPRESS)
    parser.add_argument("--limit", type=int, help=argparse.SUPPRESS)
    return parser.parse_args()


if __name__ == "__main__":
    main()
