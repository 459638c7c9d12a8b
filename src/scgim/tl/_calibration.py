"""Calibration on the user's own data: how many targets are called on drugs that are controls under another name?"""

from __future__ import annotations

import warnings
from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd

from scgim import _keys
from scgim._warnings import warn_user
from scgim.get._tables import as_list
from scgim.model._saving.save import constructor
from scgim.tl._design import batch_columns, labels_of
from scgim.tl._fitting.light import light_copy
from scgim.tl._fitting.progress import display
from scgim.tl._fitting.seed import seeded

if TYPE_CHECKING:
    from scgim.model import GIM

THRESHOLDS = (0.5, 0.9, 0.99)
SURE = 0.9
"""Threshold of the warning."""
WORTH_A_WARNING = 0.2
"""Calls on a pseudo-drug for each call on a drug, from which on a warning is given: a fifth of the calls would be false."""
FEWEST_CELLS = 2
"""That make a context."""
PREFIX = "pseudo-drug"
COLUMNS = ("threshold", "pseudo_drugs", "calls", "per_pseudo_drug", "per_drug", "split_by")


@dataclass(frozen=True)
class PseudoDrug:
    """Control cells that are treated as if they had got a drug."""

    name: str  # its label
    cells: np.ndarray  # places of the cells, (n,)
    dose: np.ndarray  # dose of each, (n,)


def calibrate(model: GIM, n_drugs: int, *, split_by: str | None, rng: np.random.Generator) -> pd.DataFrame:
    """Fit the same model again with some controls relabelled as drugs, and count what is called on these.

    Parameters
    ----------
    model
        A fitted model with its data.
    n_drugs
        Number of pseudo-drugs; there are fewer if the controls are few.
    split_by
        Column of ``.obs``: a pseudo-drug is the controls of one of its levels. None: a column that looks like a batch and was
        not registered, if there is one; else random controls.
    rng
        Generator.

    Returns
    -------
    One row a threshold; empty where the controls do not suffice.
    """
    setup, build = arguments_of(model)
    keys = as_list(setup["perturbation_key"])
    if n_drugs == 0 and split_by is not None:
        raise ValueError("split_by: is not used with pseudo_drugs=0; leave it out, or ask for some.")
    if n_drugs == 0:
        return pd.DataFrame(columns=list(COLUMNS))
    pseudo, how = choose(model, setup, n_drugs, split_by, rng)
    if not pseudo:
        n_control = int(model.design.n_cells[model.design.control].sum())
        warn_user(
            f"pseudo_drugs: expected controls for {n_drugs} of them ({how}), beside as many that stay controls, found {n_control}, too few in a "
            "batch, so there is no calibration. Ask for fewer, or for none with pseudo_drugs=0."
        )
        return pd.DataFrame(columns=list(COLUMNS))
    targets = refit(model, setup, build, pseudo, rng)
    table = count(targets, [one.name for one in pseudo], [_keys.beside(key) for key in keys]).assign(split_by=how)
    warn_uncalibrated(table)
    return table


def arguments_of(model: GIM) -> tuple[dict[str, Any], dict[str, Any]]:
    """Arguments of the set-up and of the model, without features, which pseudo-drugs have none of."""
    setup = dict(model.registry["setup_args"]) | {"features_key": None}
    kept = constructor(model.init_params_)
    build = {name: value for name, value in kept.items() if name not in ("adata", "registry")}
    return setup, build | {"intervention": model.settings["intervention"], "n_ensemble": 0}


def choose(
    model: GIM, setup: Mapping[str, Any], n_drugs: int, split_by: str | None, rng: np.random.Generator
) -> tuple[list[PseudoDrug], str]:
    """Pseudo-drugs, and how they were made.

    Each has the doses, batches and, as far as the controls suffice, the numbers of cells of a drug drawn at random. At least half
    of the controls of every group stay controls.
    """
    obs, context = labels_of(model.adata, model.study.spec), model.cells().index
    control = model.design.control[context]  # (n,)
    if split_by is not None and split_by not in obs:
        raise KeyError(f"split_by: no column {split_by!r} in .obs; found {list(obs.columns)}.")
    if split_by is None:
        columns = ("perturbation_key", "categorical_covariate_keys", "batch_key")
        known = {name for column in columns for name in as_list(setup.get(column))}
        split_by = next(iter(batch_columns(obs, control, known)), None)
    if split_by is not None:
        levels = obs[split_by].astype(str).to_numpy()
        return _by_level(model, levels, context, control, n_drugs, rng), split_by
    return _at_random(model, context, control, n_drugs, rng), "random cells"


def _templates(model: GIM) -> list[np.ndarray]:
    """Contexts of each drug that was measured alone: rows of the table, (k_d,)."""
    return [rows for d in range(len(model.design.drugs)) if len(rows := model.design.alone(d))]


