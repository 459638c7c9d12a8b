"""Closed-form expectation step: targets and effects given the residuals of the mechanisms (layer `model`).

Not from the paper, which samples interventions with Gumbel noise. For gene j and context k the residual mean r is
Gaussian: ``N(0, v / n + omega^2)`` where the gene is not a target, ``tau^2`` wider where it is; the contexts of a drug
share the choice. Under hard interventions a target's cells leave the mechanism: they have their own mean, integrated
out, and their own variance. The background omega, learned for each gene, keeps a misfit from becoming a target.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np

BACKGROUNDS = np.array([0.0, 0.01, 0.02, 0.04, 0.07, 0.1, 0.14, 0.2, 0.3, 0.45])


@dataclass
class Residuals:
    """Sums over cells; standardised units; all arrays ``(K, M)`` for K contexts and M mechanisms.

    ``first`` and ``second`` are sums of ``y - f(parents)`` and of its square, ``own_first`` and ``own_second`` of the
    gene ``y`` itself.
    """

    n: np.ndarray
    first: np.ndarray
    second: np.ndarray
    own_first: np.ndarray
    own_second: np.ndarray

    def __add__(self, other: Residuals) -> Residuals:
        return Residuals(*(getattr(self, k) + getattr(other, k) for k in self.__dataclass_fields__))

    @property
    def mean(self) -> np.ndarray:
        """Residual means."""
        return self.first / np.maximum(self.n, 1)

    @property
    def scatter(self) -> np.ndarray:
        """Sums of squares around the residual means."""
        return np.maximum(self.second - self.first**2 / np.maximum(self.n, 1), 0)

    @property
    def own_mean(self) -> np.ndarray:
        """Means of the genes."""
        return self.own_first / np.maximum(self.n, 1)

    @property
    def own_scatter(self) -> np.ndarray:
        """Sums of squares around the means of the genes."""
        return np.maximum(self.own_second - self.own_first**2 / np.maximum(self.n, 1), 0)


@dataclass
class Prior:
    """Prior of the interventions, learned along the way."""

    p_target: float
    slab2: float
    background_sd: np.ndarray  # (M,)

    @classmethod
    def default(cls, n_genes: int, n_models: int | None = None) -> Prior:
        """Two targets a drug, effects of one standard deviation, no background."""
        return cls(min(2.0 / max(n_genes, 4), 0.5), 1.0, np.zeros(n_genes if n_models is None else n_models))


@dataclass
class Expectation:
    """Posterior of the interventions given the mechanisms."""

    probability: np.ndarray  # (K, M), 0 for controls
    effect: np.ndarray  # (K, M), given a target
    baseline: np.ndarray  # (C, M)
    variance: np.ndarray  # (M,) of the noise
    own_variance: np.ndarray  # (M,) of hard targets
    residual: np.ndarray  # (K, M) means against the baseline
    error: np.ndarray  # (K, M) their variance without a target
    score: np.ndarray  # (M,) log marginal likelihood
    prior: Prior


def _by_unit(values: np.ndarray, unit: np.ndarray) -> np.ndarray:
    """Sums over the contexts of each unit: (K, M) -> (U, M)."""
    out = np.zeros((int(unit.max(initial=-1)) + 1, values.shape[1]))
    np.add.at(out, unit[unit >= 0], values[unit >= 0])
    return out


def _branches(
    stats: Residuals, state: Expectation, unit: np.ndarray, omega2: np.ndarray, *, hard: bool
) -> tuple[np.ndarray, np.ndarray]:
    """Log densities of each unit, off and on, up to the same constants: two (U, M)."""
    n = np.maximum(stats.n, 1e-9)
    off_var = state.variance / n + omega2
    off = -0.5 * (np.log(off_var) + state.residual**2 / off_var)
    if hard:
        own = stats.own_mean - own_centre(stats)
        on_var = state.own_variance / n + state.prior.slab2
        on = -0.5 * (np.log(on_var) + own**2 / on_var)
        off = off - 0.5 * (np.maximum(n - 1, 0) * np.log(state.variance) + stats.scatter / state.variance)
        on = on - 0.5 * (np.maximum(n - 1, 0) * np.log(state.own_variance) + stats.own_scatter / state.own_variance)
    else:
        on_var = off_var + state.prior.slab2
        on = -0.5 * (np.log(on_var) + state.residual**2 / on_var)
    seen = stats.n > 0
    return _by_unit(np.where(seen, off, 0), unit), _by_unit(np.where(seen, on, 0), unit)


def own_centre(stats: Residuals) -> np.ndarray:
    """Mean of each gene over contexts, ``(1, M)``: where the slab of hard interventions is centred."""
    return (stats.own_first.sum(axis=0) / np.maximum(stats.n.sum(axis=0), 1))[None]


def _regroup(stats: Residuals, state: Expectation, unit: np.ndarray, group: np.ndarray, *, hard: bool) -> Expectation:
    """Baselines and variances given the probabilities of targets; controls define the baseline, without background."""
    q, n = state.probability, np.maximum(stats.n, 1e-9)
    omega2 = state.prior.background_sd**2 * (unit >= 0)[:, None]  # (K, M)
    off_var = state.variance / n + omega2
    weight = np.where(stats.n > 0, (1 - q) / off_var + (0 if hard else q / (off_var + state.prior.slab2)), 0)
    baseline = np.zeros_like(state.baseline)
    for c in range(len(baseline)):
        w = weight[group == c]
        baseline[c] = (w * stats.mean[group == c]).sum(axis=0) / np.maximum(w.sum(axis=0), 1e-12)
    stays = 1 - q if hard else np.ones_like(q)
    dof = np.maximum(stats.n - 1, 0)
    variance = (stays * stats.scatter).sum(axis=0) / np.maximum((stays * dof).sum(axis=0), 1)
    own_variance = state.own_variance
    if hard:  # noise of hard targets: drawn towards that of the mechanism, by 20 cells
        own_variance = ((q * stats.own_scatter).sum(axis=0) + 20 * variance) / ((q * dof).sum(axis=0) + 20)
    variance = np.maximum(variance, 1e-6)
    residual = stats.mean - baseline[group]
    error = variance / n + omega2
    return replace(
        state,
        baseline=baseline,
        variance=variance,
        own_variance=np.maximum(own_variance, 1e-6),
        residual=residual,
        error=error,
    )


def _weigh(stats: Residuals, state: Expectation, unit: np.ndarray, *, hard: bool) -> Expectation:
    """Probabilities, effects and score given baselines and variances."""
    prior = state.prior
    off, on = _branches(stats, state, unit, prior.background_sd**2, hard=hard)
    off, on = off + np.log1p(-prior.p_target), on + np.log(prior.p_target)
    total = np.logaddexp(off, on)
    q = np.exp(on - total)
    probability = np.where(unit[:, None] >= 0, q[unit] if len(q) else 0.0, 0.0)
    n = np.maximum(stats.n, 1e-9)
    if hard:
        centre = own_centre(stats)
        shrink = prior.slab2 / (prior.slab2 + state.own_variance / n)
        effect = centre + shrink * (stats.own_mean - centre)
        score = total.sum(axis=0)
        control = unit < 0  # cells of controls follow their mechanisms
        dof = np.maximum(stats.n[control] - 1, 0)
        score = score - 0.5 * (dof * np.log(state.variance) + stats.scatter[control] / state.variance).sum(axis=0)
    else:
        effect = state.residual * prior.slab2 / (prior.slab2 + state.error)
        score = total.sum(axis=0) - 0.5 * np.maximum(stats.n - 1, 0).sum(axis=0) * np.log(state.variance)
    return replace(state, probability=probability, effect=effect, score=score)


def _learn_prior(stats: Residuals, state: Expectation, unit: np.ndarray, *, hard: bool) -> Prior:
    """Empirical Bayes for the share of targets, the size of effects, and the background of each gene."""
    units = _by_unit(np.ones((len(unit), 1)), unit)
    if len(units) == 0:
        return state.prior
    q = _by_unit(state.probability, unit) / np.maximum(units, 1)  # (U, M)
    M = q.shape[1]
    p = float(np.clip((q.sum() + 1.0) / (q.size + M / 2.0), 0.2 / M, 0.5))
    size = (stats.own_mean - own_centre(stats)) if hard else state.residual
    weight = state.probability.sum()
    slab2 = (state.probability * np.maximum(size**2 - state.error, 0)).sum() / max(weight, 1e-9)
    slab2 = float(np.clip(slab2, 0.05, 25.0)) if weight > 1 else state.prior.slab2
    value = np.zeros((len(BACKGROUNDS), M))
    trial = replace(state, prior=Prior(p, slab2, state.prior.background_sd))
    for b, omega in enumerate(BACKGROUNDS):
        off, on = _branches(stats, trial, unit, np.full(M, omega**2), hard=hard)
        value[b] = np.logaddexp(off + np.log1p(-p), on + np.log(p)).sum(axis=0)
    pooled = value.mean(axis=1, keepdims=True) * min(5.0, M)
    return Prior(p, slab2, BACKGROUNDS[(value + pooled).argmax(axis=0)])


def expectation(
    stats: Residuals,
    unit: np.ndarray,
    group: np.ndarray,
    prior: Prior,
    *,
    hard: bool = False,
    learn_prior: bool = True,
    probability: np.ndarray | None = None,
    n_steps: int = 4,
) -> Expectation:
    """Targets, effects, baselines and noise given the sums of the residuals.

    Parameters
    ----------
    stats
        Sums over the cells.
    unit
        ``(K,)``; contexts that share targets, -1 for controls.
    group
        ``(K,)``; contexts that share a baseline.
    prior
        To start from.
    hard
        Hard interventions instead of shifts.
    learn_prior
        Whether the prior is learned.
    probability
        ``(K, M)``; probabilities to start from.
    n_steps
        Alternations.
    """
    K, M = stats.n.shape
    control = unit < 0
    q = np.where(control, 0.0, 0.5)[:, None] + np.zeros((K, M)) if probability is None else probability
    start = np.maximum(stats.scatter.sum(axis=0) / np.maximum((stats.n - 1).clip(0).sum(axis=0), 1), 1e-6)
    zero = np.zeros((K, M))
    state = Expectation(
        q, zero, np.zeros((int(group.max()) + 1, M)), start, start.copy(), zero, zero + 1, np.zeros(M), prior
    )
    for step in range(n_steps):
        state = _weigh(stats, _regroup(stats, state, unit, group, hard=hard), unit, hard=hard)
        if learn_prior and step >= 1:
            state = replace(state, prior=_learn_prior(stats, state, unit, hard=hard))
    return _weigh(stats, _regroup(stats, state, unit, group, hard=hard), unit, hard=hard)
