"""Genes that no training drug hits, read from drugs without cells (layer `_core`; not from the paper).

Drugs that hit the same such gene share its weights v in all features: ``x_d = V_S a_d + psi_d v + noise``, with the
weights V of the other genes known. One drug alone cannot tell v from others of its targets; two or more can, as the
same v has to explain all of them. Nothing tells the sign of v, but for the effects that are usual, nor which of several
such genes it belongs to.
"""

from __future__ import annotations

from dataclasses import replace
from typing import NamedTuple

import numpy as np
from scipy.special import expit

from scgim._core.features.backward import UNSURE, LinearBlock
from scgim._core.features.backward_map import BackwardMap
from scgim._core.features.decode import Evidence, Support, Visited, visit
from scgim._core.features.prior import PopulationPrior
from scgim._core.features.rows import Rows
from scgim._core.posterior.slab import log_mixture

LIKELY = 0.5  # probability of a target among the genes in question, from which a drug is asked
WORTH = 10.0  # nats by which weights have to explain other drugs better than unknown ones
MOST_UNSEEN = 2  # genes in question; of more, what was learned made as many errors beside these as it mended
# for time
MOST_DRUGS, MOST_LIKELY = 100, 12  # drugs that are looked at, and that are asked
MANY_GENES = 100  # from which fewer drugs are looked at, in proportion
MOST_SEEDS, MOST_SUPPORTS = 6, 3  # drugs that weights start from, and supports of each
N_STEPS = 3  # of weights and interventions in turn
QUICK = {"budget": 1500, "rescored": 50, "exchanges": 1}


class Weights(NamedTuple):
    """Of one gene, in all features."""

    mean: np.ndarray  # (L,)
    deviation: np.ndarray  # (T, L) draws


