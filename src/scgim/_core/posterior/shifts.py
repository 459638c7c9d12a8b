"""Shifts of genes by drugs that mechanisms do not explain, with every error that they have (layer `_core`; not from the paper).

Two explanations of a gene's mean are kept side by side: by its parents, and by no parent at all. Where an edge is
false, the first one sees a shift that passed the edge by, the second one none; where it is true it is the other way
round.
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np

from scgim._core.design import Design
from scgim._core.mechanisms.total import total_effects
from scgim._core.moments.moments import Moments
from scgim._core.posterior.contrasts import Contrasts, contrasts, references
from scgim._core.posterior.evidence import Evidence
from scgim._core.posterior.regulation.network import Network
from scgim._core.posterior.spread import beside_changes

ShiftsAt = Callable[[np.ndarray], "Shifts"]
"""From fractions ``(K, D)`` of the full effects to what mechanisms leave of the means."""
UNLIKELY = 0.01  # probability of an edge that the graph lacks, below which it is left out
SINGULAR = 1e-8  # singular value, relative to the largest, of functions of a gene that its parents explain
SMALL_LEFT = 1e-3  # share of the variance of a gene that parents of another leave, from which its slope is known
SMALLEST_NOISE = 0.2  # of the variance of a gene's noise in one context, of that over all


class Slopes(NamedTuple):
    """Slopes of genes (columns) on others (rows) within contexts, beside their parents; ``(G, G)`` each.

    Not `known` where one gene is further up than the other in the graph, which explains their slope. Pairs are `joined`
    by an edge from row to column (1), from column to row (2), or by none (0): noise of counting makes edges weaker than
    they are, and turns some round.
    """

    value: np.ndarray
    sd: np.ndarray
    known: np.ndarray
    joined: np.ndarray


@dataclass(frozen=True)
class Shifts:
    """Shifts at full effect, in standard deviations of the genes; R rows, one for each drug and level."""

    # (2, R, G) beyond what the parents pass on, and as a whole; and their error variances
    estimate: np.ndarray
    variance: np.ndarray
    passed: np.ndarray  # (2, R, G) sum of squares of what each parent passes on; 0 without parents
    contrasts: Contrasts  # of the contexts
    error: np.ndarray  # (K, G) sampling variance of the residual means of the contexts
    network: Network | None = None  # regulators that may have caused them, or None
    # (G, G) what each unit of a shift does to the genes further down, row causes column; None where that is not known
    further: np.ndarray | None = None
    # (R, G) error variance of effects, not of whether there are any, as edges that the graph lacks may be there
    doubt: np.ndarray | float = 0.0
    # (R,) variance that sampling its cells adds to a mean, relative to that between cells
    sampled: np.ndarray | float = 0.0
    slopes: Slopes | None = None  # beside the graph; None where genes are not weighed as followers of others


def linear_effects(moments: Moments, parents: dict[int, tuple[int, ...]], evidence: Evidence) -> np.ndarray:
    """Average change of each gene per unit of each parent, ``(G, G)``, row causes column."""
    out = np.zeros((moments.n_genes, moments.n_genes))
    for j, coef in enumerate(evidence.coef):
        each = coef.reshape(-1, moments.n_functions)  # (p, B)
        for i, c in zip(parents[j], each, strict=True):
            out[i, j] = c @ moments.slope[i]
    return out


def sampling(
    moments: Moments, evidence: Evidence, effects: np.ndarray, design: Design
) -> tuple[np.ndarray, np.ndarray]:
    """Sampling variances ``(K, G)`` of residual means and of the means themselves.

    Each context has its own variance, see `scgim._core.posterior.spread`. The noise of a gene in a context follows from
    the variances of all genes there: ``var = noise @ (A * A)`` with ``A = inv(I - effects)``, if noises are
    independent.
    """
    n = np.maximum(moments.n, 1.0)[:, None]
    pooled = np.diag(moments.within)[:: moments.n_functions]  # (G,)
    seen = 0.0 if moments.spread is None else moments.spread
    if moments.square is None:
        passed = 0.0 if moments.spread is None else moments.spread @ effects**2
        return np.broadcast_to(evidence.noise / n, moments.mean.shape[:2]) + seen + passed, pooled / n + seen
    unequal = 0.0 if moments.responses is None else moments.responses.variance
    measured = np.zeros(len(effects)) if moments.measured is None else moments.measured  # that no gene passes on
    mean = moments.mean[:, :, 0]  # (K, G)
    change = mean - (references(design) @ mean)[design.group]
    variance = beside_changes(moments.square, moments.n, pooled + measured + unequal, change, design.group)  # (K, G)
    total = total_effects(effects)
    noise = np.linalg.solve((total * total).T, (variance - measured).T).T
    noise = np.maximum(noise, SMALLEST_NOISE * evidence.noise) + measured + measured @ effects**2
    return noise / n, variance / n


def find_shifts(
    moments: Moments,
    design: Design,
    parents: dict[int, tuple[int, ...]],
    evidence: Evidence,
    edge_probability: np.ndarray,
    fraction: np.ndarray,
    network: Network | None = None,
    cells: float | None = None,
) -> Shifts:
    """Shifts of every drug, with the errors of sampling, coefficients, doubtful edges, contexts and baseline groups.

    Parameters
    ----------
    edge_probability
        ``(G, G)``; an edge of probability q explains what it passes on with an error of ``(1 - q)`` of its square; one
        that the graph lacks leaves the size of effects in doubt, see `doubt_of_others`.
    fraction
        ``(K, D)``; fraction of the full effect of each drug.
    network
        Regulators that may have caused them, or None.
    cells
        That the covariance within contexts counts for, where genes may follow targets by effects that it does not show.
    """
    effects = linear_effects(moments, parents, evidence)
    error, error_alone = sampling(moments, evidence, effects, design)
    error = error + evidence.unsure
    if moments.hidden is not None:
        error, error_alone = error + moments.hidden.error, error_alone + moments.hidden.error
    found = contrasts(design, fraction, evidence.residual, error, moments.plates)
    weight, square = found.weight, found.weight**2  # (R, K)
    mean = moments.mean.reshape(len(moments.n), -1)  # (K, G*B)
    moved = weight @ mean  # (R, G*B) shifts of all functions of all genes
    estimate = np.stack([weight @ evidence.residual, moved[:, :: moments.n_functions]])
    variance = np.stack([square @ error, square @ error_alone]) + found.scatter + found.between
    passed = np.zeros(estimate.shape)
    passed[0], by_coefficients, by_edges = passed_on(moments.n_functions, parents, evidence, edge_probability, moved)
    variance[0] += by_coefficients
    variance[0] += by_edges
    further = None  # regulators move genes that are no targets, which is not chance
    if network is None:
        further = total_effects(effects) - np.eye(len(effects))
    doubt = doubt_of_others(moments, parents, edge_probability, moved)
    sampled = square @ (1 / np.maximum(moments.n, 1.0))  # (R,)
    slopes = None if cells is None or network is not None else slopes_beside(moments, parents, effects, cells)
    return Shifts(estimate, variance, passed, found, error, network, further, doubt, sampled, slopes)


def slopes_beside(moments: Moments, parents: dict[int, tuple[int, ...]], effects: np.ndarray, cells: float) -> Slopes:
    """Slopes of every gene on every other beside its parents within contexts, from covariances of so many cells."""
    S, B, G = moments.within, moments.n_functions, moments.n_genes
    lin = np.arange(G) * B
    value, sd = np.zeros((G, G)), np.ones((G, G))
    reach = np.abs(total_effects(effects)) > 0
    known, joined = ~(reach | reach.T), np.zeros((G, G), dtype=np.int8)
    for j in range(G):
        pa = list(parents[j])
        joined[pa, j], joined[j, pa] = 1, 2
        given = (np.array(parents[j], dtype=int)[:, None] * B + np.arange(B)).ravel()
        beside = np.linalg.lstsq(S[np.ix_(given, given)], S[np.ix_(given, lin)], rcond=SINGULAR)[0]  # (p*B, G)
        left = S[lin, lin] - (S[np.ix_(given, lin)] * beside).sum(axis=0)  # (G,)
        both = S[lin, j * B] - S[given, j * B] @ beside
        known[:, j] &= left > SMALL_LEFT * S[lin, lin]
        own = np.where(known[:, j], left, 1.0)
        value[:, j], sd[:, j] = both / own, np.sqrt(np.maximum(left[j], SINGULAR) / own / cells)
    return Slopes(value, sd, known, joined)


def passed_on(
    n_functions: int,
    parents: dict[int, tuple[int, ...]],
    evidence: Evidence,
    edge_probability: np.ndarray,
    moved: np.ndarray,
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """What parents pass on of shifts: the sum of its squares, and its error variances by coefficients and by doubtful edges.

    Parameters
    ----------
    parents, evidence, edge_probability
        As in `find_shifts`.
    moved
        ``(R, G*B)``; shifts of all functions of all genes.

    Returns
    -------
    ``(R, G)`` each; 0 for genes without parents.
    """
    square, by_coefficients, by_edges = np.zeros((3, len(moved), len(edge_probability)))
    for j, coef in enumerate(evidence.coef):
        pa = np.array(parents[j], dtype=int)
        if len(pa) == 0:
            continue
        columns = (pa[:, None] * n_functions + np.arange(n_functions)).ravel()
        step = moved[:, columns]  # (R, p*B)
        each = (step * coef).reshape(len(step), len(pa), -1).sum(axis=2) ** 2  # (R, p)
        square[:, j] = each.sum(axis=1)
        by_coefficients[:, j] = np.einsum("rf,fg,rg->r", step, evidence.coef_cov[j], step)
        by_edges[:, j] = each @ (1 - edge_probability[pa, j])
    return square, by_coefficients, by_edges


def doubt_of_others(
    moments: Moments, parents: dict[int, tuple[int, ...]], edge_probability: np.ndarray, moved: np.ndarray
) -> np.ndarray:
    """Error variance ``(R, G)`` of shifts beyond what parents pass on, as genes that are no parents in the graph may be some.

    A gene i of probability q would pass on ``d = moved_i b_ij`` with the slopes of gene j on i beside its parents P
    within contexts, ``b_ij = (S_ii - S_iP S_PP^-1 S_Pi)^-1 (S_ij - S_iP S_PP^-1 S_Pj)``, and adds ``q d^2``.

    Parameters
    ----------
    moments, parents, edge_probability
        As in `find_shifts`.
    moved
        ``(R, G*B)``; shifts of all functions of all genes.
    """
    S, B = moments.within, moments.n_functions
    out = np.zeros((len(moved), moments.n_genes))
    functions = np.arange(B)
    for j, pa in parents.items():
        q = edge_probability[:, j].copy()
        q[[*pa, j]] = 0.0
        others = np.flatnonzero(q > UNLIKELY)
        given = (np.array(pa, dtype=int)[:, None] * B + functions).ravel()  # (p*B,)
        for i in others:
            own = i * B + functions
            both = np.append(own, j * B)
            beside = np.linalg.lstsq(S[np.ix_(given, given)], S[np.ix_(given, both)], rcond=SINGULAR)[0]  # (p*B, B + 1)
            left = S[np.ix_(own, both)] - S[np.ix_(own, given)] @ beside  # (B, B + 1)
            slope = np.linalg.lstsq(left[:, :-1], left[:, -1], rcond=SINGULAR)[0]
            out[:, j] += q[i] * (moved[:, own] @ slope) ** 2
    return out


def plain_shifts(
    design: Design, evidence: Evidence, mean: np.ndarray, pooled: np.ndarray, fraction: np.ndarray
) -> Shifts:
    """Shifts where mechanisms have no coefficients: networks.

    Parameters
    ----------
    design, evidence, fraction
        As in `find_shifts`.
    mean
        ``(K, G)``; means of the genes.
    pooled
        ``(G,)``; their variances within contexts.
    """
    n = np.maximum(design.n_cells, 1.0)[:, None]
    error = np.broadcast_to(evidence.noise / n, mean.shape)
    found = contrasts(design, fraction, evidence.residual, error)
    square = found.weight**2
    estimate = np.stack([found.weight @ evidence.residual, found.weight @ mean])
    variance = np.stack([square @ error, square @ (pooled / n)]) + found.scatter + found.between
    passed = np.stack([(estimate[1] - estimate[0]) ** 2, np.zeros(estimate[0].shape)])
    return Shifts(estimate, variance, passed, found, np.asarray(error))
