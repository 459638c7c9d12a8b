"""Choice among feature maps, and their calibration, by cross-validation over drugs (layer `_core`; not from the paper)."""

from __future__ import annotations

import itertools
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from scipy.optimize import brentq
from scipy.special import expit, logit

from scgim._core.effects import Effects
from scgim._core.state import savable

Propagate = Callable[[np.ndarray], np.ndarray]
MAPS = ("none", "forward", "backward")
DEPENDENT = 0.005  # p value at which features count as dependent on the interventions
FEW = 12  # with fewer drugs, five pairs can be exchanged in only 32 ways
PARTS = np.linspace(0, 1, 11)  # of the population's mean effect
LIKELY, SURE = 1.0, 2.0  # standard errors by which an error has to be less
LARGEST_SHARE = 0.98  # of the error of the population, that features may leave
N_FOLDS = 5
MOST_WIDER = 10.0  # factor of standard deviations


@savable
@dataclass(frozen=True)
class Choice:
    """Result of cross-validation."""

    weights: dict[str, float]  # weight of each map, summing to 1
    shrink: float  # factor of the population's mean effect: 0 predicts no effect where nothing is known
    # mean error of the held-out drugs' mean changes for each map, for no change ("control") and for the choice
    score: dict[str, float]
    informative: bool  # whether the features beat the population


