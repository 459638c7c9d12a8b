"""Edges of regulators that cells speak for (layer `_core`; not from the paper).

The activity of a regulator varies between cells by ``s``, which gives gene j a loading
(`scgim._core.posterior.regulation.loadings`)

``l_j ~ N(s w_j u_j, e^2)`` with ``u_j ~ N(1, RELATIVE_SD^2)`` where there is an edge, else ``l_j ~ t(0, e^2)``,

with errors and tails that most genes show which the network does not name. As many edges are expected to lack as to be
wrong. Probabilities and sizes are averages over a grid of s, with zero, where cells say nothing. They speak for edges,
never against those that are named: the graph may explain what an edge adds to the covariance.
"""

from dataclasses import dataclass, replace

import numpy as np
from scipy.special import expit, gammaln, logit, logsumexp

from scgim._core.moments.moments import Moments
from scgim._core.posterior.background import log_normal
from scgim._core.posterior.regulation.loadings import loadings_of_others, noise_covariance, regulator_loadings
from scgim._core.posterior.regulation.network import RELATIVE_SD, RIGHT, Network

SDS = np.concatenate([[0.0], np.geomspace(0.01, 2.0, 60)])  # of activities between cells; half of the prior is on zero
TAILS = (4.0, 8.0, 30.0)  # degrees of freedom of the loadings of genes that a regulator does not move
STRAYS = 1e-3  # share of these that the choice of tails leaves out of account
SUREST = 0.95  # probability of an edge that cells speak for: other causes may vary with the regulator
LIKELY = 0.5  # from which a gene that is not named takes part in what is learned of the others
WORTH_ADDING = 0.1  # probability of an edge that the network lacks
N_PASSES = 2  # the second with the edges that the first one found
TINY = 1e-12


@dataclass(frozen=True)
class Edges:
    """Edges of one regulator to G genes, as cells tell them."""

    right: np.ndarray  # (G,) probability
    # (G,) expected signed size if there is one, and its standard deviation
    weight: np.ndarray
    sd: np.ndarray
    variance: float  # of the activity between cells


def weigh_edges(network: Network, moments: Moments, effects: np.ndarray) -> Network:
    """The network with probabilities and sizes of its edges, those that it lacks, and variances of activities between cells.

    Parameters
    ----------
    network
        As it was given.
    effects
        ``(G, G)``; of genes on each other.
    """
    cov = noise_covariance(moments, effects)
    scale = np.sqrt(np.maximum(np.diag(cov), TINY))  # (G,)
    correlation, n = cov / np.outer(scale, scale), float(max((np.maximum(moments.n, 1.0) - 1).sum(), 1.0))
    named = network.effects(len(scale))  # (T, G)
    right, weight = np.where(named != 0, RIGHT, 0.0), named
    for _ in range(N_PASSES):
        likely = right > LIKELY
        loading = regulator_loadings(correlation, np.where(likely, weight, 0.0), n, worth=0.0)
        others, error = loadings_of_others(correlation, loading, likely, n)
        loading, seen = np.where(likely, loading, others), error > 0
        freedom = tails((loading[seen] / error[seen, None])[named[seen] == 0])
        edges = [
            edges_of(loading[r] * scale, error[r] * scale, named[r], freedom) if seen[r] else as_given(named[r])
            for r in range(len(named))
        ]
        right, weight = np.stack([each.right for each in edges]), np.stack([each.weight for each in edges])
    kept = (named != 0) | (right > WORTH_ADDING)
    source, target = np.nonzero(kept)
    return replace(
        network,
        source=source,
        target=target,
        weight=weight[kept],
        sd=np.stack([each.sd for each in edges])[kept],
        right=np.minimum(right, SUREST)[kept],
        variance=np.array([each.variance for each in edges]),
    )


def as_given(named: np.ndarray) -> Edges:
    """Edges of a regulator of which cells say nothing, from weights ``(G,)``."""
    return Edges(np.where(named != 0, RIGHT, 0.0), named, RELATIVE_SD * np.abs(named), 0.0)


def edges_of(loading: np.ndarray, error: np.ndarray, named: np.ndarray, freedom: float) -> Edges:
    """Edges of one regulator from loadings, their errors, and given weights, zero where there is none; all ``(G,)``."""
    ours = named != 0
    w = np.where(ours, named, np.sign(loading))  # of edges that are lacking, too
    lacking = min((1 - RIGHT) * ours.sum() / max((~ours).sum(), 1), 1 - RIGHT)
    prior = np.where(ours, RIGHT, lacking)
    middle = SDS[:, None] * w  # (S, G)
    there = log_normal((loading - middle) ** 2, (RELATIVE_SD * middle) ** 2 + error**2)
    there = np.where(ours, there, there - np.log(2))  # of either sign
    none = log_student(loading / error, freedom) - np.log(error)  # (G,)
    there[0] = none  # cells say nothing
    log = np.logaddexp(np.log1p(-prior) + none, np.log(prior) + there)[:, ours].sum(axis=1)
    log[1:] -= np.log(len(SDS) - 1)
    of_s = np.exp(log - logsumexp(log))  # (S,)
    joint = of_s[:, None] * expit(logit(prior) + there - none)  # (S, G)
    right = joint.sum(axis=0)
    joint /= np.maximum(right, TINY)
    precision = 1 / RELATIVE_SD**2 + (middle / error) ** 2  # of u
    u = (1 / RELATIVE_SD**2 + loading * middle / error**2) / precision
    mean = (joint * u).sum(axis=0)
    sd = np.sqrt(np.maximum((joint * (u**2 + 1 / precision)).sum(axis=0) - mean**2, TINY))
    told, given = ~ours | (right > RIGHT), as_given(named)
    return Edges(
        np.where(told, right, given.right),
        np.where(told, w * mean, given.weight),
        np.where(told, np.abs(w) * sd, given.sd),
        float(of_s @ SDS**2),
    )


def log_student(z: np.ndarray, freedom: float) -> np.ndarray:
    """Log density of Student's t."""
    constant = gammaln((freedom + 1) / 2) - gammaln(freedom / 2) - 0.5 * np.log(freedom * np.pi)
    return np.asarray(constant - (freedom + 1) / 2 * np.log1p(z**2 / freedom))


def tails(z: np.ndarray) -> float:
    """Degrees of freedom with most likelihood for loadings in standard errors, of which some strays are anything up to ten."""
    fits = [np.logaddexp(np.log1p(-STRAYS) + log_student(z, f), np.log(STRAYS / 20)).sum() for f in TAILS]
    return TAILS[int(np.argmax(fits))]
