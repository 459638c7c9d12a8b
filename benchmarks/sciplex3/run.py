"""sci-Plex 3: the highest dose of one drug held out (as published), and whole drugs held out, by their structure.

    python benchmarks/sciplex3/run.py

needs the public file (2.5 GB; downloaded once by ``scgim.datasets.sciplex3``, or found in ``SCGIM_DATA_DIR``) and, for whole
drugs, the table of structures. ``--task doses`` or ``--task drugs`` runs one of the two. Finished fits are kept.

- ``doses``: four epigenetic drugs at four doses, each cell line alone, 50 genes; the highest dose of one drug is held out,
  in turn. The paper does not name drugs and genes: the drugs here are four inhibitors of histone deacetylases, the genes those
  that respond most in the training cells.
- ``drugs``: all compounds in three cell lines, fingerprints as features; a fifth of the compounds is held out.
"""

from __future__ import annotations

import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[1]))

import argparse
import time
from collections.abc import Iterator
from functools import partial

import _real
import numpy as np
import pandas as pd

HERE = Path(__file__).parent
DRUGS = (
    "Belinostat (PXD101)",
    "Dacinostat (LAQ824)",
    "Givinostat (ITF2357)",
    "Quisinostat (JNJ-26481585) 2HCl",
)
METRICS = ("pearson_mean_change", "mean_distance", "energy_distance")
ORDER = ["scgim", "training_mean", "ridge", "knn", "control"]
KEYS = {"perturbation_key": "drug", "control": "control", "dose_key": "dose"}
N_FOR_GENES = (
    20  # training drugs whose cells choose the genes, where all cells with all genes would not fit into memory
)


def parse(argv: list[str] | None = None) -> argparse.Namespace:
    parser = _real.command(__doc__, task=["doses", "drugs"])
    parser.add_argument("--directory", type=Path, help="folder of the file; otherwise SCGIM_DATA_DIR or the cache")
    parser.add_argument("--structures", type=Path, help="table with the columns product_name and SMILES")
    parser.add_argument("--cell-lines", nargs="+", default=["A549", "K562", "MCF7"])
    parser.add_argument("--drugs", nargs="+", default=list(DRUGS), help="of the task 'doses'")
    parser.add_argument("--genes", type=int, default=50)
    parser.add_argument("--seeds", type=int, nargs="+", default=[0], help="splits of the task 'drugs'")
    parser.add_argument("--mechanism", default="linear")
    parser.add_argument("--no-verify", action="store_true", help="the file is a part of the public one")
    return _real.parsed(parser, argv, HERE)


def load(arguments: argparse.Namespace, cell_lines: list[str], drugs: list[str] | None, genes: list[str] | None = None):
    """Log-normalised cells; where genes are chosen already, totals are those that the file holds."""
    import scgim

    adata = scgim.datasets.sciplex3(
        directory=arguments.directory,
        cell_lines=cell_lines,
        drugs=drugs,
        genes=genes,
        verify=not arguments.no_verify,
    )
    if genes is None:
        total = np.asarray(adata.X.sum(axis=1)).ravel()
    else:
        total = adata.obs["ncounts"].to_numpy(float)
    adata.X = adata.X.multiply((np.median(total) / np.maximum(total, 1))[:, None]).tocsr().astype(np.float32)
    adata.X.data = np.log1p(adata.X.data)
    return adata


def choose_genes(train, n_genes: int) -> list[str]:
    """Genes that respond most in training cells."""
    import scgim

    train = train.copy()
    scgim.pp.select_genes(train, n_genes, method="responsive", **KEYS, subset=True)
    return list(train.var_names)


def score(train, test, **settings) -> pd.DataFrame:
    """One row a method, context and metric."""
    import scgim

    start = time.process_time()
    model = scgim.tl.fit(train, **KEYS, **settings, progress=False, accelerator="cpu")
    seconds = time.process_time() - start
    table = scgim.tl.evaluate(model, test, metrics=METRICS, baselines=("control", "training_mean", "ridge", "knn"))
    table = table.replace({"method": {"gim": "scgim"}})
    table.loc[len(table)] = ["scgim", "", "seconds", seconds]
    return table


