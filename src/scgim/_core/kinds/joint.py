"""Shifts and changes of activity of one drug, chosen together (layer `_core`; not from the paper).

Given the graph, each gene has a shift and a change psi of its outgoing effects, and each child tells of its own shift
and of its parents' activities through its mean and its slopes: a linear Gaussian model, in which 2G variables compete
with exact evidence. Everything that a drug's contexts tell is one quadratic form.
"""

from dataclasses import dataclass
from typing import Any

import numpy as np
from scipy.special import log_ndtr

from scgim._core.kinds.activity import Children
from scgim._core.kinds.compiled import joint as kernels

N_STARTS = 6  # first variables from which the choice is climbed
MOST_STEPS = 200  # of a climb
N_SWEEPS = 20  # of Gibbs sampling, the first of which from the best choice
RARE = -8.0  # log odds below which a variable is not proposed
TINY = 1e-12
ACTIVITY = (-1.0, 1.0)  # of a change psi: outgoing effects are between none and twice what they were


@dataclass
class LocalForm:
    """What one gene tells in each context of its parents' activities and its own shift, background integrated out.

    ``variables`` (p+1,): psi of the parents, then G + j for the shift. ``square`` (K, p+1, p+1) and ``linear`` (K, p+1)
    of the quadratic form; ``evidence`` (K,) of the background, against none.
    """

    variables: np.ndarray
    square: np.ndarray
    linear: np.ndarray
    evidence: np.ndarray


def local_form(child: Children, j: int, edges: np.ndarray, own: np.ndarray) -> LocalForm:
    """Quadratic form of gene j.

    Parameters
    ----------
    child
        Sufficient statistics of gene j.
    edges, own
        ``(K, G)`` each; background variances of the changes of single effects of each gene, and of its shift.
    """
    K, p = len(child.residual), len(child.parents) + 1
    out = np.empty((K, p, p)), np.empty((K, p)), np.empty(K)
    told = child.within_square, child.within_linear, child.mean, child.residual, child.sampling
    kernels.tell(j, child.parents, *told, edges, own, *out)
    variables = np.empty(p, dtype=np.int64)
    variables[:-1], variables[-1] = child.parents, own.shape[1] + j
    return LocalForm(variables, *out)


def packed(forms: list[LocalForm]) -> tuple[np.ndarray, ...]:
    """Forms of all genes, one after the other: their numbers of variables ``(G,)``, these, ``square`` and ``linear``."""
    sizes = np.array([len(form.variables) for form in forms], dtype=np.int64)
    parts = [[form.variables for form in forms]]
    parts += [[form.square.reshape(-1) for form in forms], [form.linear.reshape(-1) for form in forms]]
    return sizes, *(np.concatenate(part) for part in parts)


def log_mass(mean: np.ndarray, variance: np.ndarray, lower: Any, upper: Any) -> np.ndarray:
    """Logarithm of the mass of normal distributions between two bounds; all arrays broadcast."""
    sd = np.sqrt(np.maximum(variance, TINY))
    low, high = (lower - mean) / sd, (upper - mean) / sd
    flip = low > 0  # both bounds above the mean: the other tail has the digits
    low, high = np.where(flip, -high, low), np.where(flip, -low, high)
    top, bottom = log_ndtr(high), log_ndtr(low)
    with np.errstate(divide="ignore"):
        return np.asarray(top + np.log(-np.expm1(np.minimum(bottom - top, -1e-300))))


