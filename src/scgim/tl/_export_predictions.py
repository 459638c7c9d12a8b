"""Measured and predicted cells of held-out conditions, as the evaluators of the field read them."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Literal

import numpy as np
import pandas as pd

from scgim._checks import DATA, MODEL, PATH, SEED, checked, count, one_of, or_none
from scgim._writing import together
from scgim.get._tables import perturbation_names
from scgim.model._reading.cells import Transform
from scgim.tl._evaluate import POPULATIONS
from scgim.tl._evaluation.held_out import Test, features_of, read_test, without_unknown
from scgim.tl._evaluation.moments import ContextCells
from scgim.tl._evaluation.population import move_controls
from scgim.tl._evaluation.predicted import predicted_cells
from scgim.tl._evaluation.training import read_training
from scgim.tl._evaluation.transform import make_transform

if TYPE_CHECKING:
    from pathlib import Path

    from anndata import AnnData
    from mudata import MuData

    from scgim.model import GIM

CONTROL, COLUMN = "control", "perturbation"  # what the evaluators call them unless told
MEASURED_FILE, PREDICTED_FILE = "measured.h5ad", "predicted.h5ad"


@checked(
    model=MODEL,
    adata_test=DATA,
    path=or_none(PATH),
    n_cells=count(2),
    population=one_of(*POPULATIONS),
    rng=SEED,
)
def export_predictions(
    model: GIM,
    adata_test: AnnData | MuData,
    path: str | Path | None = None,
    *,
    features: pd.DataFrame | None = None,
    n_cells: int = 500,
    population: Literal["model", "control"] = "model",
    transform: str | Transform | None = None,
    rng: int | np.random.Generator | None = 0,
) -> tuple[AnnData, AnnData]:
    """Measured and predicted cells in the layout of ``scperteval`` and ``cell-eval``.

    Both read two AnnData with the same genes and one column that names the perturbation, or ``"control"``. Every held-out
    condition (drug or combination, and dose) is a perturbation. Both objects hold as many cells of it from each batch,
    so that they differ by the prediction alone, and the same measured control cells of these batches, from the training data.

    Parameters
    ----------
    model
        A fitted model with its training data.
    adata_test
        Held-out cells as for :func:`scgim.tl.evaluate`.
    path
        Folder to write ``measured.h5ad`` and ``predicted.h5ad`` into; nothing is written if not given.
    features
        Features of drugs that are new; taken from ``adata_test`` if it has them under the registered key.
    n_cells
        Cells of each context at the most, and control cells of each training context.
    population
        ``"model"``: cells are drawn. ``"control"``: control cells are moved, as for :func:`scgim.tl.evaluate`.
    transform
        Scale of the cells, as for :func:`scgim.tl.evaluate`; both evaluators expect logarithms of normalised counts. Where no
        measured value is negative, predicted values are cut at 0, as ``cell-eval`` demands.
    rng
        Seed or generator.

    Returns
    -------
    Measured and predicted cells: AnnData with float32 expression, `.obs['perturbation']` (``"drug @ dose"``, parts of a
    combination joined by ``" + "``) and the registered columns of batches and covariates.

    Raises
    ------
    ValueError
        The model has no training data, ``adata_test`` has no perturbed cells or other genes, or a drug is called "control".
    KeyError
        All conditions are of drugs that were not fitted and have no features.

    Examples
    --------
    >>> scgim.tl.export_predictions(model, adata_test, "predictions")
    """
    generator = np.random.default_rng(rng)
    scale = make_transform(transform, model)
    train = read_training(model, n_cells, generator, scale)
    test = read_test(model, adata_test, n_cells, generator, scale)
    features = features_of(model, adata_test, test) if features is None else features
    test = without_unknown(model, test, features)
    rows = test.table.drop(columns="n_cells")
    label = _labels(model, rows)
    if population == "control":
        _, drawn = move_controls(model, test, features, n_cells, scale, generator)  # (m, n_cells, G)
    else:
        drawn = predicted_cells(model, rows, features, n_cells, scale, generator)
    order = np.argsort(test.cells.context, kind="stable")
    context, seen = test.cells.context[order], test.cells.cells[order]  # (S,), (S, G)
    place = np.arange(len(context)) - np.searchsorted(context, context)  # of each cell in its context
    predicted = drawn[context, place].astype(np.float32)
    if seen.min(initial=0.0) >= 0:
        predicted = np.maximum(predicted, 0.0)
    control, group = _controls(model, train, test, n_cells)
    obs = _obs(model, [label[k] for k in context], test.group[context], group)
    measured, made = (_cells(np.concatenate([part, control]), obs, model) for part in (seen, predicted))
    if path is not None:
        with together(path) as folder:
            measured.write_h5ad(folder / MEASURED_FILE)
            made.write_h5ad(folder / PREDICTED_FILE)
    return measured, made


def _labels(model: GIM, rows: pd.DataFrame) -> list[str]:
    """Perturbation of each held-out context, with its doses; parts of a combination in alphabetical order."""
    spec = model.study.spec
    names, _ = perturbation_names(rows, list(spec.perturbation), [], spec.control)
    if spec.dose:
        parts = rows[list(spec.perturbation)].astype(str).to_numpy()
        dose = rows[list(spec.dose)].to_numpy(float)
        names = [
            " + ".join(
                sorted(f"{drug} @ {amount:g}" for drug, amount in zip(*pair, strict=True) if drug != spec.control)
            )
            for pair in zip(parts, dose, strict=True)
        ]
    if CONTROL in names:
        raise ValueError(f"adata_test: a perturbation is called {CONTROL!r}, which stands for no drug here; rename it.")
    return names


def _controls(model: GIM, train: ContextCells, test: Test, n_cells: int) -> tuple[np.ndarray, np.ndarray]:
    """Measured control cells ``(n, G)`` of the batches of the held-out contexts, at most `n_cells` a context, and their groups."""
    design = model.design
    wanted = np.flatnonzero(design.control & np.isin(design.group, test.group))
    chosen = np.concatenate([np.flatnonzero(train.context == k)[:n_cells] for k in wanted] or [np.zeros(0, int)])
    if not len(chosen):
        raise ValueError(
            "model: the batches of adata_test have no control cells, which evaluators need; fit with those in adata."
        )
    return train.cells[chosen], design.group[train.context[chosen]]


def _obs(model: GIM, label: list[str], group: np.ndarray, of_control: np.ndarray) -> pd.DataFrame:
    """Perturbation and baseline columns of the perturbed cells, then of the control cells."""
    table = pd.DataFrame({COLUMN: pd.Categorical([*label, *[CONTROL] * len(of_control)])})
    groups = model.study.groups.iloc[np.concatenate([group, of_control])].reset_index(drop=True)
    for column in groups.columns.difference([COLUMN]):
        table[str(column)] = pd.Categorical(groups[column].astype(str))
    return table.rename(index=str)


def _cells(x: np.ndarray, obs: pd.DataFrame, model: GIM) -> AnnData:
    from anndata import AnnData

    names: Any = pd.Index([str(gene) for gene in model.genes])
    return AnnData(np.ascontiguousarray(x, dtype=np.float32), obs=obs.copy(), var=pd.DataFrame(index=names))