def learn_unseen(
    learned: BackwardMap, rows: list[Rows], n_drugs: int, targets: np.ndarray, prior: PopulationPrior
) -> BackwardMap:
    """The map with weights of genes that no training drug hits, as far as drugs without cells tell them.

    Parameters
    ----------
    learned
        From the training drugs.
    rows, n_drugs
        Features of the drugs without cells, 0, ..., n_drugs - 1, one row of each block.
    targets
        (D, G) probabilities of the training drugs' targets.
    prior
        Of supports and effects.
    """
    genes = np.flatnonzero(targets.max(axis=0) < UNSURE)
    if len(genes) > MOST_UNSEEN or n_drugs < 2:
        return learned
    most = MOST_DRUGS * MANY_GENES // max(targets.shape[1], MANY_GENES)
    every = np.arange(0, n_drugs, -(-n_drugs // max(most, MOST_LIKELY)))
    out, known, n_drugs, rows = learned, list[int](), len(every), [r.of(every) for r in rows]
    for gene in genes:
        drugs = _Drugs(out, [[r.of(np.array([d])) for r in rows] for d in range(n_drugs)], prior)
        better = drugs.learn(int(gene), set(genes.tolist()) - set(known))
        if better is None:
            break
        out, known = better, [*known, int(gene)]
    return replace(out, nameless=genes, sign=_sign(out, known, rows, n_drugs, prior)) if known else learned


class _Drugs:
    """Drugs without cells, under a map."""

    def __init__(self, learned: BackwardMap, rows: list[list[Rows]], prior: PopulationPrior) -> None:
        self.map, self.rows, self.prior = learned, rows, prior
        self.found = [self.visited(learned, d) for d in range(len(rows))]

    def evidence(self, learned: BackwardMap, drug: int) -> Evidence:
        """What the features of a drug say."""
        return Evidence(learned.blocks, self.rows[drug], self.prior.second_moment, inflation=learned.inflation)

    def visited(self, learned: BackwardMap, drug: int) -> Visited:
        """Its supports."""
        return visit(self.evidence(learned, drug), self.prior, **QUICK)

    def learn(self, gene: int, unknown: set[int]) -> BackwardMap | None:
        """The map with weights of a gene, from drugs that hit one of the `unknown`; None where these share nothing."""
        share = [sum(np.exp(v[0] - _total(f)) for s, v in f.items() if unknown & set(s)) for f in self.found]
        likely = [d for d in np.argsort(share)[::-1].tolist() if share[d] > LIKELY][:MOST_LIKELY]
        best: BackwardMap | None = None
        most = WORTH
        for seed in likely[:MOST_SEEDS]:
            for support in self._supports(seed, unknown):
                trial = _with(self.map, gene, self._weights_from(seed, support, unknown))
                others = [d for d in likely if d != seed]
                gain = sum(_total(self.visited(trial, d)) - _total(self.found[d]) for d in others)
                if gain > most:
                    best, most = trial, gain
        if best is None:
            return None
        for _ in range(N_STEPS):
            best = self._absorbed(_with(best, gene, self._weights_of_all(best, gene, likely)), gene, likely)
        return best

    def _absorbed(self, learned: BackwardMap, gene: int, likely: list[int]) -> BackwardMap:
        """The map where the weights take up a target that comes with the gene in one proportion, if that explains more."""
        found, ratios = [self.visited(learned, d) for d in likely], dict[int, list[float]]()
        for each in found:
            effect = _best(each)
            for other in set(effect) - {gene} if gene in effect else ():
                ratios.setdefault(other, []).append(effect[other] / effect[gene])
        total = sum(map(_total, found))
        for other, ratio in ratios.items():
            if len(ratio) > 1:
                own, taken = _of(learned, gene), _of(learned, other)
                trial = _with(learned, gene, Weights(own.mean + np.median(ratio) * taken.mean, own.deviation))
                better = sum(_total(self.visited(trial, d)) for d in likely)
                learned, total = (trial, better) if better > total else (learned, total)
        return learned

    def _supports(self, drug: int, unknown: set[int]) -> list[Support]:
        """Probable supports of a drug with one of the genes, this one left out."""
        found = self.found[drug]
        one = [s for s in sorted(found, key=lambda s: -found[s][0]) if len(unknown & set(s)) == 1]
        return list(dict.fromkeys([(), *(tuple(g for g in s if g not in unknown) for s in one)]))[:MOST_SUPPORTS]

    def _weights_from(self, drug: int, others: Support, unknown: set[int]) -> Weights:
        """What other targets leave of one drug's features, of the usual length."""
        evidence, at = self.evidence(self.map, drug), [*others, min(unknown)]
        mean, covariance, _ = evidence(np.array([at]))
        left = evidence.y - evidence.offset[at].sum(0) - mean[0, :-1] @ evidence.slope[at[:-1]]
        usual = np.sqrt(np.median((np.delete(evidence.slope, list(unknown), axis=0) ** 2).sum(1)))
        scale = usual / max(float(np.linalg.norm(left)), 1e-12)
        rng, n_draws = np.random.default_rng(0), self.map.blocks[0].deviations.shape[1]
        values, vectors = np.linalg.eigh(covariance[0, :-1, :-1])
        root = vectors * np.sqrt(np.maximum(values, 0))
        draws = rng.standard_normal((n_draws, len(others))) @ root.T @ evidence.slope[at[:-1]]
        noise = rng.standard_normal((n_draws, len(left))) * np.sqrt(evidence.noise)
        return Weights(scale * left, scale * (noise - draws))

    def _weights_of_all(self, learned: BackwardMap, gene: int, likely: list[int]) -> Weights:
        """By regression of what other targets leave of the features on the effect, weighted by how sure these are."""
        square, product, noise = 0.0, np.zeros(()), np.zeros(())
        for d in likely:
            found, evidence = self.visited(learned, d), self.evidence(learned, d)
            effect, noise = _best(found), evidence.noise
            if gene in effect:
                others = ((g != gene) * a * evidence.slope[g] for g, a in effect.items())
                left = evidence.y - evidence.offset[list(effect)].sum(0) - sum(others)
                weight = float(np.exp(max(log for log, _, _ in found.values()) - _total(found)))
                square, product = square + weight * effect[gene] ** 2, product + weight * effect[gene] * left
        before = _of(learned, gene)
        if square == 0:
            return before
        draws = np.random.default_rng(0).standard_normal(before.deviation.shape)
        return Weights(product / square, draws * np.sqrt(noise / square))


def _total(found: Visited) -> float:
    """Log evidence, up to a constant."""
    return float(np.logaddexp.reduce([log for log, _, _ in found.values()]))


def _best(found: Visited) -> dict[int, float]:
    """Effects of the genes of the most probable support."""
    top = max(found, key=lambda s: found[s][0])
    return dict(zip(top, found[top][1].tolist(), strict=True))


def _of(learned: BackwardMap, gene: int) -> Weights:
    """Weights of a gene's effect."""
    rows = [len(block.weights) // 2 - 1 + gene for block in learned.blocks]
    both = [(block.weights[row], block.deviations[row]) for block, row in zip(learned.blocks, rows, strict=True)]
    return Weights(np.concatenate([mean for mean, _ in both]), np.concatenate([draws for _, draws in both], axis=-1))


def _with(learned: BackwardMap, gene: int, weights: Weights) -> BackwardMap:
    """The map with other weights of a gene's effect."""
    blocks, start = [], 0
    for block in learned.blocks:
        row, part = len(block.weights) // 2 - 1 + gene, slice(start, start + len(block.noise))
        mean, deviation = block.weights.copy(), block.deviations.copy()
        mean[row], deviation[row] = weights.mean[part], weights.deviation[:, part]
        blocks.append(LinearBlock(block.rotation, mean, deviation, block.noise))
        start = part.stop
    return replace(learned, blocks=blocks)


def _sign(learned: BackwardMap, genes: list[int], rows: list[Rows], n_drugs: int, prior: PopulationPrior) -> float:
    """How sure the sign of the weights is, between -1 and 1: from how usual the effects are, and their opposites."""
    found = learned.decode(rows, n_drugs, prior, quick=True)
    at = found.probability[:, genes] > LIKELY
    effect, variance = found.mean[:, genes][at], found.sd[:, genes][at] ** 2
    odds = (log_mixture(effect, variance, prior.slab) - log_mixture(-effect, variance, prior.slab)).sum()
    return float(2 * expit(odds) - 1)
