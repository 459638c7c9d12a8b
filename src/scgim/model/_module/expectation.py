"""Closed-form expectation step: targets and effects given the residuals of the mechanisms (layer `model`).

Not from the paper, which samples interventions with Gumbel noise. For gene j and context k the residual mean r is
Gaussian: ``N(0, v / n + omega^2)`` where the gene is not a target, ``tau^2`` wider where it is; the contexts of a drug
share the choice. Under hard interventions a target's cells leave the mechanism: they have their own mean, integrated
out, and their own variance (`scgim.model._module.kinds`). The background omega, learned for each gene, keeps a misfit
from becoming a target.
"""

from dataclasses import replace

import numpy as np

from scgim._core.arrays import sum_by
from scgim._core.posterior.evidence import Evidence
from scgim._core.structure.prior import Prior
from scgim.model._module.kinds import TrainedKind
from scgim.model._module.residuals import NO_CELLS, SMALLEST_NOISE, Expectation, Residuals

BACKGROUNDS = np.array([0.0, 0.01, 0.02, 0.04, 0.07, 0.1, 0.14, 0.2, 0.3, 0.45])
FEWEST_TARGETS, MOST_TARGETS = 0.2, 0.5  # a drug in all, and of each gene: bounds of the prior
SMALLEST_EFFECT, LARGEST_EFFECT = 0.05, 25.0  # variances of effects that the prior allows for


def _branches(
    kind: TrainedKind, stats: Residuals, state: Expectation, drug_set: np.ndarray, background2: np.ndarray
) -> tuple[np.ndarray, np.ndarray]:
    """Log densities of each drug set, off and on, up to the same constants: two ``(U, M)``."""
    n, seen = int(drug_set.max(initial=-1)) + 1, stats.n > 0
    off, on = kind.branches(stats, state, background2)
    return sum_by(np.where(seen, off, 0), drug_set, n), sum_by(np.where(seen, on, 0), drug_set, n)


def _regroup(
    kind: TrainedKind, stats: Residuals, state: Expectation, drug_set: np.ndarray, group: np.ndarray
) -> Expectation:
    """Baselines and variances given the probabilities of targets; controls define the baseline, without background."""
    q, n, old = state.probability, np.maximum(stats.n, NO_CELLS), state.evidence
    background2 = state.prior.background_sd**2 * (drug_set >= 0)[:, None]  # (K, M)
    weight = np.where(stats.n > 0, kind.baseline_weight(state, old.noise / n + background2), 0)
    baseline = np.zeros_like(old.baseline)
    for c in range(len(baseline)):
        w = weight[group == c]
        baseline[c] = (w * stats.mean[group == c]).sum(axis=0) / np.maximum(w.sum(axis=0), 1e-12)
    stays = kind.intact(q)
    noise = (stays * stats.scatter).sum(axis=0) / np.maximum((stays * stats.freedom).sum(axis=0), 1)
    own_noise = kind.own_noise(stats, state, noise)
    noise = np.maximum(noise, SMALLEST_NOISE)
    evidence = replace(
        old, baseline=baseline, noise=noise, residual=stats.mean - baseline[group], error=noise / n + background2
    )
    return replace(state, evidence=evidence, own_noise=own_noise)


def _weigh(kind: TrainedKind, stats: Residuals, state: Expectation, drug_set: np.ndarray) -> Expectation:
    """Probabilities, effects and score given baselines and variances."""
    prior = state.prior
    off, on = _branches(kind, stats, state, drug_set, prior.background_sd**2)
    off, on = off + np.log1p(-prior.p_target), on + np.log(prior.p_target)
    total = np.logaddexp(off, on)
    q = np.exp(on - total)  # (U, M)
    probability = np.where(drug_set[:, None] >= 0, q[drug_set] if len(q) else 0.0, 0.0)
    score = total.sum(axis=0) + kind.rest(stats, state, drug_set < 0)
    evidence = replace(state.evidence, log_odds=on - off, score=score)
    return replace(state, evidence=evidence, probability=probability, effect=kind.effect(stats, state))


def _learn_prior(kind: TrainedKind, stats: Residuals, state: Expectation, drug_set: np.ndarray) -> Prior:
    """Empirical Bayes for the share of targets, the size of effects, and the background of each gene."""
    old, n_sets = state.prior, int(drug_set.max(initial=-1)) + 1
    if n_sets == 0:
        return old
    contexts = sum_by(np.ones((len(drug_set), 1)), drug_set, n_sets)
    q = sum_by(state.probability, drug_set, n_sets) / np.maximum(contexts, 1)  # (U, M)
    M = q.shape[1]
    p = float(np.clip((q.sum() + 1.0) / (q.size + M / 2.0), FEWEST_TARGETS / M, MOST_TARGETS))
    size, weight = kind.size(stats, state), state.probability.sum()
    slab2 = (state.probability * np.maximum(size**2 - state.evidence.error, 0)).sum() / max(weight, NO_CELLS)
    slab2 = float(np.clip(slab2, SMALLEST_EFFECT, LARGEST_EFFECT))
    effect_sd = np.full(M, np.sqrt(slab2)) if weight > 1 else old.effect_sd
    prior = replace(old, p_target=np.full(M, p), effect_sd=effect_sd)
    value = np.zeros((len(BACKGROUNDS), M))
    trial = replace(state, prior=prior)
    for b, omega in enumerate(BACKGROUNDS):
        off, on = _branches(kind, stats, trial, drug_set, np.full(M, omega**2))
        value[b] = np.logaddexp(off + np.log1p(-p), on + np.log(p)).sum(axis=0)
    pooled = value.mean(axis=1, keepdims=True) * min(5.0, M)
    return replace(prior, background_sd=BACKGROUNDS[(value + pooled).argmax(axis=0)])


def expectation(
    stats: Residuals,
    drug_set: np.ndarray,
    group: np.ndarray,
    prior: Prior,
    kind: TrainedKind,
    *,
    learn_prior: bool = True,
    probability: np.ndarray | None = None,
    n_steps: int = 4,
) -> Expectation:
    """Targets, effects, baselines and noise given the sums of the residuals.

    Parameters
    ----------
    stats
        Sums over the cells, of K contexts and M mechanisms.
    drug_set
        ``(K,)``; contexts that share targets, -1 for controls.
    group
        ``(K,)``; contexts that share a baseline.
    prior
        To start from.
    kind
        Of the interventions.
    learn_prior
        Whether the prior is learned.
    probability
        ``(K, M)``; probabilities to start from.
    n_steps
        Alternations.
    """
    K, M = stats.n.shape
    control = drug_set < 0
    q = np.where(control, 0.0, 0.5)[:, None] + np.zeros((K, M)) if probability is None else probability
    start = np.maximum(stats.scatter.sum(axis=0) / np.maximum(stats.freedom.sum(axis=0), 1), SMALLEST_NOISE)
    zero = np.zeros((K, M))
    odds = np.zeros((int(drug_set.max(initial=-1)) + 1, M))
    evidence = Evidence(np.zeros((int(group.max()) + 1, M)), start, zero, zero + 1, odds, np.zeros(M))
    state = Expectation(evidence, q, zero, start.copy(), prior, stats.own_mean, stats.own_variance)
    for step in range(n_steps):
        state = _weigh(kind, stats, _regroup(kind, stats, state, drug_set, group), drug_set)
        if learn_prior and step >= 1:
            state = replace(state, prior=_learn_prior(kind, stats, state, drug_set))
    return _weigh(kind, stats, _regroup(kind, stats, state, drug_set, group), drug_set)
