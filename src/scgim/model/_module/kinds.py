"""Kinds of intervention as training needs them: densities, effects, targets of a regression, losses (layer `model`).

The twins of the kinds of `scgim._core.kinds` that are learned beside mechanisms that are trained.
"""

from typing import Protocol

import numpy as np
import torch

from scgim.model._module.residuals import NO_CELLS, SMALLEST_NOISE, Expectation, Residuals

PULL = 20.0  # cells by which the noise of a cut gene is drawn towards that of its mechanism


class TrainedKind(Protocol):
    """What the expectation step and the loss ask of a kind of intervention.

    Notes
    -----
    Cells, residuals, effects and noise are in standard deviations of a gene, variances in their squares, log densities in nats.
    """

    name: str  # that of the kind
    reads_genes: bool  # whether it needs the means of the genes themselves, beside those of the residuals
    first_factor: float  # factor of the prior of targets with which the published estimator begins

    def branches(self, stats: Residuals, state: Expectation, background2: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Log density of every context where the gene is not a target, and where it is, ``(K, M)`` each."""

    def rest(self, stats: Residuals, state: Expectation, control: np.ndarray) -> np.ndarray:
        """Log density of the cells around the means of their contexts, as far as `branches` leave it out, ``(M,)``."""

    def intact(self, probability: np.ndarray) -> np.ndarray:
        """Share of each context's cells that follow the mechanism."""

    def baseline_weight(self, state: Expectation, off: np.ndarray) -> np.ndarray:
        """Weight of each context in the baseline, given the variance `off` of its residual without a target."""

    def own_noise(self, stats: Residuals, state: Expectation, noise: np.ndarray) -> np.ndarray:
        """Variance ``(M,)`` of a target's cells around their mean, given that of the mechanism's noise."""

    def effect(self, stats: Residuals, state: Expectation) -> np.ndarray:
        """Posterior mean of the effect given a target, ``(K, M)``."""

    def size(self, stats: Residuals, state: Expectation) -> np.ndarray:
        """Estimate of the effect from which the size of all effects is learned, ``(K, M)``."""

    def regression_target(self, probability: torch.Tensor, effect: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        """What is taken off the cells of each context before the mechanism is fitted, and their weight."""

    def listening(self, target: torch.Tensor) -> torch.Tensor | None:
        """How far targets still follow their mechanisms; None where all do."""

    def nll(
        self,
        z: torch.Tensor,
        error: torch.Tensor,
        target: torch.Tensor,
        effect: torch.Tensor,
        log_noise: torch.Tensor,
        own_variance: torch.Tensor,
    ) -> torch.Tensor:
        """Negative log-likelihood ``(n, G)`` of cells z that the mechanisms leave with an error, expected under `target`, in nats."""


class ShiftTwin:
    """A shift adds to the mechanism: residuals of targets have means that are wider by the size of effects."""

    name = "shift"
    reads_genes = False
    first_factor = 2.0

    def branches(self, stats: Residuals, state: Expectation, background2: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """``N(r; 0, v / n + omega^2)`` and ``N(r; 0, v / n + omega^2 + tau^2)``."""
        evidence = state.evidence
        off_var = evidence.noise / np.maximum(stats.n, NO_CELLS) + background2
        on_var = off_var + state.prior.effect_sd**2
        off = -0.5 * (np.log(off_var) + evidence.residual**2 / off_var)
        return off, -0.5 * (np.log(on_var) + evidence.residual**2 / on_var)

    def rest(self, stats: Residuals, state: Expectation, control: np.ndarray) -> np.ndarray:
        """All cells have the noise of the mechanism."""
        return -0.5 * stats.freedom.sum(axis=0) * np.log(state.evidence.noise)

    def intact(self, probability: np.ndarray) -> np.ndarray:
        """All of them."""
        return np.ones_like(probability)

    def baseline_weight(self, state: Expectation, off: np.ndarray) -> np.ndarray:
        """Precision of the mean, with the effect of a target unknown."""
        q = state.probability
        return (1 - q) / off + q / (off + state.prior.effect_sd**2)

    def own_noise(self, stats: Residuals, state: Expectation, noise: np.ndarray) -> np.ndarray:
        """Not read."""
        return state.own_noise

    def effect(self, stats: Residuals, state: Expectation) -> np.ndarray:
        """The residual, shrunk."""
        slab2 = state.prior.effect_sd**2
        return state.evidence.residual * slab2 / (slab2 + state.evidence.error)

    def size(self, stats: Residuals, state: Expectation) -> np.ndarray:
        """The residual."""
        return state.evidence.residual

    def regression_target(self, probability: torch.Tensor, effect: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        """Expected effects are taken off."""
        return probability * effect, torch.ones_like(probability)

    def listening(self, target: torch.Tensor) -> torch.Tensor | None:
        """All do."""
        return None

    def nll(
        self,
        z: torch.Tensor,
        error: torch.Tensor,
        target: torch.Tensor,
        effect: torch.Tensor,
        log_noise: torch.Tensor,
        own_variance: torch.Tensor,
    ) -> torch.Tensor:
        """``(error - target effect)^2 / 2 v + log sqrt v``."""
        return 0.5 * (error - target * effect).square() * torch.exp(-2 * log_noise) + log_noise


class HardTwin:
    """A hard intervention cuts the mechanism: cells of targets have a mean and a noise of their own."""

    name = "hard"
    reads_genes = True
    first_factor = 0.25  # a hard target that is not tried early is never found

    def branches(self, stats: Residuals, state: Expectation, background2: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Of residuals around their mean where the mechanism is intact, of the gene around its own where it is cut."""
        evidence, n = state.evidence, np.maximum(stats.n, NO_CELLS)
        off_var = evidence.noise / n + background2
        off = -0.5 * (np.log(off_var) + evidence.residual**2 / off_var)
        own = stats.own_mean - stats.own_centre
        on_var = state.own_noise / n + state.prior.effect_sd**2
        on = -0.5 * (np.log(on_var) + own**2 / on_var)
        off = off - 0.5 * (stats.freedom * np.log(evidence.noise) + stats.scatter / evidence.noise)
        return off, on - 0.5 * (stats.freedom * np.log(state.own_noise) + stats.own_scatter / state.own_noise)

    def rest(self, stats: Residuals, state: Expectation, control: np.ndarray) -> np.ndarray:
        """Cells of controls follow their mechanisms."""
        noise = state.evidence.noise
        return -0.5 * (stats.freedom[control] * np.log(noise) + stats.scatter[control] / noise).sum(axis=0)

    def intact(self, probability: np.ndarray) -> np.ndarray:
        """Those of no target."""
        return 1 - probability

    def baseline_weight(self, state: Expectation, off: np.ndarray) -> np.ndarray:
        """Precision of the mean where the mechanism is intact."""
        return (1 - state.probability) / off

    def own_noise(self, stats: Residuals, state: Expectation, noise: np.ndarray) -> np.ndarray:
        """Of the cells of targets, drawn towards that of the mechanism."""
        q = state.probability
        spread = (q * stats.own_scatter).sum(axis=0) + PULL * noise
        return np.maximum(spread / ((q * stats.freedom).sum(axis=0) + PULL), SMALLEST_NOISE)

    def effect(self, stats: Residuals, state: Expectation) -> np.ndarray:
        """The mean of the gene, shrunk towards that over all contexts."""
        slab2, centre = state.prior.effect_sd**2, stats.own_centre
        shrink = slab2 / (slab2 + state.own_noise / np.maximum(stats.n, NO_CELLS))
        return centre + shrink * (stats.own_mean - centre)

    def size(self, stats: Residuals, state: Expectation) -> np.ndarray:
        """The mean of the gene, from that over all contexts."""
        return stats.own_mean - stats.own_centre

    def regression_target(self, probability: torch.Tensor, effect: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        """Cells of targets count less."""
        return torch.zeros_like(probability), 1 - probability

    def listening(self, target: torch.Tensor) -> torch.Tensor | None:
        """Those that are no targets."""
        return 1 - target

    def nll(
        self,
        z: torch.Tensor,
        error: torch.Tensor,
        target: torch.Tensor,
        effect: torch.Tensor,
        log_noise: torch.Tensor,
        own_variance: torch.Tensor,
    ) -> torch.Tensor:
        """Of the mechanism where it is intact, of the value ``N(effect, own_variance)`` where it is cut."""
        intact = 0.5 * error.square() * torch.exp(-2 * log_noise) + log_noise
        cut = 0.5 * (z - effect).square() / own_variance + 0.5 * own_variance.log()
        return (1 - target) * intact + target * cut


TRAINED: dict[str, TrainedKind] = {kind.name: kind for kind in (ShiftTwin(), HardTwin())}
"""The twins by the names of their kinds."""
