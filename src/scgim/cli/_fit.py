"""``scgim fit``."""

from pathlib import Path
from typing import Any

from scgim._keys import CALLED, DEFAULT
from scgim._writing import together
from scgim.cli import _files
from scgim.cli._console import console, load, step, table

TABLES = ("targets.csv", "graph.csv")
SURE = 0.9  # probability from which targets and edges are in the JSON summary
PER_GENE = 64  # bytes of results of a context and gene, or of a pair of genes, at most, in data, model and tables


def run(file: Path, *, out: Path, seed: int, overwrite: bool, settings: dict[str, Any]) -> dict[str, Any]:
    """Read, fit, write results and pictures; returns what is printed as JSON."""
    data_file = "mdata.h5mu" if file.suffix == ".h5mu" else "adata" + file.suffix
    names = [data_file, "model", *TABLES, *_files.PICTURES]
    _files.check_data(file)
    _files.check_folder(out, names, n_bytes=_files.size(file), overwrite=overwrite)  # before anything is read or fitted
    load()
    with step(f"reading {file.name}"):
        data = _files.read(file)
    from scgim import get, tl

    key = settings.get("key_added", DEFAULT)
    for name in ("perturbation_key", "dose_key"):
        if len(settings.get(name) or ()) == 1:
            settings[name] = settings[name][0]
    _files.check_folder(
        out, names, n_bytes=_files.size(file) + PER_GENE * data.n_vars * min(data.n_vars, 1000), overwrite=overwrite
    )
    with step(f"fitting {data.n_obs} cells x {data.n_vars} genes", shows=True):
        model = tl.fit(data, rng=seed, progress=True, **settings)
    with step(f"writing {out}"), together(out, "--out") as stage:
        _files.write(data, stage / data_file)
        model.save(str(stage / "model"))
        get.targets(data, key=key).to_csv(stage / TABLES[0], index=False)
        edges(data, key).to_csv(stage / TABLES[1], index=False)
        _files.pictures(data, stage, key=key)
    summary(data, key)
    console().print(f"{out}: {', '.join([data_file, 'model/', *TABLES, *_files.PICTURES])}", markup=False)
    return as_json(data, key, out, [data_file, "model", *TABLES, *_files.PICTURES])


def as_json(data: Any, key: str, out: Path, files: list[str]) -> dict[str, Any]:
    """What a pipeline wants to know of a fit: sizes, files, and the sure targets of every perturbation."""
    from scgim import _keys, get

    table = get.targets(data, level="drug", key=key)
    sure = table[table["probability"] >= SURE]
    columns = ["gene", "effect", "effect_sd", "probability", "false_sign_rate"]
    found = {
        str(name): part[columns].astype({"gene": str}).to_dict("records")
        for name, part in sure.groupby("perturbation", sort=False, observed=True)
    }
    return {
        "command": "fit",
        "out": str(out),
        "files": files,
        "cells": int(data.n_obs),
        "genes": int(data.n_vars),
        "contexts": len(_keys.CONTEXTS.find(data, key)),
        "perturbations": int(table["perturbation"].nunique()),
        "targets": found,
        "edges": len(get.network(data, key=key, min_probability=SURE)),
        "least_probability": SURE,
    }


def edges(data: Any, key: str) -> Any:
    """The graph as a table, the strongest edges first."""
    import pandas as pd

    from scgim import get

    rows = [(a, b, d["weight"], d["probability"]) for a, b, d in get.graph(data, key=key).edges(data=True)]
    frame = pd.DataFrame(rows, columns=["source", "target", "weight", "probability"])
    return frame.sort_values("weight", key=abs, ascending=False)


def summary(data: Any, key: str, *, most: int = 12) -> None:
    """Print the clearest target of the perturbations."""
    rows = top_targets(data, key)
    shown = [[name, text] for name, text in list(rows.items())[:most]]
    title = "Targets" if len(rows) <= most else f"Targets ({most} of {len(rows)} perturbations, all in targets.csv)"
    table(title, ["perturbation", "gene and effect at the highest dose (p where below 0.95)"], shown, left=2)


def top_targets(data: Any, key: str, *, most: int = 3) -> dict[str, str]:
    """For each perturbation its most probable targets at its highest dose, as text."""
    import numpy as np

    from scgim.pl._data import read
    from scgim.pl._style import number

    fitted = read(data, key)
    result = {}
    for row, name in enumerate(fitted.perturbation):
        probability, effect = fitted.probability[row], fitted.effect[row]
        best = np.argsort(-probability, kind="stable")[:most]
        called, parts = best[probability[best] >= CALLED], []
        for g in called if len(called) else best[:1]:
            doubt = "" if probability[g] >= 0.95 else f" (p {probability[g]:.2f})"
            parts.append(f"{fitted.genes[g]} {number(effect[g])}{doubt}")
        result[name] = ", ".join(parts)
    return result
