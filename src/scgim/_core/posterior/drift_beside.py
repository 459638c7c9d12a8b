"""The drift that targets were weighed against, as predictions need it (layer `_core`; not from the paper).

The model is that of `scgim._core.posterior.background`. A drug's drift returns at its other doses, what it does more in one baseline group returns there, and a measured context
keeps its own. With the targets this reproduces every fitted context up to its sampling error.
"""

from typing import NamedTuple

import numpy as np
from scipy.special import expit, logsumexp, softmax

from scgim._core.arrays import sum_by
from scgim._core.design import Design
from scgim._core.effects import Effects, KindFit
from scgim._core.posterior.background import Background, log_normal, scales
from scgim._core.posterior.contrasts import pool
from scgim._core.posterior.drift import Drift, t_posterior
from scgim._core.posterior.odds import Odds

SMALLEST = 1e-12  # variance, or precision
TINY = 1e-300  # density, by which nothing is divided
SIZES = (0.0, 0.05, 0.2, 0.5, 1.0)  # of the variance of drift that targets were weighed against: less may do, or none
N_ROBUST = 5  # steps of reweighted means


def rebase(odds: Odds, residual: np.ndarray, design: Design, fraction: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """What baselines lack by the controls, and by all contexts as far as they are still, and its variance, ``(C, G)``.

    A context whose gene is no target lies at the baseline up to its drift and its errors, so that it tells the more of
    the baseline the less the gene drifts: where few genes move the contexts together know more than the controls, where
    every gene drifts the controls know all. Contexts of a drug share its drift; large residual means count less, as
    under a t distribution. Groups without controls keep their baseline.

    Parameters
    ----------
    odds
        Of targets, with the scale of drift of each drug.
    residual
        ``(K, G)``; residual means.
    fraction
        ``(K, D)``; fraction of the full effect of each drug.
    """
    contrasts, found, error = odds.shifts.contrasts, odds.background, odds.shifts.error
    still, drifts = np.ones(residual.shape), np.zeros(residual.shape)  # (K, G)
    target = expit(odds.log_odds)  # (D, G)
    for r, (d, v) in enumerate(zip(contrasts.drug, contrasts.level, strict=True)):
        rows = design.of(d)
        rows = rows[design.level[rows] == v]
        alike = np.array([(design.group[rows] == c).sum() for c in design.group[rows]])[:, None]  # share their drift
        still[rows] *= 1 - target[d]
        drifts[rows] += alike * fraction[rows, d, None] ** 2 * found.scale[r]
    drifts += contrasts.context_sd**2 * ~design.control[:, None]
    C = len(design.group_names)
    control = np.isin(np.arange(C), design.group[design.control])
    centre, total = np.zeros((2, C, residual.shape[1]))
    for _ in range(N_ROBUST):
        square = (residual - centre[design.group]) ** 2
        precision = still * _mean_precision(square, error, drifts, found)  # (K, G)
        total = np.maximum(sum_by(precision, design.group, C), 1e-12)
        centre = np.where(control[:, None], sum_by(precision * residual, design.group, C) / total, 0.0)
    return centre, np.where(control[:, None], 1 / total, 0.0)


def _mean_precision(square: np.ndarray, error: np.ndarray, scale: np.ndarray, background: Background) -> np.ndarray:
    """Posterior mean of the precision of values with these squares, errors, and t-distributed drift of variance `scale`.

    A value that was moved, by an unlikely target or past an edge, says nothing of where the others lie: its precision
    is zero.
    """
    quantiles, p_moved = scales(background.freedom), background.p_target
    wide = error + background.effect_sd**2
    likelihood = len(quantiles) * p_moved / (1 - p_moved) * np.exp(-0.5 * square / wide) / np.sqrt(wide)
    weighted = np.zeros(square.shape)
    for q in quantiles:
        spread = error + q * scale
        density = np.exp(-0.5 * square / spread) / np.sqrt(spread)
        likelihood = likelihood + density
        weighted += density / spread
    return np.where(likelihood > 0, weighted / np.maximum(likelihood, TINY), 0.0)


class RowDrift(NamedTuple):
    """Drift of each drug and level, R rows."""

    effects: Effects  # (R, G) at full effect, of genes that are no targets
    past_graph: np.ndarray  # (R, G) probability that a gene which is no target is better explained without its parents
    size: float  # share of the variance of drift that its evidence leaves
    wider: np.ndarray  # (R, G) by which the variance of contrasts is larger from these baselines than from the controls
    everywhere: np.ndarray | None = None  # (R, G) what hidden causes add, at targets too; None where there are none


def drift_of_rows(odds: Odds, residual: np.ndarray, baseline_error: np.ndarray, design: Design) -> RowDrift:
    """What each drug and level adds at full effect to genes that are no targets, beyond what the graph passes on, ``(R, G)``.

    The drift that targets were weighed against, with its explanations by the graph and by no parents. What mechanisms
    that are only about right pass on too much or too little returns with the drug, too. The scale of drift is never
    none where it was learned; here smaller ones, and none, have the weight of their evidence. A few baseline groups say
    little of how much a gene differs between them, and what moves far differs more: by its own variance between groups a
    gene is doubted as a target, but here all genes have that of the average one.

    Parameters
    ----------
    odds
        With shifts and background.
    residual, baseline_error
        ``(K, G)`` and ``(C, G)``; residual means from baselines that have these variances, see `rebase`.
    """
    shifts, found = odds.shifts, odds.background
    own = shifts.contrasts.weight * ~design.control  # (R, K) counted from the baselines, not from the controls
    move = own @ residual - shifts.estimate[0]
    of_group = own @ np.eye(len(baseline_error))[design.group]  # (R, C)
    wider = of_group**2 @ baseline_error - (shifts.contrasts.weight**2 * design.control) @ shifts.error
    estimate = shifts.estimate + move  # (V, R, G)
    between = shifts.contrasts.between
    even = between.mean(axis=1, keepdims=True) - between  # (R, G)
    error = np.maximum(shifts.variance + wider + even, SMALLEST)
    slopes = found.slope_sd**2 * shifts.passed
    prior = np.log([found.graph_share, 1 - found.graph_share])[:, None, None]
    still = 1 - expit(odds.log_odds[shifts.contrasts.drug])  # (R, G)
    sums = np.zeros((len(SIZES), 3, *still.shape))  # mean, second moment and the share of no parents
    evidence = np.zeros(len(SIZES))
    for i, size in enumerate(SIZES):
        spread = size * scales(found.freedom)[:, None, None, None] * found.scale + slopes + error  # (C, V, R, G)
        log = prior + log_normal(estimate**2, spread)
        total = logsumexp(log, axis=(0, 1))
        share, keep = np.exp(log - total), 1 - error / spread
        added = keep * estimate - (estimate - estimate[0])  # less what the graph passes on all the same
        evidence[i] = (still * total).sum()
        parts = share * added, share * (keep * error + added**2), share[:, 1:]
        sums[i] = [part.sum(axis=(0, 1)) for part in parts]
    weight = softmax(evidence)
    mean, second, past_graph = np.tensordot(weight, sums, 1)
    follow = np.broadcast_to(odds.follow, odds.log_odds.shape)[shifts.contrasts.drug]  # (R, G)
    kept = found.effect_sd**2 / (found.effect_sd**2 + error[0])  # of shifts of genes that follow, as large as targets'
    mean = (1 - follow) * mean + follow * kept * estimate[0]
    second = (1 - follow) * second + follow * (kept * error[0] + (kept * estimate[0]) ** 2)
    effects = Effects(np.ones(mean.shape), mean, np.sqrt(np.maximum(second - mean**2, 0.0)))
    return RowDrift(effects, past_graph, float(weight @ SIZES), wider)


def shared_errors(odds: Odds, rows: RowDrift) -> np.ndarray:
    """Variance ``(D, V, G)`` of full effects that all contexts of a drug and level share, with this drift."""
    contrasts, out = odds.shifts.contrasts, odds.shared.copy()
    change = rows.wider + (rows.size - 1) * odds.background.beside
    at = contrasts.drug, contrasts.level
    out[at] = np.maximum(out[at] + change, 0.0)
    return out


def drift_beside(
    odds: Odds,
    rows: RowDrift,
    kind: KindFit,
    residual: np.ndarray,
    design: Design,
    fraction: np.ndarray,
    background_sd: np.ndarray,
) -> Drift:
    """The drift that targets were weighed against, as predictions need it.

    What targets and the drift of its drugs leave of a fitted context belongs to the drug in its baseline group, and to
    the context: ``h v + w`` with ``v ~ t(0, group_sd)`` and ``w ~ t(0, context_sd)``. All together reproduce the
    context up to its sampling error.

    Parameters
    ----------
    residual
        ``(K, G)``; residual means.
    fraction
        ``(K, D)``; fraction of the full effect of each drug.
    background_sd
        ``(G,)``; that the search allowed for.
    """
    contrasts, (V, G) = odds.shifts.contrasts, (design.n_levels, residual.shape[1])
    of_drug, at_level, past_graph = _by_drug(odds, rows, kind, V)
    left = residual - kind.of_context.expected  # (K, G)
    for k, drugs in enumerate(design.present):
        left[k] -= fraction[k, drugs] @ at_level.expected[drugs, design.level[k]]
    pairs, of_pair = _of_pairs(left, odds, design, fraction)
    for (d, c), moved in zip(pairs, of_pair.mean, strict=True):
        own = design.alone(d)[design.group[design.alone(d)] == c]
        left[own] -= fraction[own, d, None] * moved
    own_sd = np.hypot(contrasts.context_sd, _interaction_sd(left, odds, design))[:, None]
    of_context = t_posterior(left, odds.shifts.error, own_sd * ~design.control[:, None])
    return Drift(
        background_sd,
        np.full(G, contrasts.context_sd),
        of_drug,
        at_level if V > 1 else None,
        of_context,
        past_graph,
        np.full(G, contrasts.group_sd),
        pairs,
        of_pair,
    )


def _interaction_sd(left: np.ndarray, odds: Odds, design: Design) -> np.ndarray:
    """Standard deviation ``(K,)`` of what combinations do beyond the sum of their drugs, that all share; 0 elsewhere."""
    several = design.present.sum(axis=1) > 1
    raw = left[several] ** 2 - odds.shifts.error[several]
    return np.asarray(several * np.sqrt(pool(raw, np.ones(len(raw)))[0]))


def _by_drug(odds: Odds, rows: RowDrift, kind: KindFit, n_levels: int) -> tuple[Effects, Effects, np.ndarray]:
    """Drift of drugs ``(D, G)``, at levels ``(D, V, G)``, at others as at measured ones, and past the graph ``(D, G)``."""
    contrasts, found, off = odds.shifts.contrasts, rows.effects, 1 - kind.of_drug.probability
    past_graph, of_drug = np.zeros(off.shape), Effects(off, np.zeros(off.shape), np.zeros(off.shape))
    mean, sd = np.zeros((2, len(off), n_levels, off.shape[1]))
    for d in range(len(off)):
        own = np.flatnonzero(contrasts.drug == d)
        if len(own):
            past_graph[d] = rows.past_graph[own].mean(axis=0)
            of_drug.mean[d] = mean[d] = found.mean[own].mean(axis=0)
            of_drug.sd[d] = sd[d] = np.sqrt((found.sd[own] ** 2).mean(axis=0))
            mean[d, contrasts.level[own]], sd[d, contrasts.level[own]] = found.mean[own], found.sd[own]
    at_level = Effects(np.repeat(off[:, None], n_levels, axis=1), mean, sd)
    if rows.everywhere is None:
        return of_drug, at_level, past_graph
    hidden = np.zeros(mean.shape)  # (D, V, G)
    for d in range(len(off)):
        own = np.flatnonzero(contrasts.drug == d)
        if len(own):
            hidden[d] = rows.everywhere[own].mean(axis=0)
            hidden[d, contrasts.level[own]] = rows.everywhere[own]
    return _with_everywhere(of_drug, hidden.mean(axis=1)), _with_everywhere(at_level, hidden), past_graph


def _with_everywhere(drift: Effects, hidden: np.ndarray) -> Effects:
    """Drift where genes are no targets, beside what acts wherever they are."""
    return Effects(np.ones(hidden.shape), drift.expected + hidden, np.sqrt(drift.probability) * drift.sd)


def _of_pairs(left: np.ndarray, odds: Odds, design: Design, fraction: np.ndarray) -> tuple[np.ndarray, Effects]:
    """Drugs and baseline groups measured together ``(M, 2)``, and what the drug does more there, ``(M, G)``."""
    contrasts = odds.shifts.contrasts
    single = np.flatnonzero(design.single)
    of_drug = design.present[single].argmax(axis=1)
    pairs, which = np.unique(np.stack([of_drug, design.group[single]], axis=1), axis=0, return_inverse=True)
    height = fraction[single, of_drug][:, None]
    precision = 1 / (odds.shifts.error[single] + contrasts.context_sd**2)
    total = np.maximum(sum_by(height**2 * precision, which.ravel(), len(pairs)), SMALLEST)
    estimate = sum_by(height * precision * left[single], which.ravel(), len(pairs)) / total
    return pairs, t_posterior(estimate, 1 / total, np.full((len(pairs), 1), contrasts.group_sd))
