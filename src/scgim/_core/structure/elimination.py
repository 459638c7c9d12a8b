"""An order to start the search from: genes removed last first, where that leaves the least to explain (layer `_core`).

Not from the paper. A gene that acts on nothing can be marginalised out of the precision matrix of the cells, and of the
responses of contexts multiplied by it, without new entries in either; one that acts on others leaves some. So the gene
that leaves the fewest is put last, and so on: the rule of least fill of sparse elimination, with entries that cancel
recognised against sampling error.

Noise of observation has to be part of that error. Taken for signal, it leaves an entry nearly everywhere, and an order
that says nothing after a time that grows with the fourth power of the genes.
"""

import numpy as np
from scipy.linalg.blas import dger
from scipy.special import logit

from scgim._core.structure.score import ShiftScore
from scgim._core.structure.watch import Watch


class MeanNoise:
    """Error of means by observation, and what it makes of the mean of a gene given the others that are left.

    The mean of gene a given the others is ``sum_i P_ai x_i / P_aa`` with the precision P, so the errors ``s_ki`` of its
    parts give it the variance ``sum_i P_ai**2 s_ki / P_aa**2``. Those of the others are taken for a product ``w_k s_i``
    of a context and a gene, of which one matrix ``P diag(s) P`` tells all sums; that of the gene itself is exact.

    Attributes
    ----------
    context, gene
        ``(K',)`` and ``(G,)``; w and s.
    beyond
        ``(K', G)``; errors beyond the product.
    passed
        ``(G, G)``; ``P diag(s) P``.
    """

    def __init__(self, error: np.ndarray, precision: np.ndarray) -> None:
        self.gene = np.median(error, axis=0) if len(error) else np.zeros(error.shape[1])
        usual = float(np.median(self.gene))  # where most genes have none, all errors stand in `beyond`
        self.context = np.median(error, axis=1) / usual if usual > 0 else np.zeros(len(error))
        self.beyond = error - np.outer(self.context, self.gene)
        self.passed = np.ascontiguousarray((precision * self.gene) @ precision)

    def of(self, genes: np.ndarray, precision: np.ndarray, passed: np.ndarray) -> np.ndarray:
        """Variances ``(K', g)`` of the means of genes given all others, by the diagonals ``(g,)`` of P and of `passed`."""
        return np.outer(self.context, passed / precision**2) + self.beyond[:, genes]

    def without(self, j: int, near: np.ndarray, slope: np.ndarray) -> np.ndarray:
        """Diagonal ``(g,)`` of `passed` for the genes `near` once gene j is removed: ``P -> P - slope P_j``."""
        return self.passed[near, near] - 2 * slope * self.passed[near, j] + slope**2 * self.passed[j, j]

    def remove(self, j: int, slope: np.ndarray) -> None:
        """Removes gene j, on either side."""
        dger(-1.0, self.passed[j].copy(), slope, a=self.passed.T, overwrite_a=1)
        dger(-1.0, slope, self.passed[:, j].copy(), a=self.passed.T, overwrite_a=1)