def _at_random(
    model: GIM, context: np.ndarray, control: np.ndarray, n_drugs: int, rng: np.random.Generator
) -> list[PseudoDrug]:
    """Random controls of the groups in which a drug was measured."""
    design, n_cells = model.design, model.contexts["n_cells"].to_numpy()
    group = design.group[context]  # (n,)
    pool = {g: rng.permutation(np.flatnonzero(control & (group == g))) for g in np.unique(group)}
    share = {g: len(cells) // 2 // n_drugs for g, cells in pool.items()}  # for each pseudo-drug
    templates = _templates(model)
    pseudo: list[PseudoDrug] = []
    for i in range(n_drugs if templates else 0):
        rows = templates[rng.integers(len(templates))]
        cells, doses = [], []
        for g in np.unique(design.group[rows]):
            here = rows[design.group[rows] == g]
            wanted = np.minimum(n_cells[here], share[g] // len(here))
            start = i * share[g]
            for k, n in zip(here, wanted, strict=True):
                if n >= FEWEST_CELLS:
                    cells.append(pool[g][start : start + n])
                    doses.append(np.full(n, design.dose[k].sum()))
                    start += n
        if cells:
            pseudo.append(PseudoDrug(f"{PREFIX} {i + 1}", np.concatenate(cells), np.concatenate(doses)))
    return pseudo


def _by_level(
    model: GIM, levels: np.ndarray, context: np.ndarray, control: np.ndarray, n_drugs: int, rng: np.random.Generator
) -> list[PseudoDrug]:
    """The controls of one level each; every group keeps at least half of its controls."""
    design = model.design
    group = design.group[context]
    left = {g: int((control & (group == g)).sum()) for g in np.unique(group)}
    least = {g: max(n // 2, FEWEST_CELLS) for g, n in left.items()}
    templates = _templates(model)
    pseudo: list[PseudoDrug] = []
    for level in rng.permutation(np.unique(levels[control])):
        cells = np.flatnonzero(control & (levels == level))
        n_of = {g: int((group[cells] == g).sum()) for g in np.unique(group[cells])}
        if len(pseudo) == n_drugs or not templates:
            break
        if any(n < FEWEST_CELLS or left[g] - n < least[g] for g, n in n_of.items()):
            continue
        left |= {g: left[g] - n for g, n in n_of.items()}
        rows = templates[rng.integers(len(templates))]
        doses = np.unique(design.dose[rows].sum(1))
        doses = doses[: max(min(n_of.values()) // FEWEST_CELLS, 1)]
        pseudo.append(PseudoDrug(f"{PREFIX} {len(pseudo) + 1}", cells, _in_turn(doses, group[cells], rng)))
    return pseudo


def _in_turn(doses: np.ndarray, group: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """A dose for each cell (n,), so that each dose has as many cells of each group as the others."""
    out = np.empty(len(group))
    for g in np.unique(group):
        here = rng.permutation(np.flatnonzero(group == g))
        out[here] = doses[np.arange(len(here)) % len(doses)]
    return out


def refit(
    model: GIM, setup: dict[str, Any], build: dict[str, Any], pseudo: list[PseudoDrug], rng: np.random.Generator
) -> pd.DataFrame:
    """Targets of the same model on the same cells, some of them relabelled."""
    light = light_copy(model.adata, setup | build)
    light.obs = relabelled(labels_of(light, model.study.spec), setup, pseudo)
    seed = int(rng.integers(2**31))
    register = type(model).setup_mudata if setup.get("modalities") else type(model).setup_anndata
    if setup.get("modalities"):  # all columns are in `light.obs` now
        setup = setup | {"modalities": {"layer": setup["modalities"]["layer"]}}
    register(light, **{name: value for name, value in setup.items() if value is not None})
    with display(show=False) as (report, callbacks), seeded(seed), warnings.catch_warnings():
        warnings.simplefilter("ignore")  # the fit that is diagnosed has said it all
        again = type(model)(light, **build)
        again.train(rng=seed, progress=report, callbacks=callbacks, enable_progress_bar=False)
    return again.get_targets()


def relabelled(obs: pd.DataFrame, setup: Mapping[str, Any], pseudo: list[PseudoDrug]) -> pd.DataFrame:
    """Columns in which the pseudo-drugs stand as drugs, in the first of the perturbation columns."""
    key, doses = as_list(setup["perturbation_key"])[0], as_list(setup.get("dose_key"))
    obs = obs.copy()
    label = obs[key].astype(str).to_numpy(dtype=object)
    for one in pseudo:
        label[one.cells] = one.name
    obs[key] = pd.Categorical(label)
    if doses:
        dose = obs[doses[0]].to_numpy(dtype=float, copy=True)
        for one in pseudo:
            dose[one.cells] = one.dose
        obs[doses[0]] = dose
    return obs


def count(targets: pd.DataFrame, names: list[str], keys: list[str]) -> pd.DataFrame:
    """Genes called on pseudo-drugs and on drugs at each threshold; a gene counts once a drug."""
    drug = targets[keys].astype(str).agg("+".join, axis=1)
    first = targets[keys[0]].astype(str)
    best = targets.assign(_drug=drug, _pseudo=first.isin(names))
    best = best.groupby(["_drug", "_pseudo", "gene"], observed=True)["probability"].max().reset_index()
    n_drugs = best.loc[~best["_pseudo"], "_drug"].nunique()
    rows = []
    for threshold in THRESHOLDS:
        called = best["probability"] > threshold
        calls = int((called & best["_pseudo"]).sum())
        of_drugs = int((called & ~best["_pseudo"]).sum())
        row = (threshold, len(names), calls, calls / len(names), of_drugs / max(n_drugs, 1))
        rows.append(dict(zip(COLUMNS, row, strict=False)))
    return pd.DataFrame(rows)


def warn_uncalibrated(table: pd.DataFrame) -> None:
    """Warn where controls under another name get calls, compared with those of drugs."""
    row = table.set_index("threshold").loc[SURE]
    if row["calls"] < 2 or row["per_pseudo_drug"] <= WORTH_A_WARNING * row["per_drug"]:
        return
    warn_user(
        f"calibration: on {row['pseudo_drugs']} pseudo-drugs, which are controls ({row['split_by']}), {row['calls']} targets are "
        f"called at a probability above {SURE}, {row['per_pseudo_drug']:.2g} each, beside {row['per_drug']:.2g} a drug: many "
        "of the targets are differences between controls. Register the batches (batch_key), or trust only targets that return "
        "in other batches."
    )
