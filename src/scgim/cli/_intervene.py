"""``scgim intervene``."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from scgim.cli import _files
from scgim.cli._console import InputError, console, load, step

SHOWN = 5
"""Genes whose changes are printed."""


def run(
    model_dir: Path,
    *,
    numbers: dict[str, Sequence[str]],
    knockout: Sequence[str],
    population: Sequence[str],
    n_cells: int,
    seed: int,
    out: Path,
    overwrite: bool,
) -> dict[str, Any]:
    """Load the model without data, intervene, write, and give what is printed as JSON; `numbers` holds ``GENE=VALUE`` of each option."""
    model_dir = _files.check_request(model_dir, out, overwrite=overwrite)
    tables = {
        name: {gene: _number(name, text) for gene, text in _pairs(name, values)} for name, values in numbers.items()
    }
    columns: dict[str, Any] = dict(_pairs("population", population))
    load()
    from scgim import tl
    from scgim.model import GIM

    with step(f"loading {model_dir}"):
        model = GIM.load(str(model_dir), adata=False)
        _files.check_file(out, n_bytes=4 * n_cells * len(model.genes), overwrite=overwrite)  # float32
    spec = model.study.spec
    for column in [*spec.dose, *spec.continuous]:
        if column in columns:
            columns[column] = _number("population", columns[column])
    with step(f"predicting {n_cells} cells"):
        asked = {name: table for name, table in tables.items() if table}
        cells = tl.intervene(
            model, **asked, knockout=list(knockout) or None, population=columns or None, n_cells=n_cells, rng=seed
        )
    written = _files.write_cells(cells, out)
    changes = cells.var.loc[cells.var["change"].abs().sort_values(ascending=False).index[:SHOWN]]
    for gene, row in changes.iterrows():
        console().print(f"  {gene}: {row['change']:+.3g} (sd {row['change_sd']:.2g})", markup=False)
    change = {str(gene): float(value) for gene, value in cells.var["change"].items()}
    return {"command": "intervene", **written, "change": change}


def _pairs(option: str, values: Sequence[str]) -> list[tuple[str, str]]:
    """``NAME=VALUE``, split at the last equals sign."""
    out = []
    for value in values:
        name, sign, text = value.rpartition("=")
        if not (sign and name and text):
            raise InputError(f"--{option} {value}: expected NAME=VALUE, such as --{option} A=1.")
        out.append((name, text))
    return out


def _number(option: str, text: str) -> float:
    try:
        return float(text)
    except ValueError:
        raise InputError(f"--{option}: expected a number after the equals sign, found {text!r}.") from None
