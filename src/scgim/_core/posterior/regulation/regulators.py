"""Regulators whose activity drugs change, judged together with shifts of genes (layer `_core`; not from the paper).

A regulator is a node without a measured value. A drug that changes its activity by a moves the genes of its edges by
``a w_j``, where edges are right with a probability and sizes are known up to a standard deviation. Each gene is still
(up to drift), moved by the regulator, or a target of its own; with edges summed out gene by gene, the evidence of an
activity is one sum over a grid: exact.

Untouched, a regulator varies between cells with a variance ``v`` (`scgim._core.posterior.regulation.loadings`), so that
the mean over n cells has a chance activity ``a ~ N(0, v / n)``, which moves all its genes together; a drug that acts on
it adds to that, ``N(0, v / n + s^2)``.

Regulators of a drug are found one effect at a time, each a choice of one or none given the others :cite:p:`wang2020`.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
from scipy.special import expit, logsumexp, ndtr

from scgim._core.arrays import log_odds_of_any
from scgim._core.posterior.background import Background
from scgim._core.posterior.regulation.network import Network
from scgim._core.posterior.regulation.row import TINY, Row
from scgim._core.posterior.shifts import Shifts
from scgim._core.state import savable

ANY = 0.1  # prior probability that an effect is one of a regulator
MOST_EFFECTS = 4  # regulators of one drug
N_SWEEPS = 2  # over the effects
ACTIVITY_SDS = (0.5, 1.0, 2.0)  # of the prior of activities, in standard deviations of the average gene moved
SIZES = np.geomspace(0.005, 8.0, 57)  # of activities; ratios are finer than what the sizes of edges leave open
ACTIVITIES = np.concatenate([-SIZES[::-1], [0.0], SIZES])  # grid of A
WORTH_NAMING = 0.01  # probability from which a regulator enters what is expected of genes, in an effect that is one of some regulator
CLEAR = 2.0  # standard deviations of what a regulator adds to a gene


@savable
@dataclass(frozen=True)
class RegulatorFit:
    """Regulators whose activity drugs change."""

    network: Network  # T regulators
    # (D, T) that the drug changes the activity of the regulator
    probability: np.ndarray
    log_odds: np.ndarray
    # (D, T) change if so, and its standard deviation, in units of what the average target gene moves by
    activity: np.ndarray
    activity_sd: np.ndarray
    # (D, G) what regulators add to the genes, in expectation, and its standard deviation
    shift: np.ndarray
    shift_sd: np.ndarray

    @classmethod
    def none(cls, n_drugs: int, n_genes: int) -> RegulatorFit:
        """Where no network of regulators was given."""
        nothing, still = np.zeros((n_drugs, 0)), np.zeros((n_drugs, n_genes))
        edges = np.zeros(0, dtype=int)
        return cls(Network((), edges, edges, np.zeros(0)), nothing, nothing, nothing, nothing, still, still)

    def __bool__(self) -> bool:
        """Whether there is any regulator."""
        return bool(self.network.names)

    @property
    def moves(self) -> np.ndarray:
        """``(D, G)`` bool; genes that regulators move beyond doubt."""
        return (self.shift != 0) & (np.abs(self.shift) > CLEAR * self.shift_sd)

    def with_odds(self, log_odds: np.ndarray) -> RegulatorFit:
        """The same with other log odds ``(D, T)``."""
        return replace(self, log_odds=log_odds, probability=expit(log_odds))

    def scale(self, by: np.ndarray) -> RegulatorFit:
        """The shifts in other units of the genes."""
        return replace(self, shift=self.shift * by, shift_sd=self.shift_sd * by)


def prior_masses(variance: np.ndarray) -> np.ndarray:
    """Log masses ``(..., A)`` of centred Gaussians of these variances ``(...)`` around the activities of the grid."""
    middle = (ACTIVITIES[1:] + ACTIVITIES[:-1]) / 2
    below = ndtr(middle / np.sqrt(np.maximum(variance, TINY))[..., None])  # (..., A - 1)
    ends = np.zeros((*below.shape[:-1], 1))
    return np.asarray(np.log(np.maximum(np.diff(np.concatenate([ends, below, ends + 1], axis=-1)), TINY)))


@dataclass
class _Effect:
    """One choice of a regulator or none: probabilities ``(T,)``, activities on the grid, and what it adds to rows ``(R', G)``."""

    probability: np.ndarray
    log_ratio: np.ndarray
    activity: np.ndarray
    activity_sd: np.ndarray
    add: np.ndarray
    spread: np.ndarray
    still: np.ndarray


class _Drug:
    """Regulators of one drug, whose rows have activities of their own."""

    def __init__(self, shifts: Shifts, background: Background, rows: np.ndarray, network: Network) -> None:
        self.shifts, self.background, self.rows, self.network = shifts, background, rows, network
        self.genes, self.gene = np.unique(network.target, return_inverse=True)  # (G',), (E,)
        self.added = network.weight[:, None] * ACTIVITIES  # (E, A)
        self.added_sd = network.weight_sd[:, None] * np.abs(ACTIVITIES)  # (E, A)
        self.right = network.probability  # (E,)
        between = np.zeros(len(network.names)) if network.variance is None else network.variance  # (T,)
        self.chance = np.broadcast_to(shifts.sampled, len(shifts.contrasts.drug))[rows, None] * between  # (R', T)

    def explain(self) -> list[_Effect]:
        """Effects, until one finds no regulator; then all once more, given the others."""
        effects: list[_Effect] = []
        for _ in range(MOST_EFFECTS):
            found = self._choose(effects)
            effects.append(found)
            if found.probability.sum() < 0.5:
                break
        for _ in range(N_SWEEPS - 1) if len(effects) > 2 else ():
            for i in range(len(effects)):
                effects[i] = self._choose(effects[:i] + effects[i + 1 :])
        return effects

    def _choose(self, others: list[_Effect]) -> _Effect:
        """A regulator or none, given what others add."""
        R, T, G = len(self.rows), len(self.network.names), len(self.genes)
        log_ratio, posterior, tables = np.zeros(T), [], []
        for i, r in enumerate(self.rows):
            fixed = sum((effect.add[i] for effect in others), np.zeros(G))
            row = Row.of(self.shifts, self.background, int(r), self.genes, fixed)
            of_regulator = np.zeros((T, len(ACTIVITIES)))
            of_edge = row.ratio(self.gene, self.added, self.added_sd, self.right)  # (E, A)
            np.add.at(of_regulator, self.network.source, of_edge)
            wide = [prior_masses(self.chance[i] + sd**2) for sd in ACTIVITY_SDS]
            joint = of_regulator + logsumexp(wide, axis=0) - np.log(len(wide))
            evidence = logsumexp(joint, axis=1)
            log_ratio += evidence - logsumexp(of_regulator + prior_masses(self.chance[i]), axis=1)
            posterior.append(np.exp(joint - evidence[:, None]))  # (T, A)
            tables.append(row)
        log = log_ratio + np.log(ANY / T)
        probability = np.exp(log - np.logaddexp(logsumexp(log), np.log1p(-ANY)))
        mean = np.stack([p @ ACTIVITIES for p in posterior])  # (R, T)
        square = np.stack([p @ ACTIVITIES**2 for p in posterior])
        add, spread, still = np.zeros((R, G)), np.zeros((R, G)), np.zeros((R, G))
        for i, (row, of_a) in enumerate(zip(tables, posterior, strict=True)):
            add[i], spread[i], still[i] = self._of_genes(row, of_a, mean[i], probability)
        activity = mean.mean(axis=0)
        return _Effect(
            probability,
            log_ratio,
            activity,
            np.sqrt(np.maximum(square - mean**2, 0).mean(axis=0) + mean.var(axis=0)),
            add,
            spread,
            still,
        )

    def _of_genes(
        self, row: Row, of_a: np.ndarray, mean: np.ndarray, probability: np.ndarray
    ) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """Mean and variance of what is added to genes ``(G',)``, and likelihood ratio of a gene that is no target."""
        add, second = np.zeros((2, len(self.genes)))
        still = row.still
        ratio = np.ones(len(self.genes))  # over that without a regulator
        for t in np.flatnonzero(probability > WORTH_NAMING) if probability.sum() > 0.5 else ():
            edge = np.flatnonzero(self.network.source == t)
            gene, shift, right = self.gene[edge], self.network.weight[edge] * mean[t], self.right[edge]
            moved = (row.moved(gene, self.added[edge], self.added_sd[edge]) @ of_a[t]) / still[gene]  # (e,)
            there = right * moved / (right * moved + 1 - right)
            prior = (self.network.weight_sd[edge] * mean[t]) ** 2
            total = prior + row.variance[gene]
            m = (shift * row.variance[gene] + row.shift[0, gene] * prior) / total
            add[gene] += probability[t] * there * m
            second[gene] += probability[t] * there * (m**2 + prior * row.variance[gene] / total)
            ratio[gene] += probability[t] * right * (moved - 1)
        return add, np.maximum(second - add**2, 0.0), np.maximum(ratio, TINY)


def fit_regulators(
    shifts: Shifts, background: Background, network: Network, n_drugs: int
) -> tuple[RegulatorFit, np.ndarray]:
    """Regulators of all drugs, and what they take from the log odds of genes.

    Parameters
    ----------
    shifts, background
        Of R rows, each a drug at a level.
    network
        What regulators act on.

    Returns
    -------
    The regulators, in standard deviations of the genes, and log ratios ``(D, G)`` of a gene that is no target with regulators over
    one without.
    """
    T, G = len(network.names), shifts.estimate.shape[2]
    activity, sd = np.zeros((n_drugs, T)), np.zeros((n_drugs, T))
    log_odds = np.full((n_drugs, T), np.log(ANY / T))
    shift, shift_sd, taken = np.zeros((n_drugs, G)), np.zeros((n_drugs, G)), np.zeros((n_drugs, G))
    genes = np.unique(network.target)
    for d in range(n_drugs):
        rows = np.flatnonzero(shifts.contrasts.drug == d)
        if not len(rows):
            continue
        effects = _Drug(shifts, background, rows, network).explain()
        each = np.stack([effect.probability for effect in effects])  # (L, T)
        best = each.argmax(axis=0)
        at = np.arange(T)
        log_odds[d] = _log_odds(effects)
        activity[d] = np.stack([effect.activity for effect in effects])[best, at]
        sd[d] = np.stack([effect.activity_sd for effect in effects])[best, at]
        shift[d, genes] = sum(effect.add.mean(axis=0) for effect in effects)
        shift_sd[d, genes] = np.sqrt(sum(effect.spread.mean(axis=0) for effect in effects))
        taken[d, genes] = sum(np.log(effect.still).sum(axis=0) for effect in effects)
    return RegulatorFit(network, expit(log_odds), log_odds, activity, sd, shift, shift_sd), taken


def _log_odds(effects: list[_Effect]) -> np.ndarray:
    """Log odds ``(T,)`` that any effect is one of the regulator, with all digits."""
    out = []
    for effect in effects:
        log = effect.log_ratio + np.log(ANY / len(effect.log_ratio))
        everything = np.append(log, np.log1p(-ANY))
        others = np.array([logsumexp(np.delete(everything, t)) for t in range(len(log))])
        out.append(log - others)
    return log_odds_of_any(np.stack(out))
