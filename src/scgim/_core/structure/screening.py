"""What the search over orders starts from: candidate parents of each gene, and an order (layer `_core`; not from the paper)."""

import numpy as np

from scgim._core.structure.score import ShiftScore

CLEAR = 5  # standard errors by which a drug moves a gene
N_ADDED = 10  # candidates of each gene, of those that were not screened


def screen(score: ShiftScore, most: int) -> list[np.ndarray]:
    """Candidate parents of each gene: strong partial and strong plain correlations within contexts, and joint responses.

    Parents lie in the Markov blanket, so they have a partial correlation; the others stand in for parents that an
    order forbids.
    """
    B, G = score.n_functions, score.n_genes
    if G - 1 <= most:
        return [np.delete(np.arange(G), j) for j in range(G)]
    S = score.within[::B, ::B]
    sd = np.sqrt(np.diag(S))
    plain = np.abs(S / np.outer(sd, sd))
    precision = np.linalg.inv(S + 1e-3 * np.diag(np.diag(S)))
    d = np.sqrt(np.diag(precision))
    partial = np.abs(precision / np.outer(d, d))
    means = score.flat[:, ::B] - score.groups @ (score.start_baseline @ score.flat[:, ::B])
    response = np.abs(np.nan_to_num(np.corrcoef(means.T)))
    lists = []
    for j in range(G):
        free, chosen = np.ones(G, dtype=bool), []
        free[j] = False
        shares = (most // 2, most // 4, most - most // 2 - most // 4)
        for values, share in zip((partial, plain, response), shares, strict=True):
            ranking = np.argsort(-values[j], kind="stable")
            chosen.append(ranking[free[ranking]][:share])
            free[chosen[-1]] = False
        lists.append(np.sort(np.concatenate(chosen)))
    return lists


def widen(
    score: ShiftScore, candidates: list[np.ndarray], parents: dict[int, tuple[int, ...]], most: int = N_ADDED
) -> list[np.ndarray]:
    """Adds to the candidates of each gene those of all genes that it would most gain from beside its parents."""
    out = []
    for j, listed in enumerate(candidates):
        free = np.setdiff1d(np.arange(score.n_genes), (*parents[j], j))
        free = free[np.isfinite(score.prior.edge_price[free, j])]
        gain = score.coarse_added(j, parents[j], free) if len(free) else np.zeros(0)
        out.append(np.union1d(listed, free[np.argsort(-gain, kind="stable")[:most]]))
    return out


def response_order(score: ShiftScore) -> np.ndarray:
    """Genes that few drugs move first: ancestors move less often than descendants."""
    B = score.n_functions
    mean = score.flat[:, ::B]  # (K, G)
    base = score.groups @ (score.start_baseline @ mean)
    z = np.abs(mean - base) / np.sqrt(np.diag(score.within)[::B] / score.n[:, None])
    moved = np.maximum.reduceat(z[score.n_control :], score.starts, axis=0) > CLEAR  # (U, G)
    return np.argsort(moved.sum(axis=0) + 1e-3 * z.mean(axis=0) / (1 + z.mean()), kind="stable")
