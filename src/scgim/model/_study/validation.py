"""Checks of the data at set-up; all of them pass before anything is written (layer `model`)."""

from __future__ import annotations

from typing import Any

import numpy as np
import pandas as pd
from anndata import AnnData

from scgim._checks import did_you_mean
from scgim._warnings import reads_like_control, warn_user
from scgim.model._reading.cells import Cells
from scgim.model._reading.columns import read_columns, read_numbers
from scgim.model._reading.expression import gene_names, locate, matrices, parts
from scgim.model._reading.spec import Spec
from scgim.model._reading.summary import Summary, summarise
from scgim.model._study.contexts import Contexts, as_labels, derive_contexts
from scgim.model._study.features import Features, read_features
from scgim.model._study.labels import check_labels

FEWEST_REPLICATES = 10
"""Cells beyond the first of their context, in all contexts together, from which a spread is known where some contexts have one cell."""
FEWEST_CONTROLS = 3
"""Control cells (or wells) below which one odd one is as heavy as all others together."""
PLACES = {"X": "; leave layer out for {0}.X", "raw": "; make an object of it, {0}.raw.to_adata(), and fit that"}
"""What to do where the name of another place is given for a layer."""


def check_object(data: Any, expected: Any) -> None:
    """The right class, not a view, with cells and genes.

    Raises
    ------
    TypeError, ValueError
    """
    name = "adata" if expected is AnnData else "mdata"
    if not isinstance(data, expected):
        other = "setup_mudata" if expected is AnnData else "setup_anndata"
        raise TypeError(f"{name}: expected {expected.__name__}, found {type(data).__name__}; see also GIM.{other}.")
    if data.is_view:
        copied = "to_memory" if getattr(data, "isbacked", False) else "copy"
        raise ValueError(f"{name}: expected an object of its own, found a view; run {name} = {name}.{copied}() first.")
    if data.n_obs == 0 or data.n_vars == 0:
        raise ValueError(f"{name}: expected cells and genes, found shape {data.shape}.")


def check_cells_paired(mdata: Any, spec: Spec) -> None:
    """Every modality in use holds the cells of the object in its order.

    Raises
    ------
    ValueError
    """
    for modality in spec.layers:
        names = mdata.mod[modality].obs_names
        if not names.equals(mdata.obs_names):
            raise ValueError(
                f"mdata: modality {modality!r} does not hold the same cells in the same order as the object; use "
                "mdata = mudata.MuData({m: a[cells].copy() for m, a in mdata.mod.items()}) with the shared cells."
            )
    if mdata.obs_names.has_duplicates:
        raise ValueError("mdata: cell names are not unique; run obs_names_make_unique() on every modality.")


def check_matrices(data: Any, spec: Spec) -> None:
    """Layers exist, hold real numbers, and the genes have distinct names.

    Raises
    ------
    KeyError, TypeError, ValueError
    """
    for modality, adata in parts(data, spec):
        layer, owner = spec.layers[modality], "adata" if modality is None else f"mdata[{modality!r}]"
        if layer is not None and layer not in adata.layers:
            found = [name for name in adata.layers if name is not None]
            near = did_you_mean(layer, found) or PLACES.get(layer, "").format(owner)
            raise KeyError(f"layer: {layer!r} is not in {owner}.layers; found {found}{near}.")
        if layer is None and adata.X is None:
            raise ValueError(f"layer: {owner}.X is empty; name the layer that holds the expression.")
        if adata.var_names.has_duplicates:
            twice = adata.var_names[adata.var_names.duplicated()].unique()[:5].tolist()
            raise ValueError(f"{owner}: gene names {twice} occur more than once; run {owner}.var_names_make_unique().")
    for (modality, _), matrix in zip(parts(data, spec), matrices(data, spec), strict=True):
        if np.dtype(matrix.dtype).kind not in "fiub":
            raise TypeError(
                f"layer: {locate(spec.layers[modality], modality)} has dtype {matrix.dtype}, expected numbers."
            )


def check_control(frame: pd.DataFrame, spec: Spec) -> None:
    """Cells without any drug exist; their doses are ignored, with a warning where there are several, as of a drug.

    Raises
    ------
    ValueError
    """
    untreated = np.ones(len(frame), bool)
    found: set[str] = set()
    for column in spec.perturbation:
        labels = as_labels(frame[column], "perturbation_key", drugs=True)
        untreated &= labels == spec.control
        found |= set(labels)
    if not untreated.any():
        raise ValueError(f"control: no cell has {spec.control!r} in {_why_no_control(frame, spec, found)}")
    for name, dose in zip(spec.perturbation, spec.dose, strict=False):
        absent = as_labels(frame[name], "perturbation_key", drugs=True) == spec.control
        given = np.nan_to_num(read_numbers(frame[dose], doses=True)[absent])
        if len(levels := np.unique(given[given != 0])) > 1:  # one value fills the column, or is the volume of a vehicle
            warn_user(
                f"dose_key: {(given != 0).sum()} row(s) labelled {spec.control!r} have {len(levels)} doses in column {dose!r}, such as "
                f"{levels[:2].tolist()}; doses of controls are ignored. Is {spec.control!r} a drug?"
            )


