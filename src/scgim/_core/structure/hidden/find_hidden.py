"""Hidden causes that move several genes at once: latent factors of the noises (layer `_core`; not from the paper).

With factors z noises are ``e = L z + own noise``, with covariance ``L L' + D`` within contexts, and a drug may move the
means by ``L f``. Given a graph, L and D are those of a factor analysis of what it leaves, f that of a regression beside
sparse targets; given the factors, the graph is searched in moments without them. In between both are moved together
(`fit_together`); it begins with `sparse_and_low_rank`. What has most evidence is kept, the graph without factors among
it.
"""

from collections.abc import Callable
from dataclasses import dataclass, replace

import numpy as np

from scgim._core.design import Design
from scgim._core.moments.moments import Hidden, Moments
from scgim._core.posterior.contrasts import references
from scgim._core.posterior.evidence import Evidence
from scgim._core.structure.hidden.factor_analysis import factor_analysis
from scgim._core.structure.hidden.factor_scores import factor_scores
from scgim._core.structure.hidden.fit_together import fit_together
from scgim._core.structure.hidden.sparse_and_low_rank import sparse_and_low_rank
from scgim._core.structure.hidden.taken_out import taken_out
from scgim._core.structure.misfit import best_evidence
from scgim._core.structure.score import ShiftScore

MOST_FACTORS = 3
STARTS = ((0.01, 5.0), (0.01, 3.0), (0.02, 4.0))  # prices of entries and of the rank
CELLS = 1000.0  # that the covariance counts for at the least, until it is known how well it fits
MOST_ROUNDS = 4
N_SEARCHES = 2  # of a round
SMALLEST_EIGENVALUE = 1e-8  # of correlations, below which genes are sums of others
WORTH = 1.0  # nats that another round has to gain

Graphed = tuple[ShiftScore, dict[int, tuple[int, ...]], list[int], Evidence]
"""A graph with its score, order and evidence."""
Search = Callable[[Moments, float, np.ndarray | None], Graphed]
"""From moments, the cells that the covariance counts for and an order, to a graph."""


@dataclass(frozen=True)
class Found:
    """A graph with factors: moments without these, the order of its genes, log evidence, and cells the covariance is worth."""

    moments: Moments
    order: np.ndarray
    evidence: float
    cells: float


def effects_of(parents: dict[int, tuple[int, ...]], evidence: Evidence) -> np.ndarray:
    """Effects of genes on each other, ``(G, G)``."""
    out = np.zeros((len(parents), len(parents)))
    for j, coef in enumerate(evidence.coef):
        out[list(parents[j]), j] = coef
    return out


def evidence_beside_factors(
    score: ShiftScore, evidence: Evidence, weights: np.ndarray, hidden: Hidden
) -> tuple[float, float]:
    """Log evidence of a graph beside the factors that were taken out of its moments, and the cells that suit it best.

    Comparable with `misfit.total_evidence`, which would be that of cells without factors. `weights` ``(G, G)`` are the effects of
    genes on each other.
    """
    left, loading = np.eye(len(weights)) - weights, hidden.own(weights)
    cov = left.T @ score.within @ left + loading.T @ loading
    n_free = np.count_nonzero(hidden.loading) - (_turns(len(loading)) if hidden.loading.all() else 0.0)
    price = _price(n_free, score) + hidden.cost
    return _beside(score, evidence, cov, loading, np.maximum(evidence.noise, 1e-8), price)


def _turns(n_factors: int) -> float:
    """Loadings that are not free, as factors all of whose loadings are can be turned."""
    return n_factors * (n_factors - 1) / 2


def _price(n_free: float, score: ShiftScore) -> float:
    """Of so many free loadings."""
    return 0.5 * float(np.log(score.dof)) * n_free


def _beside(
    score: ShiftScore, evidence: Evidence, cov: np.ndarray, loading: np.ndarray, unique: np.ndarray, price: float
) -> tuple[float, float]:
    """Log evidence less a price and cells, where a graph leaves `cov` ``(G, G)``, to which factors add `loading` ``(r, G)`` beside `unique` ``(G,)``."""
    value, vector = np.linalg.eigh(loading.T @ loading + np.diag(unique))
    whiten = vector / np.sqrt(value) @ vector.T
    within, cells = best_evidence(whiten @ cov @ whiten, score.dof)
    log_noise = np.log(np.maximum(evidence.noise, 1e-8))
    between = float((evidence.score + 0.5 * score.within_dof * (log_noise + 1)).sum())
    return between + within - 0.5 * score.dof * float(np.log(value).sum()) - price, cells


