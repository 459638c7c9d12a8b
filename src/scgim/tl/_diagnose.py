"""What a fit rests on, and where it does not describe the data."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import pandas as pd

from scgim import _keys
from scgim._checks import MODEL, SEED, TEXT, checked, count, or_none
from scgim._core.effects import Effects
from scgim.tl._calibration import arguments_of, calibrate
from scgim.tl._design import confounded_table, find_confounded, labels_of
from scgim.tl._evaluation.moments import ContextCells, collect

if TYPE_CHECKING:
    from scgim.model import GIM


@checked(model=MODEL, n_cells=count(2), pseudo_drugs=count(0), split_by=or_none(TEXT), rng=SEED)
def diagnose(
    model: GIM,
    *,
    n_cells: int = 200,
    pseudo_drugs: int = 4,
    split_by: str | None = None,
    rng: int | np.random.Generator | None = 0,
) -> dict[str, pd.DataFrame]:
    """Tables that say how far a fit can be trusted (not from the paper).

    Parameters
    ----------
    model
        A fitted model with its training data.
    n_cells
        Cells to predict for each context in the posterior-predictive check.
    pseudo_drugs
        Number of pseudo-drugs of the calibration, which takes as long as the fit did; 0 leaves it out.
    split_by
        Column of ``.obs``: a pseudo-drug is the controls of one of its levels, such as a plate. None is a column that looks
        like a batch by its name and was not registered; random controls where there is none.
    rng
        Seed or generator.

    Returns
    -------
    A dict of tables:

    `features`
        Are the features informative about the interventions? One row for each map from features to interventions that
        was compared by cross-validation over drugs, ``map``, ``error`` (smaller is better) and ``chosen``. Empty without
        features.
    `support`
        What do targets rest on? One row for each drug and gene that is a target (probability of at least 1/2): ``probability``,
        ``effect`` (as in ``get.targets(adata, level="drug")`` that of the highest dose; at saturation for drugs that were never given
        alone), ``z`` (effect over its standard deviation), ``n_cells`` and ``n_doses`` of the
        drug, ``n_groups`` (batches and covariate values in which it was measured).
    `similar`
        Which drugs cannot be told apart? One row for each pair: ``z`` is the largest difference of the expected effects
        on a gene or regulator over its standard deviation, ``distinct`` is whether it exceeds 3, ``same_targets`` whether their
        targets are the same genes. The most similar pairs come first.
    `contexts`
        Posterior-predictive check, one row for each context: ``n_cells``, ``distance`` of the predicted to the observed
        mean, ``expected`` distance from sampling alone, ``ratio`` of the two (about 1 if the model is right),
        ``sd_ratio`` (median over genes of observed over predicted standard deviation) and ``worst_gene``, the gene whose
        mean is predicted worst.
    `calibration`
        How many targets are called where there are none? The model is fitted again with some controls relabelled as
        drugs, with the doses, batches and numbers of cells of drugs. One row for each ``threshold``: ``pseudo_drugs``, the
        ``calls`` on them, calls ``per_pseudo_drug`` and ``per_drug``, whose ratio is about the share of calls that are false,
        and ``split_by``. Empty where the controls do not suffice.
    `confounded`
        What can the design not tell apart? One row for each ``problem`` and ``column``: drugs that were measured only
        together, in one batch only (``registered`` or not), each in a batch of its own, or beside no control, and replicates
        that the fit was not told of; ``n_drugs``, ``drugs`` and ``advice``.

    Warns
    -----
    UserWarning
        Where more than a fifth as many targets are called on pseudo-drugs as on drugs, at a probability above 0.9; or where
        controls are too few to make pseudo-drugs of.

    Raises
    ------
    KeyError
        If there is no column `split_by`.
    ValueError
        If the model was loaded without its training data.

    Examples
    --------
    >>> tables = scgim.tl.diagnose(model)
    >>> tables["similar"].query("not distinct")
    """
    if model.adata is None:
        raise ValueError("model: it was loaded without its training data; use scgim.model.GIM.load(dir_path, adata).")
    generator = np.random.default_rng(rng)
    setup, _ = arguments_of(model)
    findings = find_confounded(labels_of(model.adata, model.study.spec), **setup)
    cells = collect(model.cells(), len(model.contexts), rng=generator)
    return {
        "features": _features(model),
        "support": _support(model),
        "similar": _similar(model),
        "contexts": _contexts(model, cells, n_cells, generator),
        "calibration": calibrate(model, pseudo_drugs, split_by=split_by, rng=generator),
        "confounded": confounded_table(findings),
    }


def _features(model: GIM) -> pd.DataFrame:
    """Cross-validated errors of the feature maps."""
    fitted = model.feature_model_
    table = pd.DataFrame(
        {"map": pd.Series(dtype=str), "error": pd.Series(dtype=float), "chosen": pd.Series(dtype=bool)}
    )
    if fitted is None:
        return table
    score = {str(name): float(error) for name, error in fitted.score.items()}
    table = pd.DataFrame({"map": list(score), "error": list(score.values())})
    table["chosen"] = table["map"] == "chosen"
    return table.sort_values("error", ignore_index=True)


def _support(model: GIM) -> pd.DataFrame:
    """Cells, doses and batches behind each target."""
    fit, design = model.fitted, model.design
    found = _at_highest_dose(model)
    drug, gene = np.nonzero(found.probability >= _keys.CALLED)
    there = design.dose > 0  # (K, D)
    n_cells = (there * design.n_cells[:, None]).sum(0)
    n_doses = np.array([len(np.unique(design.dose[there[:, d], d])) for d in range(len(fit.drugs))])
    n_groups = np.array([len(np.unique(design.group[there[:, d]])) for d in range(len(fit.drugs))])
    effect, sd = found.mean[drug, gene], found.sd[drug, gene]
    return pd.DataFrame(
        {
            "drug": np.array(fit.drugs, dtype=object)[drug],
            "gene": np.array(fit.genes, dtype=object)[gene],
            "probability": found.probability[drug, gene],
            "effect": effect,
            "z": np.abs(effect) / np.maximum(sd, 1e-12),
            "n_cells": n_cells[drug].astype(int),
            "n_doses": n_doses[drug] if design.has_dose else 1,
            "n_groups": n_groups[drug],
        }
    )


def _at_highest_dose(model: GIM) -> Effects:
    """Of each drug ``(D, G)``, averaged over its contexts of the highest dose; of the drug where it was never given alone."""
    design, of_drug, of_context = model.design, model.fitted.of_drug, model.fitted.of_context
    found = [np.array(values) for values in (of_drug.probability, of_drug.mean, of_drug.sd)]
    for d in range(len(design.drugs)):
        rows = design.alone(d)
        top = rows[design.dose[rows, d] == design.dose[rows, d].max(initial=0)]
        if len(top):
            for out, values in zip(found, (of_context.probability, of_context.mean, of_context.sd), strict=True):
                out[d] = values[top].mean(axis=0)
    return Effects(*found)


def _similar(model: GIM) -> pd.DataFrame:
    """Pairs of drugs by how much their expected effects differ."""
    fit, found, of = model.fitted, model.fitted.of_drug, model.fitted.regulators
    p = np.hstack([found.probability, of.probability])  # (D, G + T)
    a, sd = np.hstack([found.mean, of.activity]), np.hstack([found.sd, of.activity_sd])
    mean = p * a
    variance = p * (sd**2 + a**2) - mean**2  # of effect x target indicator
    first, second = np.triu_indices(len(fit.drugs), 1)
    target = p >= _keys.CALLED
    z = np.zeros(len(first))
    same = np.zeros(len(first), bool)
    for start in range(0, len(first), 4096):  # blocks of pairs
        i, j = first[start : start + 4096], second[start : start + 4096]
        gap = np.abs(mean[i] - mean[j]) / np.sqrt(variance[i] + variance[j] + 1e-12)
        z[start : start + 4096] = gap.max(1, initial=0.0)
        same[start : start + 4096] = (target[i] == target[j]).all(1)
    names = np.array(fit.drugs, dtype=object)
    table = pd.DataFrame(
        {"drug_1": names[first], "drug_2": names[second], "z": z, "distinct": z > 3, "same_targets": same}
    )
    return table.sort_values("z", ignore_index=True)


def _contexts(model: GIM, cells: ContextCells, n_cells: int, rng: np.random.Generator) -> pd.DataFrame:
    """Observed against predicted means and standard deviations."""
    contexts, genes = model.contexts, np.array(model.genes, dtype=object)
    rows = contexts.drop(columns="n_cells")
    of = model.study.features
    features = of.values if of is not None and of.rows_are == "context" else None  # (K, Q)
    mean = model.predict_mean(rows, features=features).to_numpy()
    sd = np.zeros_like(mean)
    block = max(1, 2_000_000 // max(n_cells * mean.shape[1], 1))
    for start in range(0, len(rows), block):
        part = slice(start, start + block)
        values = None if features is None else features[part]
        predicted = np.asarray(model.predict(rows.iloc[part], features=values, n_cells=n_cells, rng=rng).X)
        sd[part] = predicted.reshape(-1, n_cells, mean.shape[1]).std(1, ddof=1)
    error = cells.mean - mean
    noise = cells.variance / cells.n[:, None]
    z = np.abs(error) / np.sqrt(np.maximum(noise, 1e-12))
    table = rows.copy()
    table["n_cells"] = contexts["n_cells"].to_numpy()
    table["distance"] = np.linalg.norm(error, axis=1)
    table["expected"] = np.sqrt(noise.sum(1))
    table["ratio"] = table["distance"] / np.maximum(table["expected"], 1e-12)
    table["sd_ratio"] = np.median(np.sqrt(cells.variance) / np.maximum(sd, 1e-12), axis=1)
    table["worst_gene"] = genes[z.argmax(1)]
    return table.sort_values("ratio", ascending=False, ignore_index=True)