class Elimination:
    """Genes that are left, their precision matrix and the responses to drugs given one another.

    ``precision`` (G, G), ``response`` (K', G) of perturbed contexts times the precision, ``adjacent`` (G, G) and
    ``hit`` (U, G) their entries beyond sampling error, ``fill`` (G,) new entries if a gene were removed now.
    """

    def __init__(self, score: ShiftScore) -> None:
        self.score = score
        S = score.within[:: score.n_functions, :: score.n_functions]
        self.precision = np.ascontiguousarray(np.linalg.inv(S + 1e-9 * np.diag(np.diag(S))))
        c = score.n_control
        own = score._centred()[1]  # (K, G) means against the baselines of controls
        self.response = np.ascontiguousarray(own[c:] @ self.precision)  # (K', G)
        control = score.groups[:c].T @ score.n[:c]  # (C,) cells of the controls
        with np.errstate(divide="ignore"):
            spare = np.where(control > 0, 1 / control, 0.0)
        self.inverse_n = 1 / score.n[c:] + score.groups[c:] @ spare  # (K',)
        self.noise = None if score.spread is None else MeanNoise(self.observed(score.spread), self.precision)
        n = score.known_dof
        price = np.log(n) + 2 * np.log(max(score.n_genes / 2, 2.0))  # twice the price of an edge
        self.least = 1 - np.exp(-price / n)  # squared partial correlation that pays for an edge
        self.left = np.ones(score.n_genes, dtype=bool)
        self.adjacent = self.related(self.precision)
        every = np.arange(score.n_genes)
        self.hit = self.hits(every, self.response, np.diag(self.precision), self.now(every))
        self.fill = np.array([self.new_entries(j) for j in range(score.n_genes)], dtype=float)

    def related(self, precision: np.ndarray) -> np.ndarray:
        """Which partial correlations pay for an edge, ``(g, g)`` -> ``(g, g)``."""
        d = np.diag(precision)
        out = precision**2 > self.least * np.outer(d, d)
        np.fill_diagonal(out, False)
        return out

    def observed(self, spread: np.ndarray) -> np.ndarray:
        """What observation adds to the variances of responses, ``(K', G)``, from that of means ``(K, G)``."""
        score, c = self.score, self.score.n_control
        return np.asarray(spread[c:] + score.groups[c:] @ (score.start_baseline**2 @ spread))

    def now(self, genes: np.ndarray) -> np.ndarray | None:
        """What the errors of all genes pass on to some ``(g,)``: diagonal of `MeanNoise.passed`; None without such errors."""
        return None if self.noise is None else self.noise.passed[genes, genes]

    def hits(
        self, genes: np.ndarray, response: np.ndarray, precision: np.ndarray, passed: np.ndarray | None
    ) -> np.ndarray:
        """Which drug sets move genes given all others that are left, ``(g,)``, ``(K', g)``, ``(g,)``, ``(g,)`` -> ``(U, g)``."""
        prior = self.score.prior
        precision = np.abs(precision)  # rounding turns signs where genes are sums of others
        error = self.inverse_n[:, None] / precision + prior.background_sd[genes] ** 2  # (K', g)
        if self.noise is not None and passed is not None:
            error += self.noise.of(genes, precision, passed)
        wide = error + prior.effect_sd[genes] ** 2
        square = (response / precision) ** 2
        gain = 0.5 * (np.log(error / wide) + square * (1 / error - 1 / wide))
        odds = np.add.reduceat(gain, self.score.starts, axis=0)  # (U, g)
        return np.asarray(odds > -logit(prior.p_target[genes]))

    def without(self, j: int, near: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray | None]:
        """Precision ``(g, g)``, responses ``(K', g)`` and errors passed on ``(g,)`` of genes once gene j is removed."""
        slope = self.precision[near, j] / self.precision[j, j]
        precision = self.precision[np.ix_(near, near)] - np.outer(slope, self.precision[j, near])
        passed = None if self.noise is None else self.noise.without(j, near, slope)
        return precision, self.response[:, near] - np.outer(self.response[:, j], slope), passed

    def new_entries(self, j: int) -> int:
        """Entries that the removal of gene j would bring less those that it would take away."""
        near = np.flatnonzero(self.adjacent[j] & self.left)
        if not len(near):
            return 0
        forbidden = int(np.isinf(self.score.prior.edge_price[near, j]).sum())
        precision, response, passed = self.without(j, near)
        pairs = (self.related(precision).sum() - self.adjacent[np.ix_(near, near)].sum()) // 2
        now = self.hits(near, response, np.diag(precision), passed)
        return forbidden + int(pairs) + int(now.sum() - self.hit[:, near].sum())

    def remove(self, j: int) -> None:
        """Removes gene j."""
        near = np.flatnonzero(self.adjacent[j] & self.left)
        slope = self.precision[:, j] / self.precision[j, j]  # (G,) which leaves zeros where genes are removed
        of_gene, row = self.response[:, j].copy(), self.precision[j].copy()
        dger(-1.0, row, slope, a=self.precision.T, overwrite_a=1)  # in place: rows are contiguous
        if len(of_gene):
            dger(-1.0, slope, of_gene, a=self.response.T, overwrite_a=1)
        if self.noise is not None:
            self.noise.remove(j, slope)
        self.left[j] = False
        if not len(near):
            return
        self.adjacent[np.ix_(near, near)] = self.related(self.precision[np.ix_(near, near)])
        self.hit[:, near] = self.hits(near, self.response[:, near], self.precision[near, near], self.now(near))
        changed = self.left & ((self.adjacent[:, near].sum(axis=1) > 1) | np.isin(np.arange(len(self.left)), near))
        for a in np.flatnonzero(changed).tolist():
            self.fill[a] = self.new_entries(a)


def eliminate(score: ShiftScore, watch: Watch | None = None) -> tuple[np.ndarray, list[np.ndarray]]:
    """Order of the genes ``(G,)``, causes first, and the neighbours of each gene when it was removed: likely parents.

    Where the watch says that it is over, the genes that are left stand as they would be removed now.
    """
    watch = Watch() if watch is None else watch
    state = Elimination(score)
    order: list[int] = []
    parents = [np.empty(0, dtype=int)] * score.n_genes
    while len(order) < score.n_genes:
        if watch.over():
            order += [g for g in np.argsort(state.fill, kind="stable").tolist() if state.left[g]]
            break
        j = int(np.where(state.left, state.fill, np.inf).argmin())
        parents[j] = np.flatnonzero(state.adjacent[j] & state.left)
        state.remove(j)
        order.append(j)
        watch.share("first order", len(order), score.n_genes)
    return np.array(order[::-1]), parents
