"""The truth that `scgim.datasets.simulate` stores, read back: more cells and the means of any context."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np

from scgim.datasets._systems import System, sample


def read_system(truth: Mapping[str, Any]) -> System:
    """The simulated system in ``adata.uns["truth"]``."""
    return System(
        graph=np.asarray(truth["graph"], bool),
        weights=np.asarray(truth["weights"], float),
        order=np.asarray(truth["order"], int),
        baseline=np.atleast_2d(np.asarray(truth["baseline"], float)),
        noise_sd=np.asarray(truth["noise_sd"], float),
        network={k: np.asarray(v) for k, v in truth.get("network", {}).items()},
    )


def read_interventions(truth: Mapping[str, Any]) -> dict[str, np.ndarray]:
    """Arguments ``shift``, ``value`` or ``activity`` of the sampler, (K, G) each."""
    kind, targets, effects = (
        truth["intervention"],
        np.asarray(truth["targets"], bool),
        np.asarray(truth["effects"], float),
    )
    background = np.asarray(truth.get("background", np.zeros_like(effects)), float)
    if kind == "hard":
        return {"value": np.where(targets, effects, np.nan), "shift": background}
    if kind == "activity":
        return {"activity": effects, "shift": background}
    return {"shift": effects + background}


def draw_cells(truth: Mapping[str, Any], contexts: Any, n_cells: int, rng: int | np.random.Generator = 0) -> np.ndarray:
    """Fresh cells of contexts of the truth, (len(contexts) * n_cells, G), before counting and dropout.

    Parameters
    ----------
    truth
        ``adata.uns["truth"]``.
    contexts
        Rows of ``truth["contexts"]``, (M,) int.
    n_cells
        Cells drawn from each, in blocks.
    rng
        Seed or generator.
    """
    contexts = np.asarray(contexts, int)
    row = np.repeat(contexts, n_cells)
    group = np.asarray(truth["contexts"]["group"], int)[row]
    return sample(read_system(truth), group, row, np.random.default_rng(rng), **read_interventions(truth))


def true_means(truth: Mapping[str, Any], contexts: Any, n_cells: int = 2000, rng: int = 0) -> np.ndarray:
    """Mean expression of contexts, (M, G): exact if the mechanisms are linear, else over `n_cells` drawn cells each."""
    contexts = np.asarray(contexts, int)
    if truth["mechanism"] != "linear":
        return np.stack([draw_cells(truth, [k], n_cells, rng).mean(0) for k in contexts])
    system, do = read_system(truth), read_interventions(truth)
    group = np.asarray(truth["contexts"]["group"], int)
    mean = np.zeros((len(contexts), len(system.order)))
    seen = np.zeros_like(mean)
    for j in system.order:
        mean[:, j] = system.baseline[group[contexts], j] + system.signal(j, seen) + do["shift"][contexts, j]
        if "value" in do:
            fixed = do["value"][contexts, j]
            mean[:, j] = np.where(np.isnan(fixed), mean[:, j], fixed)
        seen[:, j] = mean[:, j] * (1 + do["activity"][contexts, j]) if "activity" in do else mean[:, j]
    return mean
