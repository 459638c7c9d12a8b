"""Simulated drugs, dose response, and features of contexts; numpy only."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

EC50, HILL = 0.75, 4.0  # of every drug; from the paper


@dataclass(frozen=True)
class Action:
    """What drugs of a kind of intervention do to their targets."""

    size: tuple[float, float]  # of effects at saturation
    # from targets and effects (K, G) to arguments of the sampler
    sample: Callable[[np.ndarray, np.ndarray], dict[str, np.ndarray]]
    relative: bool = False  # whether effects take a share, at most all, of what children hear: these are what is seen

    def possible(self, graph: np.ndarray) -> np.ndarray:
        """Genes that may be targets: those with children, if there are any, where these are what is seen."""
        heard = graph.any(1)
        return np.flatnonzero(heard) if self.relative and heard.any() else np.arange(len(graph))


ACTIONS = {
    "shift": Action((2.0, 6.0), lambda targets, effects: {"shift": effects}),
    "hard": Action((2.0, 6.0), lambda targets, effects: {"value": np.where(targets, effects, np.nan)}),
    "activity": Action((0.5, 1.0), lambda targets, effects: {"activity": effects}, relative=True),  # not from the paper
}


def dose_response(dose: np.ndarray) -> np.ndarray:
    """Fraction of the effect at saturation: 1 / (1 + (0.75 / dose)^4), zero at dose zero :cite:p:`schneider2025`."""
    power = np.asarray(dose, float) ** HILL
    return power / (power + EC50**HILL)


def random_drugs(
    n_drugs: int,
    graph: np.ndarray,
    intervention: str,
    max_targets: int,
    rng: np.random.Generator,
    size: tuple[float, float] | None = None,
) -> np.ndarray:
    """Effects at saturation, (D, G), zero where the gene is not a target; 1 to `max_targets` targets a drug.

    Their sizes lie between the two numbers of `size`; None is what `ACTIONS` says.
    """
    action = ACTIONS[intervention]
    low, high = action.size if size is None else size
    effect, possible = np.zeros((n_drugs, len(graph))), action.possible(graph)
    for d in range(n_drugs):
        chosen = rng.choice(possible, size=min(len(possible), int(rng.integers(1, max_targets + 1))), replace=False)
        sign = -1.0 if action.relative else rng.choice([-1.0, 1.0], len(chosen))
        effect[d, chosen] = sign * rng.uniform(low, high, len(chosen))
    return effect


def line_effects(effect: np.ndarray, n_lines: int, sd: float, rng: np.random.Generator) -> np.ndarray:
    """Effects at saturation of each cell line, (L, D, G), around those of the drugs (D, G); targets are the same."""
    return effect + np.where(effect != 0, rng.normal(0, sd, (n_lines, *effect.shape)), 0.0)


def principal_components(targets: np.ndarray, effects: np.ndarray, fitted: np.ndarray, n_features: int) -> np.ndarray:
    """Principal components of the intervention parameters (I, psi) of contexts :cite:p:`schneider2025`.

    Parameters
    ----------
    targets, effects
        (K, G) each.
    fitted
        Contexts on which the components are fitted, (K,) bool.
    n_features
        Number Q of components; fewer are returned if the fitted contexts have fewer.

    Returns
    -------
    (K, Q).
    """
    table = np.hstack([np.asarray(targets, float), effects])  # (K, 2 G)
    mean = table[fitted].mean(0)
    _, size, axes = np.linalg.svd(table[fitted] - mean, full_matrices=False)
    n_features = min(n_features, int((size > 1e-10 * max(size[0], 1e-300)).sum()))
    axes = axes[:n_features]
    axes *= np.where(axes[np.arange(n_features), np.abs(axes).argmax(1)] < 0, -1.0, 1.0)[:, None]  # fixed signs
    return (table - mean) @ axes.T


def projection(effect: np.ndarray, n_features: int, rng: np.random.Generator) -> np.ndarray:
    """Random linear projection (D, Q) of the drugs' effects (D, G); not from the paper."""
    return effect @ rng.normal(0, n_features**-0.5, (effect.shape[1], n_features))


def hidden_rule(
    table: np.ndarray,
    graph: np.ndarray,
    intervention: str,
    max_targets: int,
    rng: np.random.Generator,
    size: tuple[float, float] | None = None,
    n_axes: int = 5,
) -> np.ndarray:
    """Effects at saturation (D, G) that follow from the drugs' features (D, Q) by a hidden rule; not from the paper.

    The features' first principal axes are mixed at random into one score a gene. The genes with the largest scores are the
    targets, 1 to `max_targets` by how large the scores are; sign and size of the effect follow the score.
    """
    action = ACTIONS[intervention]
    low, high = action.size if size is None else size
    centred = table - table.mean(0)
    u, strengths, _ = np.linalg.svd(centred, full_matrices=False)
    n_axes = min(n_axes, int((strengths > 1e-8 * max(strengths[0], 1e-300)).sum()))
    if n_axes == 0:
        raise ValueError("features: expected rows that differ between drugs, found the same row for all.")
    axes = u[:, :n_axes] * len(table) ** 0.5  # (D, n_axes), unit variance
    score = axes @ rng.normal(0, n_axes**-0.5, (n_axes, len(graph)))
    score[:, np.setdiff1d(np.arange(len(graph)), action.possible(graph))] = 0
    strength = np.abs(score)
    rank = np.argsort(-strength, axis=1)
    effect = np.zeros_like(score)
    for d in range(len(table)):
        enough = strength[d, rank[d, :max_targets]] >= 0.75 * strength[d, rank[d, 0]]
        for j in rank[d, :max_targets][enough]:
            sign = -1.0 if action.relative else np.sign(score[d, j])
            effect[d, j] = sign * (low + (high - low) * np.clip((strength[d, j] - 1) / 2, 0, 1))
    return effect
