"""The application: what can be called, and how it ends."""

import os
import sys
from pathlib import Path
from typing import Annotated, Any, Literal

from cyclopts import App, CycloptsError, Parameter, UnusedCliTokensError

from scgim import __version__
from scgim.cli._config import configured
from scgim.cli._console import AS_JSON, InputError, error_console, print_json, warnings_as_lines
from scgim.cli._options import Whole, options_of
from scgim.tl._fit import fit as tl_fit

Overwrite = Annotated[bool, Parameter(negative="", help="Replace what is there already.")]
AsJson = Annotated[
    bool,
    Parameter(name="--json", negative="", help="Print one JSON object; lines for people go to the standard error."),
]
Config = Annotated[
    Path | None,
    Parameter(name="--config", help="File (.toml or .yaml) with options; those on the command line come first."),
]

app = App(
    name="scgim",
    help="Where a drug acts, and what follows from it: generative intervention models for single-cell data.",
    version=__version__,
    help_format="plaintext",
)
app.register_install_completion_command()

Several = Annotated[tuple[str, ...], Parameter(negative="")]
"""An option that may be given several times."""


@app.command
def demo(
    *,
    dataset: Literal["simulate", "sachs"] = "simulate",
    out: Path = Path("scgim_demo"),
    data_dir: Path | None = None,
    seed: Whole = 0,
    overwrite: Overwrite = False,
    json: AsJson = False,
) -> None:
    """Fit a small dataset, compare with what is known, and leave results and pictures in a folder.

    Parameters
    ----------
    dataset
        simulate: simulated cells with a known truth, no network needed. sachs: signalling proteins in T cells.
    out
        Folder for adata.h5ad, model/, mechanisms.png and graph.png.
    data_dir
        Folder with the public files of the dataset; they are downloaded if it is not given.
    seed
        Seed of the simulation and the fit.
    """
    from scgim.cli._demo import run

    run(dataset=dataset, out=out, data_dir=data_dir, seed=seed, overwrite=overwrite)
    print_json({"command": "demo", "out": str(out)})


@app.command
@options_of(tl_fit)
def fit(
    file: Path,
    /,
    *,
    seed: Whole = 0,
    out: Path = Path("scgim_fit"),
    overwrite: Overwrite = False,
    json: AsJson = False,
    config: Config = None,
    **options: Any,
) -> None:
    """Fit a model to FILE (.h5ad, .h5mu or .zarr) and write the results into a folder.

    Parameters
    ----------
    file
        Cells x genes on the scale to be modelled: log-normalised counts, or log intensities.
    seed
        Seed of the fit.
    out
        Folder for the data with results, model/, targets.csv, graph.csv and pictures.
    """
    from scgim.cli._fit import run

    print_json(run(file, out=out, seed=seed, overwrite=overwrite, settings=options))


@app.command
def predict(
    model_dir: Path,
    perturbations: Path,
    /,
    *,
    features: Path | None = None,
    n_cells: Whole = 100,
    seed: Whole = 0,
    out: Path = Path("prediction.h5ad"),
    overwrite: Overwrite = False,
    json: AsJson = False,
    config: Config = None,
) -> None:
    """Predict cells under the conditions listed in a CSV file.

    Parameters
    ----------
    model_dir
        Folder of a saved model, or of a fit.
    perturbations
        CSV file, one row a condition, with the columns that the model was fitted with (drug, dose, batch ...).
    features
        CSV file with the features of new drugs, the drug in the first column.
    n_cells
        Cells for each condition.
    seed
        Seed of the prediction.
    out
        File to write, .h5ad or .zarr.
    """
    from scgim.cli._predict import run

    made = run(model_dir, perturbations, features=features, n_cells=n_cells, seed=seed, out=out, overwrite=overwrite)
    print_json(made)


@app.command
def evaluate(
    results: Path,
    held_out: Path,
    /,
    *,
    metrics: list[str] | None = None,
    baselines: list[str] | None = None,
    population: Literal["model", "control"] = "model",
    transform: Literal["log_normalize"] | None = None,
    n_cells: Whole = 200,
    seed: Whole = 0,
    out: Path = Path("scores.csv"),
    overwrite: Overwrite = False,
    json: AsJson = False,
    config: Config = None,
) -> None:
    """Score the predictions of a fit on held-out cells, beside simple baselines.

    Parameters
    ----------
    results
        Folder that `scgim fit` has written: its model and its cells, from which baselines are computed.
    held_out
        Cells of conditions that were not fitted (.h5ad, .h5mu or .zarr), with the same genes and columns.
    metrics
        Metric, or all; give the option once for each. Without it those that scgim.tl.evaluate takes.
    baselines
        Baseline, or all; give the option once for each.
    population
        model: cells are drawn. control: control cells of the batch are moved.
    transform
        Scale of the comparison, for models of counts.
    n_cells
        Cells for each condition that distances of populations are computed from.
    seed
        Seed of the cells.
    out
        Table to write, .csv.
    """
    from scgim.cli._evaluate import run

    options: dict[str, Any] = {
        "metrics": metrics,
        "baselines": baselines,
        "population": population,
        "transform": transform,
        "n_cells": n_cells,
        "rng": seed,
    }
    print_json(run(results, held_out, out=out, overwrite=overwrite, options=options))


