"""``scgim evaluate``."""

from pathlib import Path
from typing import Any

from scgim._writing import beside
from scgim.cli import _files
from scgim.cli._console import InputError, console, load, step, table

N_BYTES = 1_000_000  # of the table, about


def run(results: Path, held_out: Path, *, out: Path, overwrite: bool, options: dict[str, Any]) -> dict[str, Any]:
    """Load the fit with its cells, score, write the table; returns what is printed as JSON."""
    if out.suffix != ".csv":
        raise InputError(f"--out {out}: expected a file that ends in .csv.")
    _files.check_file(out, n_bytes=N_BYTES, overwrite=overwrite)
    path, model_dir = _files.results_in(results), results / "model"
    if not model_dir.is_dir():
        raise InputError(f"{results}: expected the folder model/ in it, as written by scgim fit --out.")
    for file in (path, held_out):
        _files.check_data(file)
    load()
    with step(f"reading {path.name} and {held_out.name}"):
        training, cells = _files.read(path), _files.read(held_out)
    from scgim import tl
    from scgim.model import GIM

    with step("scoring"):
        model = GIM.load(str(model_dir), training)
        given = {name: _one_or_all(value) for name, value in options.items() if value is not None}
        scores = tl.evaluate(model, cells, **given)
        with beside(out, "--out") as stage:
            scores.to_csv(stage, index=False)
    wide = scores.groupby(["metric", "method"], sort=False)["value"].median().unstack()  # (metrics, methods)
    rows = [
        [str(name), *(f"{value:.3g}" for value in row)] for name, row in zip(wide.index, wide.to_numpy(), strict=True)
    ]
    n_conditions = int(scores["context"].nunique())
    table(f"Medians over {n_conditions} conditions", ["metric", *map(str, wide.columns)], rows)
    console().print(f"{out}: {len(scores)} rows", markup=False)
    medians = {str(metric): {str(k): float(v) for k, v in row.items()} for metric, row in wide.iterrows()}
    return {"command": "evaluate", "out": str(out), "conditions": n_conditions, "medians": medians}


def _one_or_all(value: Any) -> Any:
    """``["all"]`` as the word that scgim.tl.evaluate takes."""
    return "all" if value == ["all"] else value
