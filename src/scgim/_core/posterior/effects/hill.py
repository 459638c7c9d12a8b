"""Hill curves of effects over dose, shared by drugs where data are few (layer `_core`).

effect(dose) = amplitude * dose^n / (ec50^n + dose^n), zero at dose zero. The curve of the published simulations has
this form :cite:p:`schneider2025`; learning it, shared and per drug, is not from the paper.
"""

from typing import NamedTuple

import numpy as np
from scipy.optimize import minimize

SLOPES = np.exp(np.linspace(np.log(0.5), np.log(8.0), 13))
FARTHEST_SLOPE = 2.0  # how many times beyond the grid the slope of a shared curve may lie
SPREADS = (0.02, 0.1, 0.25, 0.5, 1.0)  # of log ec50 and log slope between drugs
LOCAL_POINTS = 21  # of each axis of the finer grid
WIDE = np.array([2.0, 1.0])  # prior standard deviation of a shared curve's log ec50 and log slope
STEP = np.array([0.02, 0.04])  # of log ec50 and log slope in the second differences

CHUNK = 1_000_000  # values held at once


class Pair(NamedTuple):
    """A drug and one of its targets."""

    drug: int
    dose: np.ndarray  # (L,)
    residual: np.ndarray  # (L,) means
    error: np.ndarray  # (L,) variances


class Alike(NamedTuple):
    """P pairs with the same doses."""

    drug: np.ndarray  # (P,)
    dose: np.ndarray  # (L,)
    residual: np.ndarray  # (P, L)
    error: np.ndarray  # (P, L)
    offset2: np.ndarray  # (P,)


class CurveFit(NamedTuple):
    """Dose curves of D drugs."""

    # (D,) parameters
    ec50: np.ndarray
    slope: np.ndarray
    evidence: float  # log evidence
    axes: np.ndarray  # (2, D, 2) principal axes of the posterior of (log ec50, log slope), one standard deviation long


def hill(dose: np.ndarray, ec50: np.ndarray | float, slope: np.ndarray | float) -> np.ndarray:
    """Fraction of the full effect at a dose; 0 at dose 0, and 1 for every dose where ec50 is 0."""
    dose = np.asarray(dose, dtype=float)
    with np.errstate(divide="ignore", invalid="ignore", over="ignore"):
        out = 1.0 / (1.0 + (np.asarray(ec50) / dose) ** np.asarray(slope))
    return np.where(dose > 0, np.nan_to_num(out), 0.0)


