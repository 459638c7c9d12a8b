"""How well cells of unseen conditions are predicted, beside simple baselines."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING, Any, Literal, NamedTuple

import numpy as np
import pandas as pd

from scgim._checks import DATA, MODEL, NAMES, SEED, SOME_NAMES, checked, count, one_of
from scgim.metrics import baselines
from scgim.metrics._predictions.centroid_accuracy import centroid_shares
from scgim.metrics.baselines import MEAN_BASELINES, shifted_control
from scgim.model._reading.cells import Transform
from scgim.tl._evaluation.held_out import Test, features_of, read_test, without_unknown
from scgim.tl._evaluation.moments import ContextCells
from scgim.tl._evaluation.population import move_controls
from scgim.tl._evaluation.predicted import predicted_cells, predicted_means
from scgim.tl._evaluation.scores import DEFAULT, METRICS, Compared
from scgim.tl._evaluation.training import control_means, other_means, read_training
from scgim.tl._evaluation.transform import make_transform

if TYPE_CHECKING:
    from anndata import AnnData
    from mudata import MuData

    from scgim.model import GIM


BASELINES = ("control", "training_mean", "ridge", "knn")
POPULATIONS = ("model", "control")


@checked(
    model=MODEL,
    adata_test=DATA,
    metrics=SOME_NAMES,
    baselines=NAMES,
    n_cells=count(2),
    population=one_of(*POPULATIONS),
    rng=SEED,
)
def evaluate(
    model: GIM,
    adata_test: AnnData | MuData,
    *,
    features: pd.DataFrame | None = None,
    metrics: Sequence[str] | str = DEFAULT,
    baselines: Sequence[str] | str = BASELINES,
    n_cells: int = 200,
    population: Literal["model", "control"] = "model",
    transform: str | Transform | None = None,
    rng: int | np.random.Generator | None = 0,
) -> pd.DataFrame:
    """Predict the conditions of held-out cells and compare with the cells.

    Parameters
    ----------
    model
        A fitted model, with its training data if there are ``baselines``.
    adata_test
        Held-out cells with the registered columns, on the scale of the training data. Split by condition
        (:func:`scgim.pp.split_contexts`), never by cell: conditions that were in the training data are warned about.
    features
        Features of drugs that are new; taken from ``adata_test`` if it has them under the registered key.
    metrics
        Names from the catalogue in the notes below, or ``"all"``.
    baselines
        Names of ``scgim.metrics.baselines.MEAN_BASELINES``, ``"additive"`` for combinations, ``"split_half"`` (one half of the
        held-out cells of a condition against the other: what no prediction can be expected to beat), or ``"all"``. ``"gp"`` and
        ``"mlp"`` take minutes. Baselines predict changes against the control of the batch; their cells are control cells
        moved to the predicted mean.
    n_cells
        Cells for each condition that the energy distance is computed from.
    population
        ``"model"``: cells are drawn by :meth:`scgim.model.GIM.predict`. ``"control"``: the control cells of the batch, which
        baselines move too, are moved by :meth:`scgim.model.GIM.counterfactual`, so that whatever else they are like is kept.
    transform
        Scale of the comparison. None: that of the data. ``"log_normalize"``, for models of counts: every cell, measured or
        predicted, is scaled to the median total of the training cells, and ``log(1 + x)`` taken. Or a function of cells
        ``(n, G)`` that returns as many. Baselines are then computed on that scale, and means of the model are those
        of 2,000 predicted cells.
    rng
        Seed or generator.

    Returns
    -------
    Tidy table with columns ``method`` (``"gim"`` and the baselines), ``context``, ``metric``, ``value``.

    Notes
    -----
    ``"mean_distance"``: Euclidean distance of the means. ``"energy_distance"``: squared energy distance, see
    :func:`scgim.metrics.energy_distance`. ``"pearson_mean_change"``: correlation over genes of the changes against the control
    of the same batch; ``"pearson_from_others"``: against the mean of the perturbed training contexts of the batch.
    ``"centroid_accuracy"``: share of the other held-out conditions that are farther from the prediction than its own.
    ``"top_gene_overlap"``, ``"direction_agreement"``, ``"weighted_error"``: see :mod:`scgim.metrics`.
    Conditions of drugs that were not fitted and have no features are left out with a warning that names them.

    Raises
    ------
    ValueError
        A metric, baseline, population or transform is unknown, ``adata_test`` has no perturbed cells or other genes, or the
        training data that baselines need are missing.
    KeyError
        No condition is left, since all have drugs that were not fitted and have no features.

    Examples
    --------
    >>> scores = scgim.tl.evaluate(model, adata_test)
    >>> scores.groupby(["metric", "method"])["value"].median().unstack()
    """
    chosen = _baselines(baselines)
    asked = _metrics(metrics)
    generator = np.random.default_rng(rng)
    scale = make_transform(transform, model)
    test = read_test(model, adata_test, n_cells, generator, scale)
    if features is None:
        features = features_of(model, adata_test, test)
    test = without_unknown(model, test, features)
    rows = test.table.drop(columns="n_cells")
    moved: np.ndarray | None = None
    if population == "control":
        first, moved = move_controls(model, test, features, n_cells, scale, generator)
        means = {"gim": first}
    else:
        means = {"gim": predicted_means(model, rows, features, scale)}
    train = None
    if set(chosen) - {"split_half"} or any(METRICS[name].needs_training for name in asked):
        train = read_training(model, n_cells, generator, scale)
    references = _references(model, train, test)
    if train is not None:
        means |= _baseline_means(model, train, test, features, chosen, generator)
    cells: dict[str, np.ndarray] = {}
    if train is not None and any(METRICS[name].needs_cells for name in asked):
        cells = {"gim": predicted_cells(model, rows, features, n_cells, scale, generator) if moved is None else moved}
        for name in set(chosen) - {"split_half"}:
            cells[name] = _moved_control(model, train, means[name], test.group, n_cells, generator)
    halves = _split_half(test, generator) if "split_half" in chosen else None
    return _score(test, means, references, cells, asked, halves)


def _metrics(names: Sequence[str] | str) -> list[str]:
    """Names of metrics, checked."""
    listed = (list(METRICS) if names == "all" else [names]) if isinstance(names, str) else list(names)
    unknown = [name for name in listed if name not in METRICS]
    if unknown:
        raise ValueError(f"metrics: unknown {unknown}; expected 'all' or some of {list(METRICS)}.")
    return listed


def _baselines(names: Sequence[str] | str) -> list[str]:
    allowed = [*MEAN_BASELINES, "additive", "split_half"]
    if isinstance(names, str):
        names = list(MEAN_BASELINES) if names == "all" else [names]
    unknown = [name for name in names if name not in allowed]
    if unknown:
        raise ValueError(f"baselines: unknown {unknown}; expected 'all' or some of {allowed}.")
    return list(names)


class References(NamedTuple):
    """What changes of m held-out contexts are measured against, (m, G) each."""

    control: np.ndarray  # mean of the control cells of the batch
    others: np.ndarray  # mean of its perturbed training contexts


def _references(model: GIM, train: ContextCells | None, test: Test) -> References:
    """Zeros where the training cells were not read, as no metric asks for them."""
    if train is None:
        return References(np.zeros_like(test.cells.mean), np.zeros_like(test.cells.mean))
    design, control = model.design, control_means(model, train)
    others = other_means(train.mean, train.n * ~design.control, design.group, control)
    return References(control[test.group], others[test.group])


def _baseline_means(
    model: GIM, train: ContextCells, test: Test, features: Any, names: list[str], rng: np.random.Generator
) -> dict[str, np.ndarray]:
    """Predicted means (m, G) of the baselines."""
    control = control_means(model, train)  # (C, G)
    design = model.design
    perturbed = ~design.control
    change = (train.mean - control[design.group])[perturbed]  # (K', G)
    known, new = _inputs(model, test, features)
    zero, result = np.zeros(change.shape[1]), {}
    for name in names:
        if name == "split_half":  # from the held-out cells, not from the training data
            continue
        if name == "additive":
            dose = np.pad(design.dose[perturbed], ((0, 0), (0, test.dose.shape[1] - design.dose.shape[1])))
            inputs = baselines.indicators(dose, test.dose)
            predicted = baselines.additive(inputs[0], change, inputs[1], control_mean=zero)
        else:
            method: Callable[..., np.ndarray] = baselines.MEAN_BASELINES[name]
            predicted = method(known[perturbed], change, new, control_mean=zero, rng=rng)
        result[name] = predicted + control[test.group]
    return result


def _inputs(model: GIM, test: Test, features: Any) -> tuple[np.ndarray, np.ndarray]:
    """What baselines know of training (K, Q) and test contexts (m, Q): features and dose, or the dose of each drug."""
    study = model.study
    design, of = study.design, study.features
    if of is None:
        width = test.dose.shape[1]
        train_dose = np.pad(design.dose, ((0, 0), (0, width - design.dose.shape[1])))
        return np.hstack([train_dose, train_dose > 0]), np.hstack([test.dose, test.dose > 0])
    if of.rows_are == "context":
        return of.values, np.asarray(features, dtype=float)
    new = [drug for drug in test.drugs if drug not in of.rows]
    rows = {drug: of.values[k] for k, drug in enumerate(of.rows)}
    if new and features is not None:
        rows |= {str(drug): features.loc[drug, list(of.names)].to_numpy(float) for drug in new}
    table = np.stack([rows[drug] for drug in test.drugs])  # (D', Q)

    def encode(dose: np.ndarray) -> np.ndarray:
        there = (dose > 0).astype(float)
        summed = there @ table[: dose.shape[1]]
        return np.column_stack([summed, dose.sum(1), np.log1p(dose).sum(1)]) if study.spec.dose else summed

    return encode(design.dose), encode(test.dose)


def _moved_control(
    model: GIM, train: ContextCells, means: np.ndarray, group: np.ndarray, n_cells: int, rng: np.random.Generator
) -> np.ndarray:
    """Control cells of the batch, moved to the predicted means, (m, n_cells, G)."""
    design = model.design
    result = np.zeros((len(means), n_cells, means.shape[1]))
    for g in np.unique(group):
        of_group = train.cells[design.control[train.context] & (design.group[train.context] == g)]
        rows = np.flatnonzero(group == g)
        result[rows] = shifted_control(means[rows], of_group, n_cells, rng=rng).reshape(len(rows), n_cells, -1)
    return result


@dataclass
class Halves:
    """Two halves of the sampled cells of m held-out contexts."""

    cells: list[tuple[np.ndarray, np.ndarray]]  # m pairs of (n, G)

    def mean(self, half: int) -> np.ndarray:
        """Means of one half, (m, G)."""
        return np.stack([pair[half].mean(axis=0) for pair in self.cells])


def _split_half(test: Test, rng: np.random.Generator) -> Halves:
    """The sampled cells of each context in two random halves; a single cell stands for both."""
    pairs = []
    for k in range(len(test.table)):
        own = test.cells.of(k).astype(float)
        order, half = rng.permutation(len(own)), max(1, len(own) // 2)
        pairs.append((own[order[:half]], own[order[half:]] if len(own) > 1 else own))
    return Halves(pairs)


def _score(
    test: Test,
    means: dict[str, np.ndarray],
    references: References,
    cells: dict[str, np.ndarray],
    metrics: Sequence[str],
    halves: Halves | None = None,
) -> pd.DataFrame:
    """The tidy table; with halves, those of the measured cells against each other as the method ``"split_half"``."""
    parts = []
    for method, predicted in means.items():
        drawn = [partial(cells[method].__getitem__, k) if method in cells else None for k in range(len(predicted))]
        measured = [partial(test.cells.of, k) for k in range(len(predicted))]
        parts += _rows(method, test.label, test.cells.mean, predicted, references, measured, drawn, metrics)
    if halves is not None:
        first, second = ([partial(np.asarray, pair[half]) for pair in halves.cells] for half in (0, 1))
        truth, predicted = halves.mean(1), halves.mean(0)
        parts += _rows("split_half", test.label, truth, predicted, references, second, first, metrics)
    return pd.DataFrame(parts, columns=["method", "context", "metric", "value"])


def _rows(
    method: str,
    label: list[str],
    truth: np.ndarray,
    predicted: np.ndarray,
    references: References,
    measured: Sequence[Any],
    drawn: Sequence[Any],
    metrics: Sequence[str],
) -> list[tuple[str, str, str, float]]:
    """Every metric of every context for one method; means (m, G), cells as functions that return (n, G)."""
    closer = centroid_shares(truth, predicted) if len(predicted) > 1 else np.full(len(predicted), np.nan)
    out = []
    for k, name in enumerate(label):
        control, others = (reference[k] for reference in references)
        compared = Compared(truth[k], predicted[k], control, others, measured[k], drawn[k], float(closer[k]))
        out += [(method, name, metric, METRICS[metric].value(compared)) for metric in metrics]
    return out