def _why_no_control(frame: pd.DataFrame, spec: Spec, found: set[str]) -> str:
    """Where it was looked for, what was found, names of controls first, and what to do."""
    columns = list(spec.perturbation)
    if spec.control in found:
        holders = [c for c in columns if (frame[c].astype(str) == spec.control).any()]
        beside = frame[(frame[holders].astype(str) == spec.control).all(axis=1)]
        pair = {c: str(beside[c].iloc[0]) for c in columns} if len(beside) else {}
        return (
            f"all of {columns}, only in some of them, such as {pair or holders}. In every column that label means that there is no drug: "
            "write it there too where a cell got none."
        )
    names = sorted(found, key=lambda name: (not reads_like_control(name), name))
    where = f"column {columns[0]!r}" if len(columns) == 1 else f"any of {columns}"
    return f"{where}; found {names[:10]}{did_you_mean(spec.control, found)}. A causal model needs untreated cells; name their label."


def check_contexts(contexts: Contexts, spec: Spec) -> None:
    """Replicates that tell the spread of single cells, in each context or in others, and untreated cells in each baseline group; few warn.

    Raises
    ------
    ValueError
    """
    design, table = contexts.design, contexts.table
    with_control = set(design.group[design.control])
    lone = [name for c, name in enumerate(design.group_names) if c not in with_control]
    if lone:
        arguments = sorted({spec.arguments[c] for c in spec.covariates})
        raise ValueError(
            f"{' and '.join(arguments)}: {len(lone)} group(s) have no control cells: {lone[:5]}. Each group has a "
            "baseline of its own, which untreated cells tell: drop those cells, or leave the column out."
        )
    n_cells = table["n_cells"].to_numpy()
    if (untreated := n_cells[design.control].sum()) < FEWEST_CONTROLS:
        warn_user(
            f"control: {untreated} cell(s) (or wells) labelled {spec.control!r} in all; expected at least {FEWEST_CONTROLS}. Every drug is "
            "read against them, so that few targets can be called; is another label of controls left out?"
        )
    replicates = int((n_cells - 1).sum())
    if (n_cells < 2).any() and replicates < FEWEST_REPLICATES:
        row = table[n_cells < 2].iloc[0].drop("n_cells").to_dict()
        raise ValueError(
            f"perturbation_key: {(n_cells < 2).sum()} context(s) have one cell (or well), such as {row}, and there are {replicates} "
            f"cells beyond the first of their context in all; expected at least {FEWEST_REPLICATES}, such as replicates of the controls, "
            "by which the spread of single cells is known for all contexts. Leave out keys that split replicates (batch_key, "
            f"categorical_covariate_keys), or drop such contexts: n = adata.obs.groupby({list(spec.columns)}, observed=True)"
            f"[{spec.perturbation[0]!r}].transform('size'); adata = adata[n.to_numpy() >= 2].copy()."
        )
    if not len(design.drugs):
        raise ValueError(
            f"perturbation_key: all cells are labelled {spec.control!r}; expected at least one drug in "
            f"{list(spec.perturbation)}."
        )


def check_expression(data: Any, spec: Spec, contexts: Contexts) -> Summary:
    """All values finite, and every gene varies within contexts; one pass over the cells.

    Raises
    ------
    ValueError
    """
    genes = gene_names(data, spec)
    where = " and ".join(locate(spec.layers[m], m) for m, _ in parts(data, spec))
    summary = summarise(Cells(data, spec, contexts.index), len(contexts.table))
    if summary.n_bad:
        raise ValueError(
            f"layer: {where} holds NaN or infinite values, the first in gene {genes[summary.bad_gene]!r}; replace them "
            "or drop those cells or genes."
        )
    flat = np.flatnonzero((summary.low == summary.high) | (summary.within <= 0))
    if len(flat):
        raise ValueError(
            f"layer: {len(flat)} gene(s) have no variance in {where}: {[genes[j] for j in flat[:5]]}. Drop them: "
            "adata = adata[:, keep].copy(), or choose genes with scgim.pp.select_genes."
        )
    return summary


def check_numeric_covariates(frame: pd.DataFrame, spec: Spec) -> None:
    """Continuous covariates and size factors are finite numbers, size factors positive.

    Raises
    ------
    TypeError, ValueError
    """
    for column in [*spec.continuous, *([spec.size_factor] if spec.size_factor else [])]:
        argument = spec.arguments[column]
        values = read_numbers(frame[column], argument)
        if not np.isfinite(values).all():
            raise ValueError(
                f"{argument}: column {column!r} holds missing or infinite values; impute them or drop cells."
            )
        if column == spec.size_factor and (values <= 0).any():
            raise ValueError(f"{argument}: expected positive numbers in column {column!r}, found {values.min()}.")
        if column in spec.continuous and np.ptp(values) == 0:
            raise ValueError(f"{argument}: column {column!r} is constant; leave it out.")


def validate(data: Any, spec: Spec) -> tuple[Contexts, Features | None, Summary]:
    """All checks of set-up, cheap ones first; nothing is written.

    Returns
    -------
    Contexts, features and summary of the expression.
    """
    check_matrices(data, spec)
    frame = read_columns(data, spec)
    check_control(frame, spec)
    check_labels(frame, spec)
    contexts = derive_contexts(frame, spec)
    check_contexts(contexts, spec)
    check_numeric_covariates(frame, spec)
    features = read_features(data, spec.features, contexts)
    return contexts, features, check_expression(data, spec, contexts)