def truncated(mean: np.ndarray, variance: np.ndarray, lower: float, upper: float) -> tuple[np.ndarray, np.ndarray]:
    """Mean and variance of normal distributions that are cut at two bounds, ``(m,)`` each."""
    sd = np.sqrt(np.maximum(variance, TINY))
    low, high = (lower - mean) / sd, (upper - mean) / sd
    mass = log_mass(mean, variance, lower, upper)
    at_low, at_high = (np.exp(np.clip(-0.5 * x**2 - 0.5 * np.log(2 * np.pi) - mass, -700, 700)) for x in (low, high))
    shift = at_low - at_high
    new = mean + sd * shift
    spread = variance * (1 + low * at_low - high * at_high - shift**2)
    sure = mass < -30  # digits are gone: all mass is next to a bound
    edge = np.where(mean > upper, upper, lower)
    fall = np.maximum(np.abs(np.where(mean > upper, high, low)), 1.0)
    return np.where(sure, edge, np.clip(new, lower, upper)), np.where(sure, (sd / fall) ** 2, np.maximum(spread, TINY))


@dataclass
class DrugChoice:
    """Choice of variables of one drug: ``square`` (V, V), ``linear`` (V,), ``prior`` variances and ``log_odds`` (V,).

    The first `n_bounded` variables lie between `lower` and `upper`; the normal prior is cut there. The mass of the
    joint posterior within the bounds is taken as the product of that of each variable, which is exact for a single
    bounded one. `conditional` and `evidence` are the formulas; climbing and sampling run compiled ones
    (`compiled.joint`).
    """

    square: np.ndarray
    linear: np.ndarray
    prior: np.ndarray
    log_odds: np.ndarray
    n_bounded: int = 0
    lower: float = ACTIVITY[0]
    upper: float = ACTIVITY[1]
    whole: np.ndarray | None = None  # (n_bounded,) log mass of the prior within the bounds, where it is known

    def kept(self, mean: np.ndarray, variance: np.ndarray, prior: np.ndarray) -> np.ndarray:
        """Log evidence that the bounds add for bounded variables with these posteriors and prior variances."""
        return log_mass(mean, variance, self.lower, self.upper) - log_mass(0.0 * prior, prior, self.lower, self.upper)

    def conditional(self, on: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """Log odds of each variable given the others, and its mean and variance if it is chosen, ``(V,)`` each."""
        chosen, bounded = np.flatnonzero(on), slice(self.n_bounded)
        if len(chosen):
            inverse = self._inverse(chosen)
            cross = self.square[:, chosen] @ inverse  # (V, s)
            schur = np.diag(self.square) + 1 / self.prior - (cross * self.square[:, chosen]).sum(axis=1)
            variance = 1 / np.maximum(schur, TINY)
            mean = (self.linear - cross @ self.linear[chosen]) * variance
            variance[chosen], mean[chosen] = np.diag(inverse), inverse @ self.linear[chosen]
        else:
            variance = 1 / (np.diag(self.square) + 1 / self.prior)
            mean = self.linear * variance
        odds = 0.5 * mean**2 / variance + 0.5 * np.log(variance / self.prior) + self.log_odds
        if self.n_bounded:
            odds[bounded] += self.kept(mean[bounded], variance[bounded], self.prior[bounded])
            if len(chosen) and chosen[0] < self.n_bounded:
                odds += self._others_kept(chosen, inverse, cross, mean, variance)
            mean[bounded], variance[bounded] = truncated(mean[bounded], variance[bounded], self.lower, self.upper)
        return odds, mean, variance

    def _inverse(self, chosen: np.ndarray) -> np.ndarray:
        """Posterior covariance ``(s, s)`` of chosen variables, without bounds."""
        return np.linalg.inv(self.square[np.ix_(chosen, chosen)] + np.diag(1 / self.prior[chosen]))

    def _others_kept(
        self, chosen: np.ndarray, inverse: np.ndarray, cross: np.ndarray, mean: np.ndarray, variance: np.ndarray
    ) -> np.ndarray:
        """What having each variable, or not, changes in the mass of the chosen bounded ones, ``(V,)``."""
        at, spread = np.flatnonzero(chosen < self.n_bounded), np.diag(inverse)  # (a,) of the chosen ones, (s,)
        bounds, centre = (self.lower, self.upper), mean[chosen[at]]
        now = log_mass(centre, spread[at], *bounds)  # (a,)
        moved = centre - cross[:, at] * mean[:, None]  # (V, a), if the variable is added
        wider = spread[at] + cross[:, at] ** 2 * variance[:, None]
        out = log_mass(moved, wider, *bounds) - now
        ratio = inverse[:, at] / spread[:, None]  # (s, a), if a chosen one is taken away
        without = centre - ratio * mean[chosen][:, None]
        left = np.maximum(spread[at] - ratio**2 * spread[:, None], TINY)
        change = now - log_mass(without, left, *bounds)
        change[at, np.arange(len(at))] = 0.0
        out[chosen] = change
        return np.asarray(out.sum(axis=1))

    def evidence(self, on: np.ndarray) -> float:
        """Log posterior of a choice, up to a constant."""
        chosen = np.flatnonzero(on)
        if not len(chosen):
            return 0.0
        inverse, bounded = self._inverse(chosen), chosen < self.n_bounded
        mean = inverse @ self.linear[chosen]
        kept = self.kept(mean[bounded], np.diag(inverse)[bounded], self.prior[chosen[bounded]])
        return float(
            0.5 * self.linear[chosen] @ mean
            + 0.5 * np.linalg.slogdet(inverse)[1]
            - 0.5 * np.log(self.prior[chosen]).sum()
            + self.log_odds[chosen].sum()
            + (kept.sum() if bounded.any() else 0.0)
        )

    def arrays(self) -> tuple[np.ndarray, ...]:
        """What the compiled steps read: see `compiled.joint`."""
        prior, whole = np.ascontiguousarray(self.prior, dtype=float), self.whole
        if whole is None:
            whole = log_mass(np.zeros(self.n_bounded), prior[: self.n_bounded], self.lower, self.upper)
        return self.square, self.linear, prior, self.log_odds, whole, np.array([self.lower, self.upper])

    def best(self) -> np.ndarray:
        """The best choice found from several starts: adds, removes, or exchanges variables while the evidence rises."""
        return self._sampled(np.zeros((0, 2, len(self.prior))))[0]

    def sample(self, rng: np.random.Generator) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """Probability of each variable, and mean and standard deviation if it is chosen, ``(V,)`` each.

        Averages of the conditionals over Gibbs sweeps.
        """
        return self._sampled(rng.random((N_SWEEPS, 2, len(self.prior))))[1]

    def _sampled(self, uniform: np.ndarray) -> tuple[np.ndarray, tuple[np.ndarray, np.ndarray, np.ndarray]]:
        """The best choice ``(V,)``, and what is drawn from there with numbers ``(n, 2, V)`` in [0, 1)."""
        V = len(self.prior)
        on, out = np.zeros(V, dtype=bool), (np.empty(V), np.empty(V), np.empty(V))
        kernels.sample(on, self.arrays(), N_STARTS, MOST_STEPS, RARE, uniform, *out)
        return on, out


def drug_choice(
    forms: tuple[np.ndarray, ...],
    rows: np.ndarray,
    factor: np.ndarray,
    others: np.ndarray,
    prior: np.ndarray,
    log_odds: np.ndarray,
    whole: np.ndarray | None = None,
) -> DrugChoice:
    """What the contexts of one drug tell together.

    Parameters
    ----------
    forms
        What every gene tells, `packed`.
    rows
        ``(L,)``; contexts of the drug.
    factor
        ``(L, 2G)``; part of the full effect in each of them.
    others
        ``(L, 2G)``; expected effects of the other drugs there.
    whole
        ``(G,)``; log mass of the priors of activities within their bounds, where it is known.
    """
    V = factor.shape[1]
    square, linear = np.zeros((V, V)), np.zeros(V)
    kernels.add_forms(*forms, rows, factor, others, square, linear)
    return DrugChoice(square, linear, prior, log_odds, V // 2, *ACTIVITY, whole)
