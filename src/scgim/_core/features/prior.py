"""Population prior of interventions: what is believed of a drug before its features are read (layer `_core`; not from the paper).

Learned from the fitted training drugs; the slab of the backward map and, on its own, the map "none".
"""

from dataclasses import dataclass

import numpy as np
from scipy.special import expit, logit

from scgim._core.posterior.effects.hill import hill
from scgim._core.posterior.effects.slab import learn_slab
from scgim._core.state import savable

MOST_TARGETS = 10  # of a drug
POISSON_DRUGS = 2.0  # drugs that a Poisson distribution of numbers of targets counts for


@savable
@dataclass(frozen=True)
class PopulationPrior:
    """Distribution of an unseen drug's intervention."""

    log_odds: np.ndarray  # (G,) log odds of being a target, shrunk towards the mean over genes
    log_size: np.ndarray  # (T + 1,) log probability of having 0, 1, ..., T targets
    # (G,) mean and variance of the saturating effect, given that the gene is a target
    mean: np.ndarray
    variance: np.ndarray
    second_moment: float  # mean squared effect at targets: variance of the zero-mean slab that the search uses
    slab: np.ndarray  # (C, 3) weight, mean and variance of the components of the effect's distribution
    # medians over the training drugs
    log_ec50: float
    log_hill: float
    # (S, 3) EC50, Hill exponent and height of curves that a new drug's curve is believed to be one of
    curve: np.ndarray

    @property
    def probability(self) -> np.ndarray:
        """(G,) probability of being a target."""
        return expit(self.log_odds)

    def log_support(self) -> np.ndarray:
        """(T + 1,) log prior of one support of each size, but for the product of its genes' odds."""
        size = len(self.log_size)
        log_e = np.full(size, -np.inf)  # logs of the elementary symmetric polynomials of the odds
        log_e[0] = 0.0
        for value in self.log_odds:
            log_e[1:] = np.logaddexp(log_e[1:], log_e[:-1] + value)
        return np.where(np.isfinite(log_e), self.log_size - np.where(np.isfinite(log_e), log_e, 0), -np.inf)

    def factor(self, dose: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Dose factor of a drug without a curve of its own, and its standard deviation; (m,) each."""
        centre = hill(dose, np.exp(self.log_ec50), np.exp(self.log_hill))
        each = self.curve[:, 2] * hill(np.asarray(dose)[:, None], self.curve[:, 0], self.curve[:, 1])
        return centre, np.sqrt(((each - centre[:, None]) ** 2).mean(1))


def learn_prior(
    probability: np.ndarray,
    amplitude: np.ndarray,
    amplitude_sd: np.ndarray,
    ec50: np.ndarray,
    hill_exponent: np.ndarray,
    *,
    strength: float = 4.0,
    axes: np.ndarray | None = None,
    doses: np.ndarray | None = None,
) -> PopulationPrior:
    """Learn the population prior from fitted drugs.

    Parameters
    ----------
    probability, amplitude, amplitude_sd
        (D, G) target probabilities, saturating effects given target and their standard deviations.
    ec50, hill_exponent
        (D,) parameters of the Hill curves.
    strength
        Number of pseudo-drugs that pull each gene towards the mean over genes.
    axes
        (2, D, 2) of the posterior of each drug's log EC50 and log exponent, or None.
    doses
        (L,) doses measured, at which effects are known better than the curve.
    """
    n_drugs, n_genes = probability.shape
    count = probability.sum(0)
    overall = (count.sum() + 1) / (n_drugs * n_genes + n_genes)
    rate = np.clip((count + strength * overall) / (n_drugs + strength), 1e-6, 1 - 1e-6)
    weight = np.where(probability > 0.05, probability, 0)
    total = weight.sum()
    tau2 = float((weight * (amplitude**2 + amplitude_sd**2)).sum() / total) if total > 0 else 1.0
    common = float((weight * amplitude).sum() / total) if total > 0 else 0.0
    mean = ((weight * amplitude).sum(0) + strength * 0.5 * common) / (weight.sum(0) + strength)
    spread = (weight * ((amplitude - mean) ** 2 + amplitude_sd**2)).sum(0) + strength * tau2
    return PopulationPrior(
        log_odds=logit(rate),
        log_size=_log_size((probability > 0.5).sum(1), n_genes),
        mean=mean,
        variance=spread / (weight.sum(0) + strength),
        second_moment=tau2,
        slab=learn_slab(amplitude[probability > 0.5], tau2),
        log_ec50=float(np.median(np.log(np.maximum(ec50, 1e-30)))),
        log_hill=float(np.median(np.log(hill_exponent))),
        curve=_curves(np.maximum(ec50, 1e-30), hill_exponent, axes, doses),
    )


def _curves(ec50: np.ndarray, exponent: np.ndarray, axes: np.ndarray | None, doses: np.ndarray | None) -> np.ndarray:
    """Curves of the training drugs (S, 3), moved to both ends of their axes so that the spread has their covariance.

    A moved curve has the height with which it fits the drug's effects at the measured doses best: what was measured
    does not become less certain because the curve is.
    """
    plain = np.c_[ec50, exponent, np.ones(len(ec50))].astype(float)
    if axes is None or doses is None or len(doses) == 0:
        return plain
    at = hill(doses, ec50[:, None], exponent[:, None])  # (D, L)
    out = []
    for axis in axes:
        for step in (np.sqrt(2.0), -np.sqrt(2.0)):
            moved = plain.copy()
            moved[:, :2] *= np.exp(step * axis)
            h = hill(doses, moved[:, :1], moved[:, 1:2])
            moved[:, 2] = (h * at).sum(1) / np.maximum((h**2).sum(1), 1e-300)
            out.append(moved)
    return np.concatenate(out)


def _log_size(sizes: np.ndarray, n_genes: int) -> np.ndarray:
    """Log probabilities of the number of targets: training counts, smoothed by a Poisson distribution of their mean."""
    top = int(min(n_genes, MOST_TARGETS, sizes.max(initial=0) + 2))
    k = np.arange(top + 1)
    mean = max(float(np.minimum(sizes, top).mean()), 0.1)
    poisson = k * np.log(mean) - mean - np.cumsum(np.log(np.maximum(k, 1)))
    poisson = np.exp(poisson) / np.exp(poisson).sum()
    counts = np.bincount(np.minimum(sizes, top), minlength=top + 1)
    return np.log((counts + POISSON_DRUGS * poisson) / (len(sizes) + POISSON_DRUGS))