@app.command
def intervene(
    model_dir: Path,
    /,
    *,
    set: Several = (),
    shift: Several = (),
    scale: Several = (),
    knockout: Several = (),
    population: Several = (),
    n_cells: Whole = 1000,
    seed: Whole = 0,
    out: Path = Path("intervention.h5ad"),
    overwrite: Overwrite = False,
    json: AsJson = False,
    config: Config = None,
) -> None:
    """Predict cells whose genes are set, shifted, scaled or knocked out.

    Parameters
    ----------
    model_dir
        Folder of a saved model, or of a fit.
    set
        GENE=LEVEL; each option may be given several times.
    shift
        GENE=CHANGE.
    scale
        GENE=FACTOR.
    knockout
        GENE.
    population
        COLUMN=VALUE of the cells, such as drug=A and dose=1; the controls if not given.
    n_cells
        Number of cells.
    seed
        Seed of the prediction.
    out
        File to write, .h5ad or .zarr.
    """
    from scgim.cli._intervene import run

    made = run(
        model_dir,
        numbers={"set": set, "shift": shift, "scale": scale},
        knockout=knockout,
        population=population,
        n_cells=n_cells,
        seed=seed,
        out=out,
        overwrite=overwrite,
    )
    print_json(made)


@app.command
def report(
    results: Path,
    /,
    *,
    out: Path = Path("report.html"),
    title: str | None = None,
    gene_symbols: str | None = None,
    key_added: str = "scgim",
    overwrite: Overwrite = False,
    json: AsJson = False,
    config: Config = None,
) -> None:
    """Write one page with the results of a fit, for a reader without Python.

    Parameters
    ----------
    results
        Folder that `scgim fit` has written, or a file (.h5ad, .h5mu or .zarr) with results.
    out
        Page to write, .html.
    title
        Heading of the page; the name of the folder or file if not given.
    gene_symbols
        Column of .var with the names of genes to show.
    key_added
        Start of the keys that were written.
    """
    from scgim.cli._report import run

    print_json(run(results, out=out, title=title, gene_symbols=gene_symbols, key=key_added, overwrite=overwrite))


def main(arguments: list[str] | None = None) -> None:
    """Run a command: exit code 0 when it succeeded, 2 for input that cannot be used, with one line that says why; 1 for a bug."""
    os.environ.setdefault("MPLBACKEND", "Agg")
    given = sys.argv[1:] if arguments is None else list(arguments)
    as_json = AS_JSON.set("--json" in given)
    try:
        _check_words(given)
        with configured(app, given), warnings_as_lines():
            app(given, exit_on_error=False, print_error=False)
    except UnusedCliTokensError as error:
        _fail(_unused(error.unused_tokens or [], given), 2)
    except (CycloptsError, InputError, ValueError, TypeError, KeyError, OSError, ImportError) as error:
        if os.environ.get("SCGIM_TRACEBACK"):
            raise
        text = str(error.args[0]) if isinstance(error, KeyError) and error.args else str(error)
        line = " ".join(text.split()) or type(error).__name__
        _fail(line, 2)
    except KeyboardInterrupt:
        _fail("interrupted", 130)
    except Exception as error:  # a line, not a traceback, also where we are wrong
        if os.environ.get("SCGIM_TRACEBACK"):
            raise
        line = " ".join(str(error).split())[:300]
        _fail(
            f"{type(error).__name__}: {line or 'no message'}. This was not foreseen; SCGIM_TRACEBACK=1 shows where it comes from, for a "
            "report of the bug.",
            1,
        )
    finally:
        AS_JSON.reset(as_json)


def _check_words(given: list[str]) -> None:
    """No empty text, which would be taken for the folder one stands in."""
    for k, word in enumerate(given):
        option = given[k - 1] if k and given[k - 1].startswith("--") else f"argument {k + 1}"
        if not word:
            raise InputError(f"{option}: expected a value, found empty text; leave the option out for its default.")
        if word.startswith("--") and word.endswith("="):
            raise InputError(f"{word[:-1]}: expected a value after the equals sign, found none.")


def _unused(words: list[str], given: list[str]) -> str:
    """What to do about words that no command or option takes."""
    before = given[given.index(words[0]) - 1] if words and words[0] in given[1:] else ""
    where = (
        f"{before}: takes no value, found {words[0]!r}" if before.startswith("--") else f"{words}: not expected here"
    )
    return f"{where}; leave it out, or see 'scgim --help'."


def _fail(line: str, code: int) -> None:
    """Say why, on the standard error and in the JSON object, and end."""
    error_console().print("scgim: " + line, style="red", markup=False)
    print_json({"error": line, "exit_code": code})
    sys.exit(code)
