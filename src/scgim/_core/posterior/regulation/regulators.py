"""Regulators whose activity drugs change, judged together with shifts of genes (layer `_core`; not from the paper).

A regulator is a node without a measured value; a network says which genes it acts on, and how. A drug that changes its activity by
a moves the genes of its edges by ``a w_j u_j``. An edge is right with probability `RIGHT`, and its size is known up to
``u_j ~ N(1, RELATIVE_SD^2)``, so that wrong edges cost little and sizes need not be given. Each gene is then still (up to drift),
moved by the regulator, or a target of its own; with the edges summed out gene by gene the likelihood of the activity is a product over
genes, and its evidence one sum over a grid: exact, whatever the genes do.

Regulators of a drug are found one effect at a time, each a choice of one regulator or none, given the others
:cite:p:`wang2020`: regulators that share genes share the probability, and one explains the other away.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
from scipy.special import expit, logsumexp

from scgim._core.posterior.background import Background, log_normal, scales
from scgim._core.posterior.regulation.network import Network
from scgim._core.posterior.shifts import Shifts
from scgim._core.state import savable

RIGHT = 0.7  # probability that an edge of the network is right
RELATIVE_SD = 0.4  # of the size of an edge
ANY = 0.1  # prior probability that an effect is one of a regulator
MOST_EFFECTS = 4  # regulators of one drug
N_SWEEPS = 2  # over the effects
ACTIVITY_SDS = (0.5, 1.0, 2.0)  # of the prior of activities, in standard deviations of the average gene moved
ACTIVITIES = np.geomspace(
    0.05, 8.0, 40
)  # grid, of either sign; ratios are finer than what the sizes of edges leave open
U_EDGES = np.linspace(-1.0, 3.0, 41)  # bins of relative sizes of edges
STEP = 0.04  # of the grid of shifts on which likelihoods are tabulated, in standard deviations of the gene
LARGEST = 12.0  # shift on that grid
N_TAILS = 3  # components that stand for the t distribution of drift here
WORTH_NAMING = 0.01  # probability from which a regulator enters what is expected of genes, in an effect that is one of some regulator
CLEAR = 2.0  # standard deviations of what a regulator adds to a gene
TINY = 1e-300


@savable
@dataclass(frozen=True)
class RegulatorFit:
    """Regulators whose activity drugs change.

    Attributes
    ----------
    network
        T regulators.
    probability, log_odds
        ``(D, T)``; that the drug changes the activity of the regulator.
    activity, activity_sd
        ``(D, T)``; change if so, and its standard deviation, in units of what the average target gene moves by.
    shift, shift_sd
        ``(D, G)``; what regulators add to the genes, in expectation, and its standard deviation.
    """

    network: Network
    probability: np.ndarray
    log_odds: np.ndarray
    activity: np.ndarray
    activity_sd: np.ndarray
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


def grid() -> tuple[np.ndarray, np.ndarray]:
    """Activities ``(A,)`` and logarithms of their prior masses."""
    a = np.concatenate([-ACTIVITIES[::-1], ACTIVITIES])
    density = sum(np.exp(log_normal(a**2, np.full(a.shape, sd**2))) for sd in ACTIVITY_SDS)
    mass = density * np.abs(a)  # spacing of a geometric grid
    return a, np.log(mass / mass.sum())


@dataclass(frozen=True)
class Row:
    """Likelihoods of one row of shifts, a drug at a level, on a grid of what regulators add.

    Attributes
    ----------
    still
        ``(G,)``; of what is seen, if nothing adds to drift.
    target
        ``(G,)``; if the gene is a target of its own.
    moved
        ``(G, M)``; averaged over the sizes of an edge, if a regulator adds a shift of `at` ``(M,)`` on average.
    at
        Grid of shifts.
    p_target
        Prior probability of a target.
    estimate, variance
        ``(G,)``; the shift beyond what is fixed, and its variance with that of drift.
    """

    still: np.ndarray
    target: np.ndarray
    moved: np.ndarray
    at: np.ndarray
    p_target: float
    estimate: np.ndarray
    variance: np.ndarray

    @classmethod
    def of(cls, shifts: Shifts, background: Background, r: int, genes: np.ndarray, fixed: np.ndarray) -> Row:
        """The genes ``(G',)`` of a row, given what other effects add ``(G',)``."""
        estimate = shifts.estimate[:, r, genes] - fixed  # (V, G')
        passed = background.slope_sd**2 * shifts.passed[:, r, genes]
        q = scales(background.freedom, N_TAILS)[:, None, None]
        spread = q * background.scale[r, genes] + shifts.variance[:, r, genes] + passed  # (C, V, G')
        share = np.array([background.graph_share, 1 - background.graph_share])[:, None] / len(q)
        wide = spread + background.effect_sd**2
        target = (share * np.exp(log_normal(estimate**2, wide))).sum(axis=(0, 1))
        at = np.arange(-LARGEST, LARGEST + STEP / 2, STEP)
        density = np.zeros((len(genes), len(at)))
        for c in range(len(q)):
            for v in range(2):
                away = (estimate[v][:, None] - at) ** 2
                density += share[v] * np.exp(log_normal(away, spread[c, v][:, None]))
        still = np.maximum(density[:, len(at) // 2], TINY)
        return cls(
            still,
            np.maximum(target, TINY),
            _over_sizes(density, at),
            at,
            background.p_target,
            estimate[0],
            shifts.variance[0, r, genes] + passed[0] + background.scale[r, genes],
        )

    def ratio(self, gene: np.ndarray, shift: np.ndarray) -> np.ndarray:
        """Log likelihood ratio ``(E, A)`` of edges to genes ``(E,)`` that add `shift` ``(E, A)`` against none that do."""
        p = self.p_target
        plain = (1 - p) * self.still[gene] + p * self.target[gene]  # (E,)
        moved = (1 - p) * self.look_up(gene, shift) + p * self.target[gene][:, None]
        return np.asarray(np.log((1 - RIGHT) + RIGHT * moved / plain[:, None]))

    def look_up(self, gene: np.ndarray, shift: np.ndarray) -> np.ndarray:
        """Likelihoods of genes ``(E,)`` at shifts ``(E, A)``, between points of the grid."""
        place = np.clip((shift - self.at[0]) / STEP, 0, len(self.at) - 1.001)
        low = place.astype(int)
        part = place - low
        row = gene[:, None]
        return np.asarray((1 - part) * self.moved[row, low] + part * self.moved[row, low + 1])


def _over_sizes(density: np.ndarray, at: np.ndarray) -> np.ndarray:
    """Averages of likelihoods ``(G, M)`` over the relative size of an edge, exactly within bins of it."""
    total = np.concatenate(
        [np.zeros((len(density), 1)), np.cumsum((density[:, 1:] + density[:, :-1]) / 2, axis=1)], axis=1
    )
    middle = (U_EDGES[1:] + U_EDGES[:-1]) / 2
    weight = np.exp(-0.5 * ((middle - 1) / RELATIVE_SD) ** 2)
    weight /= weight.sum()
    out = np.zeros_like(density)
    for low, high, w in zip(U_EDGES[:-1], U_EDGES[1:], weight, strict=True):
        ends = []
        for u in (low, high):
            place = np.clip((at * u - at[0]) / STEP, 0, len(at) - 1.001)
            i = place.astype(int)
            ends.append((1 - (place - i)) * total[:, i] + (place - i) * total[:, i + 1])
        width = at * (high - low) / STEP  # in steps of the grid
        narrow = np.abs(width) < 0.5
        place = np.clip(np.round((at * (low + high) / 2 - at[0]) / STEP).astype(int), 0, len(at) - 1)
        out += w * np.where(narrow, density[:, place], (ends[1] - ends[0]) / np.where(narrow, 1.0, width))
    return np.maximum(out, TINY)


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
        self.a, self.log_prior = grid()
        self.added = self.network.weight[:, None] * self.a  # (E, A)

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
            of_edge = row.ratio(self.gene, self.added)  # (E, A)
            of_regulator = np.zeros((T, len(self.a)))
            np.add.at(of_regulator, self.network.source, of_edge)
            joint = of_regulator + self.log_prior
            evidence = logsumexp(joint, axis=1)
            log_ratio += evidence
            posterior.append(np.exp(joint - evidence[:, None]))  # (T, A)
            tables.append(row)
        log = log_ratio + np.log(ANY / T)
        probability = np.exp(log - np.logaddexp(logsumexp(log), np.log1p(-ANY)))
        mean = np.stack([p @ self.a for p in posterior])  # (R, T)
        square = np.stack([p @ self.a**2 for p in posterior])
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
        ratio = np.ones(len(self.genes))  # over that without a regulator
        for t in np.flatnonzero(probability > WORTH_NAMING) if probability.sum() > 0.5 else ():
            edge = np.flatnonzero(self.network.source == t)
            gene, shift = self.gene[edge], self.network.weight[edge] * mean[t]
            moved = (row.look_up(gene, self.added[edge]) @ of_a[t]) / row.still[gene]  # (e,)
            there = RIGHT * moved / (RIGHT * moved + 1 - RIGHT)
            prior = (RELATIVE_SD * shift) ** 2
            total = prior + row.variance[gene]
            m = (shift * row.variance[gene] + row.estimate[gene] * prior) / total
            add[gene] += probability[t] * there * m
            second[gene] += probability[t] * there * (m**2 + prior * row.variance[gene] / total)
            ratio[gene] += probability[t] * ((1 - RIGHT) + RIGHT * moved - 1)
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
    n_drugs
        Number of drugs D.

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
    out = np.full(len(effects[0].probability), -np.inf)
    for effect in effects:
        log = effect.log_ratio + np.log(ANY / len(effect.log_ratio))
        everything = np.append(log, np.log1p(-ANY))
        others = np.array([logsumexp(np.delete(everything, t)) for t in range(len(log))])
        out = np.logaddexp(out, log - others)
    return out
