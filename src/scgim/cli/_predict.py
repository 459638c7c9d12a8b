"""``scgim predict``."""

from pathlib import Path

from scgim.cli import _files
from scgim.cli._console import InputError, console, quiet, step


def run(model_dir: Path, perturbations: Path, *, features: Path | None, n_cells: int, seed: int, out: Path) -> None:
    """Load the model without data, predict, write."""
    quiet()
    if not (model_dir / "model.pt").exists():
        raise InputError(f"{model_dir}: no saved model there; expected the folder model/ that 'scgim fit' leaves.")
    if out.suffix not in (".h5ad", ".zarr"):
        raise InputError(f"--out {out}: expected a file that ends in .h5ad or .zarr.")
    table = _csv(perturbations)
    drugs = None if features is None else _csv(features, index=True)
    from scgim import tl
    from scgim.model import GIM

    with step(f"loading {model_dir}"):
        model = GIM.load(str(model_dir), adata=False)
    with step(f"predicting {len(table)} x {n_cells} cells"):
        predicted = tl.predict(model, table, features=drugs, n_cells=n_cells, rng=seed)
        _files.write(predicted, out)
    console().print(f"{out}: {predicted.n_obs} cells x {predicted.n_vars} genes", markup=False)


def _csv(path: Path, *, index: bool = False):
    """A table; names stay text even if they look like numbers or missing values."""
    import pandas as pd

    if not path.exists():
        raise InputError(f"{path}: no such file.")
    try:
        table = pd.read_csv(path, keep_default_na=False, dtype=str)
    except (pd.errors.ParserError, pd.errors.EmptyDataError, UnicodeDecodeError) as error:
        raise InputError(f"{path}: not a CSV file ({error}).") from error
    if index:
        table = table.set_index(table.columns[0])
    for name in table.columns:
        numbers = pd.to_numeric(table[name], errors="coerce")
        if numbers.notna().all():
            table[name] = numbers
    return table