class _Alternation:
    """Graph and factors in turn, for one number of factors."""

    def __init__(self, moments: Moments, design: Design, n_factors: int, search: Search) -> None:
        self.moments, self.design, self.n_factors, self.search = moments, design, n_factors, search
        mean = moments.mean[:, :, 0]
        self.mean = mean - (references(design) @ mean)[design.group]  # (K, G) against the controls

    def analyse(self, weights: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """Loadings ``(G, r)``, variances ``(G,)`` and covariance of what the graph leaves."""
        left = np.eye(len(weights)) - weights
        cov = left.T @ self.moments.within @ left
        sd = np.sqrt(np.maximum(np.diag(cov), 1e-12))
        loading, unique = factor_analysis(cov / np.outer(sd, sd), self.n_factors)
        return loading * sd[:, None], unique * sd**2, cov

    def without(self, weights: np.ndarray) -> Moments:
        """Moments without the factors that a graph leaves."""
        loading, unique, _ = self.analyse(weights)
        error = unique / np.maximum(self.moments.n, 1.0)[:, None]
        hidden = factor_scores(self.mean @ (np.eye(len(weights)) - weights), error, loading.T, self.design)
        return taken_out(self.moments, weights, hidden)

    def begin(self, prices: tuple[float, float]) -> Moments:
        """Moments without factors that are found without a graph."""
        within, n = self.moments.within, np.maximum(self.moments.n, 1.0)[:, None]
        sd = np.sqrt(np.diag(within))
        total = sparse_and_low_rank(within / np.outer(sd, sd), self.n_factors, *prices) * sd  # (r, G)
        precision = np.linalg.inv(within - total.T @ total)
        own = np.diag(precision)  # what each gene leaves given all others is moved by few drugs, beside factors
        hidden = factor_scores(self.mean @ precision / own, 1 / own / n, total @ precision / own, self.design)
        return taken_out(self.moments, np.zeros(within.shape), replace(hidden, loading=total))

    def run(self, prices: tuple[float, float], least: float) -> Found:
        """From factors found without a graph, until a round gains nothing, or too little for the `least` evidence."""
        score, parents, order, evidence = self.search(self.begin(prices), CELLS, None)
        weights = effects_of(parents, evidence)
        best = Found(self.moments, np.array(order), -np.inf, np.inf)
        possible = np.isfinite(score.prior.edge_price)
        for left in reversed(range(MOST_ROUNDS)):
            place = np.argsort(order)
            allowed = possible & (place[:, None] < place)
            loading, unique, _ = self.analyse(weights)
            start = np.where(allowed, weights, 0.0), loading.T, unique
            weights = fit_together(self.moments.within, self.mean, self.design, allowed, start)
            for _ in range(N_SEARCHES):
                moments = self.without(weights)
                score, parents, order, evidence = self.search(moments, CELLS, np.array(order))
                weights = effects_of(parents, evidence)
            found = Found(moments, np.array(order), *self.evidence(score, evidence, weights))
            gain = found.evidence - best.evidence
            if gain <= WORTH:
                break
            best = found
            if found.evidence + left * gain < least:  # were all rounds that are left to gain as much as this one
                break
        return best

    def evidence(self, score: ShiftScore, evidence: Evidence, weights: np.ndarray) -> tuple[float, float]:
        """Log evidence with the factors that a graph leaves now, comparable with `misfit.total_evidence`, and the cells that suit it best."""
        loading, unique, cov = self.analyse(weights)
        hidden = score.moments.hidden
        price = _price(loading.size - _turns(self.n_factors), score) + (0.0 if hidden is None else hidden.cost)
        return _beside(score, evidence, cov, loading.T, unique, price)


def find_hidden(moments: Moments, design: Design, search: Search, least: float) -> Found | None:
    """The graph with factors that has most evidence; None where none has more than `least`.

    More factors are tried as long as they help, and as long as what is left is not independent. Where one factor or two
    do not help from the first start, no other is tried; none is where genes are sums of others, which a factor would
    explain without error.
    """
    best: Found | None = None
    sd = np.sqrt(np.diag(moments.within))
    if np.linalg.eigvalsh(moments.within / np.outer(sd, sd))[0] < SMALLEST_EIGENVALUE:
        return None
    for n_factors in range(1, min(MOST_FACTORS, moments.n_genes // 4) + 1):
        one = _Alternation(moments, design, n_factors, search)
        starts = STARTS if best is not None else STARTS[:1]
        found = max((one.run(prices, least) for prices in starts), key=lambda f: f.evidence)
        if found.evidence > least:
            best, least = found, found.evidence
        elif n_factors > 1:
            break
        if best is not None and np.isinf(best.cells):
            break
    return best
