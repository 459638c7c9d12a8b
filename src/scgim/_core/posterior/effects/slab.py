"""Distribution of effects at targets: a mixture of Gaussians, learned (layer `_core`; not from the paper).

One Gaussian around zero, or one for each sign where effects keep clear of zero, with a wide one that keeps surprising
effects possible. Components are rows of weight, mean and variance.
"""

import numpy as np

BROAD_WEIGHT = 0.05  # mass of the wide component
N_STEPS = 20
FEWEST = 8  # effects that show whether they keep clear of zero
LEAST_SPREAD = 0.1  # of effects of one sign, relative to their mean


def single_slab(variance: float) -> np.ndarray:
    """One Gaussian around zero, (1, 3)."""
    return np.array([[1.0, 0.0, variance]])


def gap_slab(up: float, level: float, variance: float, second_moment: float) -> np.ndarray:
    """One Gaussian a sign, at `level` up and down with weight `up` on positive effects, and a wide one; (3, 3)."""
    kept = 1 - BROAD_WEIGHT
    return np.array(
        [[up * kept, level, variance], [(1 - up) * kept, -level, variance], [BROAD_WEIGHT, 0.0, 2 * second_moment]]
    )


def learn_slab(effects: np.ndarray, tau2: float) -> np.ndarray:
    """Components of the distribution of known effects, by BIC.

    Parameters
    ----------
    effects
        (n,) effects at targets.
    tau2
        Their second moment.
    """
    if len(effects) < FEWEST:
        return single_slab(tau2)
    size, up = np.abs(effects), (effects > 0).mean()
    up = np.clip(up, 1 / len(effects), 1 - 1 / len(effects))
    gap = gap_slab(up, size.mean(), max(size.var(), (LEAST_SPREAD * size.mean()) ** 2), tau2)
    zero = np.zeros_like(effects)
    bic = [-2 * log_mixture(effects, zero, s).sum() for s in (single_slab(tau2), gap)]
    return gap if bic[1] + 2 * np.log(len(effects)) < bic[0] else single_slab(tau2)


def learn_hidden_slab(estimate: np.ndarray, variance: np.ndarray, p_target: np.ndarray, tau2: float) -> np.ndarray:
    """Components of the distribution of effects where it is not known which genes are targets, by BIC.

    Estimates of all genes count, not only those of clear targets: small effects would hide among the others, so a gap
    around zero is believed only where too few estimates lie in it.

    Parameters
    ----------
    estimate, variance
        (D, G) least-squares estimates of the effects, and their sampling variances.
    p_target
        (G,) prior probability of a target.
    tau2
        Second moment of effects, of the single Gaussian.
    """
    none = log_mixture(estimate, variance, single_slab(1e-12))
    off = np.log1p(-p_target) + none

    def fit(slab: np.ndarray) -> tuple[np.ndarray, float]:
        on = np.log(p_target) + log_mixture(estimate, variance, slab)
        both = np.logaddexp(off, on)
        return np.exp(on - both), float(both.sum())

    single = single_slab(tau2)
    rho, plain = fit(single)
    if rho.sum() < FEWEST:
        return single
    size = np.abs(estimate)
    best, score = single, -np.inf
    for _ in range(N_STEPS):
        total = rho.sum()
        up = float(np.clip((rho * (estimate > 0)).sum() / total, 1 / total, 1 - 1 / total))
        level = float((rho * size).sum() / total)
        spread = float((rho * ((size - level) ** 2 - variance)).sum() / total)
        slab = gap_slab(up, level, max(spread, (LEAST_SPREAD * level) ** 2), tau2)
        rho, value = fit(slab)
        if value < score + 1e-3:
            break
        best, score = slab, value
    return best if score - np.log(max(rho.sum(), 1.0)) > plain else single


def log_mixture(mean: np.ndarray, variance: np.ndarray, slab: np.ndarray) -> np.ndarray:
    """Log of the slab's density, blurred by a Gaussian of the given variance; shape of `mean`."""
    spread = variance[..., None] + slab[:, 2]
    parts = np.log(slab[:, 0]) - 0.5 * np.log(2 * np.pi * spread) - 0.5 * (mean[..., None] - slab[:, 1]) ** 2 / spread
    return np.logaddexp.reduce(parts, axis=-1)


def tilted_moments(mean: np.ndarray, variance: np.ndarray, slab: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Mean and variance of slab x Gaussian likelihood N(.; mean, variance), elementwise."""
    spread = variance[..., None] + slab[:, 2]
    parts = np.log(slab[:, 0]) - 0.5 * np.log(spread) - 0.5 * (mean[..., None] - slab[:, 1]) ** 2 / spread
    weight = np.exp(parts - parts.max(-1, keepdims=True))
    weight /= weight.sum(-1, keepdims=True)
    each_var = variance[..., None] * slab[:, 2] / spread
    each = (mean[..., None] * slab[:, 2] + slab[:, 1] * variance[..., None]) / spread
    first = (weight * each).sum(-1)
    return first, (weight * (each_var + each**2)).sum(-1) - first**2