def rank_one_log_density(
    r: np.ndarray,
    e: np.ndarray,
    h: np.ndarray,
    slab2: float,
    deviation2: float = 0.0,
    offset2: np.ndarray | float = 0.0,
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
    offset2
        ``(M,)``; variance of what is added to all L means alike.

    Returns
    -------
    ``(M, T)``.
    """
    e2 = e[:, None, :] + deviation2 * h**2  # (M, T, L)
    a = (h * r[:, None, :] / e2).sum(axis=2)
    b = (h**2 / e2).sum(axis=2) + 1 / slab2
    log_on = -0.5 * (np.log(e2) + r[:, None, :] ** 2 / e2).sum(axis=2)
    log_off = -0.5 * (np.log(e) + r**2 / e).sum(axis=1)[:, None]
    if np.any(offset2):  # rank one
        o2, known = np.reshape(offset2, (-1, 1)), (1 / e2).sum(axis=2)
        gain, sum_h, sum_r = o2 / (1 + o2 * known), (h / e2).sum(axis=2), (r[:, None, :] / e2).sum(axis=2)
        a, b = a - gain * sum_h * sum_r, b - gain * sum_h**2
        log_on = log_on + 0.5 * (gain * sum_r**2 - np.log1p(o2 * known))
        known, sum_r = ((x / e).sum(axis=1)[:, None] for x in (np.ones_like(e), r))
        log_off = log_off + 0.5 * (o2 / (1 + o2 * known) * sum_r**2 - np.log1p(o2 * known))
    return log_on + 0.5 * a**2 / b - 0.5 * np.log(b * slab2) - log_off


def curve_grid(dose: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Grid of log ec50 and log slope ``(T,)`` each, from a tenth of the lowest to ten times the highest dose."""
    positive = dose[dose > 0]
    ec50 = np.exp(np.linspace(np.log(positive.min() / 10), np.log(positive.max() * 10), 41))
    grid = np.meshgrid(np.log(ec50), np.log(SLOPES), indexing="ij")
    return grid[0].ravel(), grid[1].ravel()


def fit_curves(
    pairs: list[Pair], n_drugs: int, slab2: float, deviation2: float, offset2: np.ndarray | None = None
) -> CurveFit:
    """Ec50 and slope of each drug, drawn together by a Gaussian on the logarithms whose width is learned.

    Parameters
    ----------
    slab2, deviation2
        Variance of amplitudes and of deviations.
    offset2
        ``(P,)``; variance of what is added to all means of a pair alike; none by default.
    """
    if not pairs:
        return CurveFit(np.zeros(n_drugs), np.ones(n_drugs), 0.0, np.zeros((2, n_drugs, 2)))
    groups = _grouped(pairs, np.zeros(len(pairs)) if offset2 is None else offset2)
    grid = curve_grid(np.concatenate([pair.dose for pair in pairs]))
    loglik = _by_drug(groups, n_drugs, grid, slab2, deviation2)
    informed = np.unique([pair.drug for pair in pairs])
    evidence, centre, spread = _centre_and_spread(loglik[informed], *grid)
    middle = np.array([grid[0][centre], grid[1][centre]])
    if spread == SPREADS[0]:  # one curve for all
        shared = _polish(groups, slab2, deviation2, middle, _bounds(*grid))
        axes = _axes(_curvature(groups, slab2, deviation2, shared))
        ec50, slope = np.exp(shared)
        return CurveFit(
            np.full(n_drugs, ec50), np.full(n_drugs, slope), evidence, np.repeat(axes[:, None], n_drugs, axis=1)
        )
    if spread < SPREADS[3]:  # narrower than a few steps of the grid
        offset = np.linspace(-4 * spread, 4 * spread, LOCAL_POINTS)
        mesh = np.meshgrid(middle[0] + offset, middle[1] + offset, indexing="ij")
        grid = mesh[0].ravel(), mesh[1].ravel()
        loglik = _by_drug(groups, n_drugs, grid, slab2, deviation2)
    at = np.stack(grid, axis=1)  # (T, 2)
    post = loglik - 0.5 * ((at - middle) ** 2).sum(axis=1) / spread**2
    weight = np.exp(post - _logsumexp(post)[:, None])  # (D, T)
    mean = weight @ at
    away = at - mean[:, None]  # (D, T, 2)
    cov = np.einsum("dt,dta,dtb->dab", weight, away, away)
    axes = np.stack([_axes(c) for c in cov], axis=1)
    return CurveFit(np.exp(mean[:, 0]), np.exp(mean[:, 1]), evidence, axes)


def _grouped(pairs: list[Pair], offset2: np.ndarray) -> list[Alike]:
    """Pairs with the same doses, stacked."""
    found: dict[tuple[float, ...], list[int]] = {}
    for i, pair in enumerate(pairs):
        found.setdefault(tuple(np.asarray(pair.dose, float)), []).append(i)
    out = []
    for dose, rows in found.items():
        drug, _, residual, error = zip(*(pairs[i] for i in rows), strict=True)
        out.append(Alike(np.array(drug), np.array(dose), np.stack(residual), np.stack(error), offset2[rows]))
    return out


def _by_drug(
    groups: list[Alike], n_drugs: int, grid: tuple[np.ndarray, np.ndarray], slab2: float, deviation2: float
) -> np.ndarray:
    """Log density ratio of each drug's targets along each curve of a grid, ``(D, T)``."""
    out = np.zeros((n_drugs, len(grid[0])))
    for drug, dose, r, e, offset2 in groups:
        with np.errstate(over="ignore"):  # flat curves lie along a ridge without end
            h = hill(dose, np.exp(grid[0])[:, None], np.exp(grid[1])[:, None])  # (T, L)
        size = max(1, CHUNK // h.size)
        for low in range(0, len(r), size):
            part = slice(low, low + size)
            each = rank_one_log_density(r[part], e[part], h, slab2, deviation2, offset2[part])
            np.add.at(out, drug[part], each)
    return out


def _centre_and_spread(loglik: np.ndarray, log_ec50: np.ndarray, log_slope: np.ndarray) -> tuple[float, int, float]:
    """Log evidence, point of the grid that curves gather around, and how widely."""
    best = (-np.inf, 0, SPREADS[0])
    centre = int(loglik.sum(axis=0).argmax())
    for spread in SPREADS:
        for _ in range(5):
            post = loglik + _log_prior(log_ec50, log_slope, centre, spread)
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
    return best


def _shared_cost(groups: list[Alike], slab2: float, deviation2: float, at: np.ndarray) -> np.ndarray:
    """Minus the log density ratio of all targets along shared curves with log parameters ``(T, 2)`` -> ``(T,)``."""
    one = [group._replace(drug=np.zeros_like(group.drug)) for group in groups]
    return -_by_drug(one, 1, (at[:, 0], at[:, 1]), slab2, deviation2)[0]


def _bounds(log_ec50: np.ndarray, log_slope: np.ndarray) -> np.ndarray:
    """Lowest and highest log ec50 and log slope ``(2, 2)`` of a shared curve: those of the grid, and slopes somewhat beyond.

    Where responses do not depend on the dose, or only start at the highest, any curve farther out fits them as well.
    """
    beyond = np.log(FARTHEST_SLOPE)
    return np.array([[log_ec50.min(), log_slope.min() - beyond], [log_ec50.max(), log_slope.max() + beyond]])


def _polish(groups: list[Alike], slab2: float, deviation2: float, start: np.ndarray, bounds: np.ndarray) -> np.ndarray:
    """Log ec50 and log slope of a curve shared by all drugs, between the points of the grid and within bounds."""
    step = np.array([[0.0, 0.0], [0.05, 0.0], [0.0, 0.1]])
    step = np.where(start + step > bounds[1], -step, step)
    found = minimize(
        lambda at: float(_shared_cost(groups, slab2, deviation2, at[None])[0]),
        start,
        method="Nelder-Mead",
        bounds=bounds.T,
        options={"initial_simplex": start + step, "xatol": 1e-3},
    )
    return found.x


def _curvature(groups: list[Alike], slab2: float, deviation2: float, at: np.ndarray) -> np.ndarray:
    """Covariance ``(2, 2)`` of a shared curve's logarithms, from second differences of the log density."""
    signs = np.array([[0, 0], [1, 0], [-1, 0], [0, 1], [0, -1], [1, 1], [-1, -1], [1, -1], [-1, 1]])
    f = _shared_cost(groups, slab2, deviation2, at + STEP * signs)
    cross = (f[5] + f[6] - f[7] - f[8]) / (4 * STEP[0] * STEP[1])
    hessian = np.array(
        [[(f[1] + f[2] - 2 * f[0]) / STEP[0] ** 2, cross], [cross, (f[3] + f[4] - 2 * f[0]) / STEP[1] ** 2]]
    )
    values, vectors = np.linalg.eigh(hessian)
    return np.linalg.inv((vectors * np.maximum(values, 0)) @ vectors.T + np.diag(1 / WIDE**2))


def _axes(cov: np.ndarray) -> np.ndarray:
    """Principal axes of a covariance ``(2, 2)``, one standard deviation long, in rows."""
    values, vectors = np.linalg.eigh(cov)
    return (vectors * np.sqrt(np.maximum(values, 0))).T


def _log_prior(log_ec50: np.ndarray, log_slope: np.ndarray, centre: int, spread: float) -> np.ndarray:
    away = (log_ec50 - log_ec50[centre]) ** 2 + (log_slope - log_slope[centre]) ** 2
    log = -0.5 * away / spread**2
    return log - _logsumexp(log[None])[0]


def _logsumexp(a: np.ndarray) -> np.ndarray:
    top = a.max(axis=1)
    return top + np.log(np.exp(a - top[:, None]).sum(axis=1))
