"""What the model misses at one dose it misses at doses nearby (layer `_core`; not from the paper).

What a drug leaves of a gene is a random walk along the fraction h of its full effect,

``left_l = s(h_l) + error_l``,  ``cov(s(h), s(h')) = walk_sd^2 min(h, h')``.

Each pair of drug and gene has one of a few `walk_sd`, whose shares are learned from all pairs by maximum likelihood:
where the model is right no pair walks. The mean of a walk interpolates between doses, drawn to zero as far as what was
left may be an error.
"""

from dataclasses import dataclass

import numpy as np
from scipy.special import logsumexp, softmax

from scgim._core.design import Design

FEWEST_DOSES = 3  # of a drug, by which what it leaves tells more than its amplitude
WALKS = (0.0, 0.1, 0.2, 0.4, 0.8, 1.6)  # standard deviations of walks at full effect, in those of the gene
MOST_PAIRS = 10_000  # of drug and gene, from which the shares are learned
N_STEPS = 60  # of expectation maximisation
NEGLIGIBLE = 1e-4  # share of pairs
SAFE = 1e-12  # variance, or weight


@dataclass(frozen=True)
class Departures:
    """Shares of the pairs of drug and gene that walk."""

    share: np.ndarray  # (C,) of each of `WALKS`

    def coefficients(self, height: np.ndarray, left: np.ndarray, error: np.ndarray) -> np.ndarray:
        """``(L, G)`` by which contexts of one drug say what is missed at a fraction h, ``min(height, h) @ out``.

        Parameters
        ----------
        height
            ``(L,)``; fraction of the full effect.
        left, error
            ``(L, G)``; what the model leaves of these contexts, and the variances of their errors, in standard
            deviations of the genes.
        """
        pairs = _rotate(height, left, error)
        weight = softmax(_log_density(pairs) + np.log(np.maximum(self.share, SAFE))[:, None], axis=0)  # (C, G)
        kept = np.zeros(left.shape)
        for share, walk in zip(weight, np.square(WALKS), strict=True):
            kept += share * walk / np.maximum(walk * pairs.walk[:, None] + pairs.error, SAFE)
        return np.asarray(pairs.back @ (kept * pairs.value))

    @property
    def walking(self) -> float:
        """Share of the pairs that walk."""
        return float(self.share[np.array(WALKS) > 0].sum())

    @property
    def walks(self) -> bool:
        """Whether anything is missed."""
        return self.walking > NEGLIGIBLE


@dataclass(frozen=True)
class _Pairs:
    """What a drug leaves of the genes, turned so that neither walks nor errors are shared."""

    value: np.ndarray  # (L, G)
    walk: np.ndarray  # (L,) variance of a walk of one
    error: np.ndarray  # (G,)
    back: np.ndarray  # (L, L)


def _rotate(height: np.ndarray, left: np.ndarray, error: np.ndarray) -> _Pairs:
    """Errors differ between contexts alike for all genes: ``error_lg = weight_l error_g``."""
    weight = np.maximum(error.mean(axis=1), SAFE)
    weight = weight / weight.mean()  # (L,)
    root = 1 / np.sqrt(weight)
    walk, turn = np.linalg.eigh(root[:, None] * np.minimum.outer(height, height) * root)
    return _Pairs(turn.T @ (root[:, None] * left), np.maximum(walk, 0.0), error.mean(axis=0), root[:, None] * turn)


def _log_density(pairs: _Pairs) -> np.ndarray:
    """Of every pair with every walk, ``(C, G)``, up to a constant."""
    out = []
    for walk in np.square(WALKS):
        variance = np.maximum(walk * pairs.walk[:, None] + pairs.error, SAFE)  # (L, G)
        out.append(-0.5 * (np.log(variance) + pairs.value**2 / variance).sum(axis=0))
    return np.array(out)


def learn_departures(left: np.ndarray, error: np.ndarray, design: Design, fraction: np.ndarray) -> Departures | None:
    """Shares of the pairs that walk, from drugs that were measured alone at several doses; None where there are none.

    Parameters
    ----------
    left, error
        ``(K, G)``; what targets and drift of drugs leave of the contexts, and the variances of their errors, in
        standard deviations of the genes.
    fraction
        ``(K, D)``; fraction of the full effect of each drug.
    """
    drugs = drugs_along_doses(design)
    if not drugs:
        return None
    each = max(1, MOST_PAIRS // left.shape[1])
    genes = np.arange(0, left.shape[1], -(-left.shape[1] // MOST_PAIRS))
    log = []
    for d in drugs[:: -(-len(drugs) // each)]:
        rows = design.alone(d)
        at = np.ix_(rows, genes)
        log.append(_log_density(_rotate(fraction[rows, d], left[at], error[at])))
    density = np.concatenate(log, axis=1)  # (C, pairs)
    share = np.full(len(density), 1 / len(density))
    for _ in range(N_STEPS):
        joint = density + np.log(np.maximum(share, SAFE))[:, None]
        share = np.exp(joint - logsumexp(joint, axis=0)).mean(axis=1)
    return Departures(share)


def departures_along(
    found: Departures | None, left: np.ndarray, error: np.ndarray, design: Design, fraction: np.ndarray
) -> np.ndarray | None:
    """`Departures.coefficients` of each context for other doses of its drug, ``(K, G)``; None where nothing is missed."""
    if found is None or not found.walks:
        return None
    out = np.zeros(left.shape)
    for d in drugs_along_doses(design):
        rows = design.alone(d)
        out[rows] = found.coefficients(fraction[rows, d], left[rows], error[rows])
    return out


def drugs_along_doses(design: Design) -> list[int]:
    """Drugs that were measured alone at `FEWEST_DOSES` doses at the least."""
    if not design.has_dose:
        return []
    alone = ((d, design.dose[design.alone(d), d]) for d in range(len(design.drugs)))
    return [d for d, dose in alone if len(np.unique(dose)) >= FEWEST_DOSES]
