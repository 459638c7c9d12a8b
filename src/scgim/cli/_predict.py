"""``scgim predict``."""

from pathlib import Path
from typing import Any

from scgim.cli import _files
from scgim.cli._console import InputError, load, step

SEPARATORS = ",\t;"
"""Of columns: the one that gives most, the first of equals."""


def run(
    model_dir: Path, perturbations: Path, *, features: Path | None, n_cells: int, seed: int, out: Path, overwrite: bool
) -> dict[str, Any]:
    """Load the model without data, predict, write; returns what is printed as JSON."""
    model_dir = _files.check_request(model_dir, out, overwrite=overwrite)
    table = _csv(perturbations)
    drugs = None if features is None else _csv(features, "--features ").pipe(lambda t: t.set_index(t.columns[0]))
    load()
    from scgim import tl
    from scgim.model import GIM

    with step(f"loading {model_dir}"):
        model = GIM.load(str(model_dir), adata=False)
        _files.check_file(out, n_bytes=4 * len(table) * n_cells * len(model.genes), overwrite=overwrite)  # float32
    with step(f"predicting {len(table)} x {n_cells} cells"):
        spec = model.study.spec
        table = _numeric(table, [*spec.dose, *spec.continuous], perturbations)
        if drugs is not None:
            drugs = _numeric(drugs, list(drugs.columns), features)
        predicted = tl.predict(model, table, features=drugs, n_cells=n_cells, rng=seed)
    return {"command": "predict", "conditions": len(table), **_files.write_cells(predicted, out)}


def _csv(path: Path, option: str = "") -> Any:
    """A table of text, with commas, tabs or semicolons between columns: names may look like numbers or missing values; blanks before them go."""
    import pandas as pd

    if not path.is_file():
        raise InputError(
            f"{option}{path}: {'expected a CSV file, found a folder' if path.exists() else 'no such file'}."
        )
    try:
        mark = max(SEPARATORS, key=lambda each: len(pd.read_csv(path, sep=each, nrows=0).columns))
        table = pd.read_csv(path, sep=mark, keep_default_na=False, dtype=str, skipinitialspace=True)
    except (pd.errors.ParserError, pd.errors.EmptyDataError, UnicodeDecodeError) as error:
        raise InputError(f"{option}{path}: not a CSV file ({error}).") from error
    return table


def _numeric(table: Any, columns: list[str], path: Path | None) -> Any:
    """The columns as numbers."""
    import pandas as pd

    table = table.copy()
    for name in columns:
        if name not in table:
            continue
        numbers = pd.to_numeric(table[name], errors="coerce")
        wrong = table[name][numbers.isna()]
        if len(wrong):
            raise InputError(f"{path}: expected numbers in column {name!r}, found {wrong.iloc[0]!r}.")
        table[name] = numbers.astype(float)
    return table
