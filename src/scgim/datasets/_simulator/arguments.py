"""Checks of the arguments of `scgim.datasets.simulate`, before anything is drawn."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import pandas as pd

from scgim.datasets._simulator.drugs import ACTIONS
from scgim.datasets._simulator.fault import check_faults
from scgim.datasets._simulator.mechanisms import ACTIVATIONS, CURVES

GRAPHS = ("erdos_renyi", "scale_free")
CHOICES = {
    "mechanism": ("linear", "neural", *CURVES),
    "activation": tuple(ACTIVATIONS),
    "intervention": tuple(ACTIONS),
    "noise": ("gaussian", "counts", "zero_inflated_lognormal"),
    "features": ("principal_components", "projection", "noise"),
}


def check(settings: dict[str, Any]) -> None:
    """Refuse arguments that do not go with each other, or are no numbers or names that are known."""
    features = settings["features"]
    if isinstance(features, pd.DataFrame):
        _check_table(features, settings)
    elif not isinstance(features, str) or features not in CHOICES["features"]:
        raise ValueError(f"features: expected one of {list(CHOICES['features'])} or a DataFrame, found {features!r}.")
    if settings["max_targets"] > settings["n_genes"]:
        raise ValueError(f"max_targets: expected a number between 1 and n_genes, found {settings['max_targets']}.")
    if settings["cell_line_effect_sd"] > 0 and (
        settings["n_cell_lines"] < 2 or ACTIONS[settings["intervention"]].relative
    ):
        raise ValueError(
            "cell_line_effect_sd: expected 0 with one cell line or intervention='activity', found "
            f"{settings['cell_line_effect_sd']}."
        )
    _check_doses(settings)
    if isinstance(settings["graph"], str) and settings["graph"] not in GRAPHS:
        raise ValueError(f"graph: expected one of {list(GRAPHS)} or a matrix, found {settings['graph']!r}.")
    if not isinstance(settings["graph"], str):
        settings["graph"] = _as_matrix(settings["graph"])
    shape = np.shape(settings["graph"])
    if not isinstance(settings["graph"], str) and shape != (settings["n_genes"],) * 2:
        raise ValueError(f"graph: expected shape (n_genes, n_genes) = {(settings['n_genes'],) * 2}, found {shape}.")
    possible = settings["n_drugs"] * (settings["n_drugs"] - 1) // 2
    if settings["n_pairs"] > possible:
        raise ValueError(
            f"n_pairs: expected at most {possible}, the pairs of n_drugs drugs, found {settings['n_pairs']}."
        )
    if not settings["dropout"] < settings["zeros"] < 1:
        raise ValueError(
            f"dropout and zeros: expected 0 <= dropout < zeros < 1, found {settings['dropout']} and {settings['zeros']}."
        )
    _check_sizes(settings)
    check_faults(settings["faults"], settings)
    if settings["n_control"] < 2 * settings["n_batches"]:
        raise ValueError(f"n_control: expected at least 2 for each of the n_batches, found {settings['n_control']}.")


def _as_matrix(graph: Any) -> np.ndarray:
    """A graph as an array of finite numbers or booleans."""
    if hasattr(graph, "obs_names"):
        raise TypeError(f"graph: expected a name or a (G, G) array of numbers, found {type(graph).__name__}.")
    try:
        values = (
            np.asarray(graph.toarray() if hasattr(graph, "toarray") else graph) if np.iterable(graph) else np.zeros(0)
        )
        values = values if values.dtype.kind in "biuf" else values.astype(float)
    except (TypeError, ValueError) as error:
        raise TypeError(
            f"graph: expected a name or a (G, G) array of numbers, found {type(graph).__name__}."
        ) from error
    if not np.isfinite(values).all():
        raise ValueError("graph: expected finite numbers or booleans, found NaN or infinite values.")
    return values


def _check_sizes(settings: dict[str, Any]) -> None:
    """Sizes of effects."""
    size: Any = settings["effect_size"]
    if size is not None and not (
        isinstance(size, list | tuple | np.ndarray)
        and np.ndim(size) == 1
        and np.iterable(size)
        and all(isinstance(v, int | float | np.number) for v in size)
    ):
        raise TypeError(f"effect_size: expected two positive numbers, found {size!r}.")
    if size is not None and not (len(size) == 2 and 0 < size[0] <= size[1] < np.inf):
        raise ValueError(f"effect_size: expected two positive numbers in ascending order, found {size!r}.")
    if ACTIONS[settings["intervention"]].relative and size is not None and size[1] > 1:
        raise ValueError(f"effect_size: expected at most 1 with intervention='activity', found {size!r}.")


def _check_doses(settings: dict[str, Any]) -> None:
    """Doses are positive numbers, and there are some."""
    for name in ("doses", "new_doses"):
        if isinstance(settings[name], str) or not isinstance(settings[name], Sequence | np.ndarray):
            raise TypeError(f"{name}: expected a list of numbers, found {type(settings[name]).__name__}.")
        try:
            values = np.asarray(settings[name], float)
        except (TypeError, ValueError) as error:
            raise TypeError(f"{name}: expected a list of numbers, found {settings[name]!r}.") from error
        if values.ndim != 1 or not np.all(values > 0) or not np.all(np.isfinite(values)):
            raise ValueError(f"{name}: expected positive, finite numbers, found {settings[name]!r}.")
    if len(settings["doses"]) == 0:
        raise ValueError("doses: expected at least one dose, found none.")


def _check_table(table: pd.DataFrame, settings: dict[str, Any]) -> None:
    """Features of drugs given as a table."""
    needed = settings["n_drugs"] + settings["n_new_drugs"]
    if len(table) < needed:
        raise ValueError(
            f"features: expected a row for each of n_drugs + n_new_drugs = {needed} drugs, found {len(table)}."
        )
    if not table.index.is_unique or table.index.isna().any() or "control" in table.index:
        raise ValueError("features: expected distinct names of drugs as index, none of them 'control'.")
    if not all(pd.api.types.is_numeric_dtype(kind) or pd.api.types.is_bool_dtype(kind) for kind in table.dtypes):
        raise ValueError("features: expected numbers only; turn SMILES into numbers with scgim.pp.fingerprints.")
    if not np.all(np.isfinite(table.to_numpy(float))):
        raise ValueError("features: expected finite numbers, found NaN or infinite values.")


def drug_names(settings: dict[str, Any]) -> list[str]:
    """drug_01, drug_02, ..., new drugs last."""
    n = settings["n_drugs"] + settings["n_new_drugs"]
    return [f"drug_{d + 1:0{len(str(n))}d}" for d in range(n)]


def gene_names(n_genes: int) -> list[str]:
    """gene_01, gene_02, ..."""
    return [f"gene_{g + 1:0{len(str(n_genes))}d}" for g in range(n_genes)]