def split(adata) -> tuple:
    """Training and test cells."""
    part = adata.obs["split"].to_numpy()
    return adata[part == "train"].copy(), adata[part == "test"].copy()


def doses(arguments: argparse.Namespace, done: set) -> Iterator[tuple[tuple[str, str, str], pd.DataFrame]]:
    """The published splits: for each cell line and drug, its highest dose."""
    import scgim

    for line in arguments.cell_lines:
        todo = [drug for drug in arguments.drugs if ("doses", line, drug) not in done]
        adata = load(arguments, [line], arguments.drugs) if todo else None
        for drug in todo:
            scgim.pp.split_contexts(adata, "dose", **KEYS, hold_out="highest", drugs=[drug])
            train, test = split(adata)
            genes = choose_genes(train, arguments.genes)
            yield (
                ("doses", line, drug),
                score(train[:, genes].copy(), test[:, genes].copy(), mechanism=arguments.mechanism),
            )


def drugs(arguments: argparse.Namespace, done: set) -> Iterator[tuple[tuple[str, str, str], pd.DataFrame]]:
    """Whole drugs, in all cell lines, by their fingerprints."""
    import scgim

    path = arguments.structures or _real.data_file("sciplex_drugs", "sciplex3_drugs_targets_smiles.csv")
    smiles = pd.read_csv(path).drop_duplicates("product_name").set_index("product_name")["SMILES"].dropna()
    smiles.index = smiles.index.str.strip()
    lines = "+".join(arguments.cell_lines)
    for seed in arguments.seeds:
        if ("drugs", lines, f"split {seed}") in done:
            continue
        names = named(arguments, smiles)
        order = np.random.default_rng(seed).permutation(len(names))
        held_out = [names[i] for i in order[: max(1, len(names) // 5)]]
        rest = [names[i] for i in order[len(held_out) :]]
        genes = choose_genes(load(arguments, arguments.cell_lines, rest[:N_FOR_GENES]), arguments.genes)
        adata = load(arguments, arguments.cell_lines, names, genes)
        adata.uns["features"] = scgim.pp.fingerprints(smiles.loc[names])
        scgim.pp.split_contexts(adata, "drug", **KEYS, hold_out=held_out)
        train, test = split(adata)
        extra = {"features_key": "features", "categorical_covariate_keys": ["cell_line"]}
        yield ("drugs", lines, f"split {seed}"), score(train, test, **extra, mechanism=arguments.mechanism)


def named(arguments: argparse.Namespace, smiles: pd.Series) -> list[str]:
    """Drugs of the file that have a structure, in alphabetical order; says which have none."""
    import scgim

    labels = scgim.datasets.sciplex3(
        directory=arguments.directory, cell_lines=arguments.cell_lines, genes=[], verify=not arguments.no_verify
    ).obs["drug"]
    found = sorted(set(labels.astype(str)) - {"control"})
    without = [name for name in found if name not in smiles.index]
    if without:
        print(f"{len(without)} drugs without a structure are left out: {without}", flush=True)
    return [name for name in found if name in smiles.index]


def make_rows(arguments: argparse.Namespace, path: Path) -> None:
    """Add to the rows what is not among them yet."""
    _real.quiet()
    made_by = _real.versions()
    done = _real.finished(path, ["task", "cell_line", "held_out"])
    for task in arguments.task:
        for (name, line, held_out), table in {"doses": doses, "drugs": drugs}[task](arguments, done):
            for place, (column, value) in enumerate({"task": name, "cell_line": line, "held_out": held_out}.items()):
                table.insert(place, column, value)
            _real.append(path, table.assign(versions=made_by))
            print(name, line, held_out, flush=True)
            print(table.groupby(["method", "metric"])["value"].mean().unstack().round(3).to_string(), flush=True)


def main(argv: list[str] | None = None) -> None:
    arguments = parse(argv)
    path = _real.rows_of(arguments, "runs.csv", __file__, partial(make_rows, arguments))
    print(_real.summarise(path, ["task"], arguments.tables / "average.csv", ORDER).round(3).to_string())


if __name__ == "__main__":
    main()