def folds(n_drugs: int, rng: np.random.Generator) -> list[np.ndarray]:
    """Random folds of at least two drugs, so that held-out drugs can be exchanged."""
    return np.array_split(rng.permutation(n_drugs), max(min(N_FOLDS, n_drugs // 2), 1))


def dependence(log: list[np.ndarray], rng: np.random.Generator, *, n_permutations: int = 4000) -> float:
    """P value of "features and interventions are independent", by exchanging the drugs held out together.

    Parameters
    ----------
    log
        One (m, m) array a fold: log density of the features of drug i under the intervention of drug j, by a map
        learned without either.
    """
    observed = sum(float(np.trace(part)) for part in log)
    drawn = np.zeros(n_permutations)
    for part in log:
        order = rng.permuted(np.tile(np.arange(len(part)), (n_permutations, 1)), axis=1)
        drawn += part[np.arange(len(part)), order].sum(1)
    return float((drawn >= observed - 1e-9 * abs(observed)).mean())


def choose(
    shifts: dict[str, np.ndarray],
    truth: np.ndarray,
    contexts: list[np.ndarray],
    propagate: Propagate,
    *,
    p_value: dict[str, float] | None = None,
) -> Choice:
    """Choose weights of the maps by the error of the mean changes that they predict for held-out drugs.

    Parameters
    ----------
    shifts
        For each map, (D, G) expected saturating effects of drugs that it has not seen.
    truth
        (D, G) fitted effects.
    contexts
        Dose factors of each drug's contexts.
    propagate
        Mean change of all genes under shifts (n, G).
    p_value
        Of "features and interventions are independent", by the map that the test is made with, see :func:`dependence`
        and `forward_dependence`. With few drugs, many targets of a held-out drug are targets of no other, and the error
        says little; these tests still tell whether a map holds.
    """
    errors = _Errors(truth, contexts, propagate)
    shrink = _shrinkage(shifts["none"], errors)
    names = [name for name in MAPS if name in shifts]
    changes = {name: errors.change(shift * (shrink if name == "none" else 1.0)) for name, shift in shifts.items()}
    single = {name: errors.of(changes[name]) for name in names}
    score = {name: float(error.mean()) for name, error in single.items()}
    holds = _holding(p_value or {}, single, len(truth))
    best = min(names, key=lambda name: score[name])
    if holds:
        first = min(holds, key=lambda name: score[name])
        best = best if _clearly_less(single[best], single[first], SURE) else first
    weights, error = {name: float(name == best) for name in names}, single[best]
    mixed, mixed_error = _best_mixture(names, changes, errors)
    if _clearly_less(mixed_error, error, SURE if holds else LIKELY):
        weights, error = mixed, mixed_error
    gain = _clearly_less(error, single["none"], SURE) and error.mean() < LARGEST_SHARE * score["none"]
    informative = bool(holds or (weights["none"] < 1 and gain))
    if not informative:
        weights, error = {name: float(name == "none") for name in names}, single["none"]
    control = float(errors.of(np.zeros_like(errors.target)).mean())
    return Choice(weights, shrink, {"control": control} | score | {"chosen": float(error.mean())}, informative)


class _Errors:
    """Mean changes of the contexts of each drug, and the errors with which they are predicted."""

    def __init__(self, truth: np.ndarray, contexts: list[np.ndarray], propagate: Propagate) -> None:
        self.drug = np.repeat(np.arange(len(truth)), [len(c) for c in contexts])  # (n,)
        self.factor = np.concatenate(contexts)[:, None]  # (n, 1) of the dose
        self.size = np.bincount(self.drug, minlength=len(truth))  # (D,) contexts
        self.propagate = propagate
        self.target = self.change(truth)

    def change(self, shift: np.ndarray) -> np.ndarray:
        """Mean changes ``(n, G)`` by saturating effects ``(D, G)``."""
        return np.asarray(self.propagate(shift[self.drug] * self.factor), float)

    def of(self, predicted: np.ndarray) -> np.ndarray:
        """Mean distance of predicted changes ``(n, G)``, of each drug that has contexts."""
        distance = np.linalg.norm(predicted - self.target, axis=1)
        total = np.bincount(self.drug, distance, len(self.size))
        return (total / np.maximum(self.size, 1))[self.size > 0]


def _shrinkage(population: np.ndarray, errors: _Errors) -> float:
    """Factor of the population's mean effect with the least error; 0 where it is not clearly better than no effect."""
    by_factor = [errors.of(errors.change(by * population)) for by in PARTS]
    best = int(np.argmin([error.mean() for error in by_factor]))
    return float(PARTS[best]) if _clearly_less(by_factor[best], by_factor[0], LIKELY) else 0.0


def _holding(p_value: dict[str, float], error: dict[str, np.ndarray], n_drugs: int) -> list[str]:
    """Maps whose features depend on the interventions, and that are not clearly worse than the population."""
    level = {"backward": DEPENDENT if n_drugs >= FEW else 1.1 / 32, "forward": DEPENDENT}
    depends = [name for name, p in p_value.items() if name in error and p < level[name]]
    return [name for name in depends if not _clearly_less(error["none"], error[name], SURE)]


def _best_mixture(
    names: list[str], changes: dict[str, np.ndarray], errors: _Errors
) -> tuple[dict[str, float], np.ndarray]:
    """Weights of the maps with the least error, in tenths, and the errors of the drugs."""
    best: tuple[dict[str, float], np.ndarray] | None = None
    stacked = np.stack([changes[name] for name in names])
    for parts in itertools.product(range(11), repeat=len(names)):
        if sum(parts) != 10:
            continue
        error = errors.of(np.tensordot(np.array(parts) / 10, stacked, 1))
        if best is None or error.mean() < best[1].mean():
            best = {m: p / 10 for m, p in zip(names, parts, strict=True)}, error
    if best is None:
        raise ValueError("shifts: expected at least one map, found none.")
    return best


def _clearly_less(a: np.ndarray, b: np.ndarray, errors: float) -> bool:
    """Whether the mean of a - b is negative by some standard errors."""
    gain = b - a
    return bool(gain.mean() > errors * gain.std(ddof=1) / np.sqrt(len(gain))) if len(gain) > 1 else False


def calibrate_effects(
    held: Effects, amplitude: np.ndarray, amplitude_sd: np.ndarray, on: np.ndarray, *, called: bool = True
) -> float:
    """Factor of the effects' standard deviations from held-out drugs, at least 1: robust spread of the errors.

    Parameters
    ----------
    held
        Posterior of held-out drugs.
    amplitude, amplitude_sd, on
        (D, G) fitted effects, their standard deviations, and targets.
    called
        Whether only targets count that the posterior calls targets, too.
    """
    both = on & (held.probability > 0.5) if called else on
    if both.sum() < 8:
        return 1.0
    error, read, fitted = np.abs(held.mean - amplitude)[both], held.sd[both] ** 2, amplitude_sd[both] ** 2

    def beyond(factor: float) -> float:
        z = error / np.sqrt(factor**2 * read + fitted)  # only what was read is known less well
        return max(float(np.quantile(z, 0.68)), float(np.quantile(z, 0.9)) / 1.645) - 1

    if beyond(1.0) <= 0:
        return 1.0
    return float(brentq(beyond, 1.0, MOST_WIDER)) if beyond(MOST_WIDER) < 0 else MOST_WIDER


def calibrate_targets(
    held: np.ndarray, fitted: np.ndarray, prior: np.ndarray | float = 0.5, *, label_noise: float = 0.02
) -> float:
    """Temperature of the evidence for targets, from held-out drugs; 1 unless the likelihood clearly rises, see :func:`soften`.

    Parameters
    ----------
    held, fitted
        (D, G) held-out and fitted probabilities.
    prior
        Probability of a target before features are read, (G,) or one.
    label_noise
        Share of fitted targets that may be wrong, so that one of them does not soften everything.
    """
    rate = fitted.mean()

    def loss(temperature: float) -> float:
        p = (1 - label_noise) * soften(held, temperature, prior) + label_noise * rate
        return float(-(fitted * np.log(p) + (1 - fitted) * np.log1p(-p)).sum())

    options = (1.0, 1.5, 2.0)
    losses = [loss(t) for t in options]
    best = int(np.argmin(losses))
    return options[best] if losses[best] < losses[0] - 2 else 1.0


def soften(probability: np.ndarray, temperature: float, prior: np.ndarray | float = 0.5) -> np.ndarray:
    """Divide the evidence, the log odds less those of the prior, by a temperature; what is no evidence stays."""
    before = logit(prior)
    p = np.clip(probability, 1e-9, 1 - 1e-9)
    return expit(before + (logit(p) - before) / temperature)
