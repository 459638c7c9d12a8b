"""The truth that `scgim.datasets.simulate` stores, read back: more cells and the means of any context."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

import numpy as np

from scgim.datasets._simulator.disturbance import CellState, Disturbance, read_disturbance
from scgim.datasets._simulator.drugs import ACTIONS
from scgim.datasets._simulator.mechanisms import read_mechanisms
from scgim.datasets._simulator.systems import System, sample


def read_system(truth: Mapping[str, Any]) -> System:
    """The simulated system in ``adata.uns["truth"]``."""
    return System(
        graph=np.asarray(truth["graph"], bool),
        weights=np.asarray(truth["weights"], float),
        order=np.asarray(truth["order"], int),
        baseline=np.atleast_2d(np.asarray(truth["baseline"], float)),
        noise_sd=np.asarray(truth["noise_sd"], float),
        mechanisms=read_mechanisms(truth),
    )


def read_interventions(truth: Mapping[str, Any]) -> dict[str, np.ndarray]:
    """What drugs do, and the background: arguments ``shift``, ``value`` or ``activity`` of the sampler, (K, G) each."""
    targets, effects = np.asarray(truth["targets"], bool), np.asarray(truth["effects"], float)
    background = np.asarray(truth.get("background", np.zeros_like(effects)), float)
    if "disturbance" in truth:  # which then holds the background, as it acts on all cells
        background = np.zeros_like(effects)
    done = ACTIONS[truth["intervention"]].sample(targets, effects)
    return done | {"shift": done.get("shift", 0.0) + background}


def draw(
    truth: Mapping[str, Any], row: np.ndarray, rng: np.random.Generator, system: System | None = None
) -> tuple[np.ndarray, CellState]:
    """Fresh cells of the contexts in `row` (n,): expression (n, G) and what the cells have of their own."""
    disturbance = read_disturbance(truth)
    state = disturbance.draw(row, rng)
    group = np.asarray(truth["contexts"]["group"], int)[row]
    system = read_system(truth) if system is None else system
    x = sample(system, group, row, rng, **read_interventions(truth), disturbance=disturbance, state=state)
    if disturbance.measured_sd is not None:
        x = x + disturbance.measured_sd * rng.normal(size=x.shape)
    return x, state


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
    row = np.repeat(np.asarray(contexts, int), n_cells)
    return draw(truth, row, np.random.default_rng(rng))[0]


def true_means(truth: Mapping[str, Any], contexts: Any, n_cells: int = 2000, rng: int = 0) -> np.ndarray:
    """Mean expression of contexts, (M, G): exact if the mechanisms are linear, else over `n_cells` drawn cells each."""
    contexts = np.asarray(contexts, int)
    if truth["mechanism"] != "linear":
        return np.stack([draw_cells(truth, [k], n_cells, rng).mean(0) for k in contexts])
    system, do, disturbance = read_system(truth), read_interventions(truth), read_disturbance(truth)
    if disturbance.responding is None:
        return _linear_means(system, contexts, truth, do, disturbance, responds=True)
    share = disturbance.responding[contexts, None]
    responders, others = (
        _linear_means(system, contexts, truth, do, disturbance, responds=who) for who in (True, False)
    )
    return share * responders + (1 - share) * others


def _linear_means(
    system: System,
    contexts: np.ndarray,
    truth: Mapping[str, Any],
    do: Mapping[str, np.ndarray],
    disturbance: Disturbance,
    *,
    responds: bool,
) -> np.ndarray:
    """Exact means (M, G) of cells that all respond to their drugs, or of cells that do not: cells without noise."""
    still = replace(system, noise_sd=np.zeros_like(system.noise_sd))
    hidden = None if disturbance.hidden_mean is None else disturbance.hidden_mean[contexts]
    state = CellState(hidden, np.full(len(contexts), responds))
    group = np.asarray(truth["contexts"]["group"], int)[contexts]
    return sample(still, group, contexts, np.random.default_rng(0), **do, disturbance=disturbance, state=state)
