"""Hill curves of effects over dose, shared by drugs where data are few (layer `_core`).

effect(dose) = amplitude * dose^n / (ec50^n + dose^n), zero at dose zero. The curve of the published simulations has
this form :cite:p:`schneider2025`; learning it, shared and per drug, is not from the paper.
"""

from __future__ import annotations

import numpy as np
from scipy.optimize import minimize

SLOPES = np.exp(np.linspace(np.log(0.5), np.log(8.0), 13))
SPREADS = (0.02, 0.1, 0.25, 0.5, 1.0)  # of log ec50 and log slope between drugs


def hill(dose: np.ndarray, ec50: np.ndarray | float, slope: np.ndarray | float) -> np.ndarray:
    """Fraction of the full effect at a dose; 0 at dose 0, and 1 for every dose where ec50 is 0."""
    dose = np.asarray(dose, dtype=float)
    with np.errstate(divide="ignore", invalid="ignore"):
        out = 1.0 / (1.0 + (np.asarray(ec50) / dose) ** np.asarray(slope))
    return np.where(dose > 0, np.nan_to_num(out), 0.0)


def rank_one_log_density(
    r: np.ndarray, e: np.ndarray, h: np.ndarray, slab2: float, deviation2: float = 0.0
) -> np.ndarray:
    """Log density ratio of "on" along curves against "off".

    Parameters
    ----------
    r, e
        ``(M, L)``; residual means at L doses and their variances.
    h
        ``(T, L)``; T curves.
    slab2
        Variance of amplitudes.
    deviation2
        Variance of the deviations from the curve at full effect.

    Returns
    -------
    ``(M, T)``.
    """
    e2 = e[:, None, :] + deviation2 * h**2  # (M, T, L)
    a = (h * r[:, None, :] / e2).sum(axis=2)
    b = (h**2 / e2).sum(axis=2) + 1 / slab2
    on = -0.5 * (np.log(e2) + r[:, None, :] ** 2 / e2).sum(axis=2) + 0.5 * a**2 / b - 0.5 * np.log(b * slab2)
    return on + 0.5 * (np.log(e) + r**2 / e).sum(axis=1)[:, None]


def curve_grid(dose: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Grid of log ec50 and log slope ``(T,)`` each, from a tenth of the lowest to ten times the highest dose."""
    positive = dose[dose > 0]
    ec50 = np.exp(np.linspace(np.log(positive.min() / 10), np.log(positive.max() * 10), 41))
    grid = np.meshgrid(np.log(ec50), np.log(SLOPES), indexing="ij")
    return grid[0].ravel(), grid[1].ravel()


def fit_curves(
    pairs: list[tuple[int, np.ndarray, np.ndarray, np.ndarray]], n_drugs: int, slab2: float, deviation2: float
) -> tuple[np.ndarray, np.ndarray, float]:
    """Ec50 and slope of each drug, drawn together by a Gaussian on the logarithms whose width is learned.

    Parameters
    ----------
    pairs
        One entry for each drug and target: drug, doses ``(L,)``, residual means ``(L,)``, variances ``(L,)``.
    n_drugs
        Number of drugs D.
    slab2, deviation2
        Variance of amplitudes and of deviations.

    Returns
    -------
    ec50 ``(D,)``, slope ``(D,)``, and the log evidence.
    """
    if not pairs:
        return np.zeros(n_drugs), np.ones(n_drugs), 0.0
    log_ec50, log_slope = curve_grid(np.concatenate([p[1] for p in pairs]))
    loglik = np.zeros((n_drugs, len(log_ec50)))
    for drug, dose, r, e in pairs:
        h = hill(dose, np.exp(log_ec50)[:, None], np.exp(log_slope)[:, None])  # (T, L)
        loglik[drug] += rank_one_log_density(r[None], e[None], h, slab2, deviation2)[0]
    informed = np.unique([p[0] for p in pairs])
    best = (-np.inf, 0, SPREADS[0])
    centre = int(loglik.sum(axis=0).argmax())
    for spread in SPREADS:
        for _ in range(5):
            prior = _log_prior(log_ec50, log_slope, centre, spread)
            post = loglik[informed] + prior
            value = float(_logsumexp(post).sum())
            if value > best[0]:
                best = (value, centre, spread)
            weight = np.exp(post - _logsumexp(post)[:, None])
            new = np.argmin(
                (log_ec50 - (weight @ log_ec50).mean()) ** 2 + (log_slope - (weight @ log_slope).mean()) ** 2
            )
            if int(new) == centre:
                break
            centre = int(new)
    evidence, centre, spread = best
    prior = _log_prior(log_ec50, log_slope, centre, spread)
    post = loglik + prior
    if spread == SPREADS[0]:  # one curve for all
        shared = _polish(pairs, slab2, deviation2, np.array([log_ec50[centre], log_slope[centre]]))
        return np.full(n_drugs, np.exp(shared[0])), np.full(n_drugs, np.exp(shared[1])), evidence
    weight = np.exp(post - _logsumexp(post)[:, None])
    return np.exp(weight @ log_ec50), np.exp(weight @ log_slope), evidence


def _polish(
    pairs: list[tuple[int, np.ndarray, np.ndarray, np.ndarray]], slab2: float, deviation2: float, start: np.ndarray
) -> np.ndarray:
    """Log ec50 and log slope of a curve shared by all drugs, between the points of the grid."""

    def cost(at: np.ndarray) -> float:
        total = 0.0
        for _, dose, r, e in pairs:
            h = hill(dose, np.exp(at[0]), np.exp(at[1]))[None]
            total -= float(rank_one_log_density(r[None], e[None], h, slab2, deviation2)[0, 0])
        return total

    step = np.array([[0.0, 0.0], [0.05, 0.0], [0.0, 0.1]])
    found = minimize(cost, start, method="Nelder-Mead", options={"initial_simplex": start + step, "xatol": 1e-3})
    return found.x


def _log_prior(log_ec50: np.ndarray, log_slope: np.ndarray, centre: int, spread: float) -> np.ndarray:
    away = (log_ec50 - log_ec50[centre]) ** 2 + (log_slope - log_slope[centre]) ** 2
    log = -0.5 * away / spread**2
    return log - _logsumexp(log[None])[0]


def _logsumexp(a: np.ndarray) -> np.ndarray:
    top = a.max(axis=1)
    return top + np.log(np.exp(a - top[:, None]).sum(axis=1))
