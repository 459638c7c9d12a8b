"""Random directed acyclic graphs for simulated systems; numpy only.

Convention everywhere: ``graph[i, j]`` is true where gene i acts on gene j (row causes column).
"""

from __future__ import annotations

import numpy as np


def random_dag(
    kind: str, n_genes: int, edges_per_gene: float, rng: np.random.Generator
) -> tuple[np.ndarray, np.ndarray]:
    """Random acyclic graph whose gene index says nothing about the order of causes :cite:p:`schneider2025`.

    Parameters
    ----------
    kind
        ``"erdos_renyi"`` (every pair is joined with the same probability) or ``"scale_free"`` (preferential attachment).
    n_genes
        Number of genes G.
    edges_per_gene
        Expected number of edges divided by G.
    rng
        Random generator.

    Returns
    -------
    The graph, (G, G) bool, and a causal order, (G,) int, in which causes come before their effects.

    Raises
    ------
    ValueError
        If `kind` is unknown or the graph cannot hold so many edges.
    """
    if not 0 <= edges_per_gene <= (n_genes - 1) / 2:
        raise ValueError(
            f"edges_per_gene: expected a number between 0 and (n_genes - 1) / 2 = {(n_genes - 1) / 2:g} for an acyclic graph "
            f"of {n_genes} genes, found {edges_per_gene}."
        )
    makers = {"erdos_renyi": _erdos_renyi, "scale_free": _scale_free}
    if kind not in makers:
        raise ValueError(f"graph: expected one of {sorted(makers)} or a (G, G) array, found {kind!r}.")
    in_order = makers[kind](n_genes, edges_per_gene, rng)  # (G, G), upper triangular
    order = rng.permutation(n_genes)
    graph = np.zeros_like(in_order)
    graph[np.ix_(order, order)] = in_order
    return graph, order


def _erdos_renyi(n_genes: int, edges_per_gene: float, rng: np.random.Generator) -> np.ndarray:
    """Upper triangular (G, G) bool; each pair is an edge with probability 2 * edges_per_gene / (G - 1)."""
    if n_genes == 1:
        return np.zeros((1, 1), bool)
    probability = 2 * edges_per_gene / (n_genes - 1)
    return np.triu(rng.random((n_genes, n_genes)) < probability, 1)


def _scale_free(n_genes: int, edges_per_gene: float, rng: np.random.Generator) -> np.ndarray:
    """Upper triangular (G, G) bool by preferential attachment: few genes act on many.

    Each gene chooses about `edges_per_gene` earlier genes as causes, with probability proportional to 1 + their degree.
    That hubs are causes, not effects, is not from the paper.
    """
    graph = np.zeros((n_genes, n_genes), bool)
    degree = np.ones(n_genes)
    whole = int(edges_per_gene)
    for j in range(1, n_genes):
        wanted = whole + (rng.random() < edges_per_gene - whole)
        chosen = rng.choice(j, size=min(j, wanted), replace=False, p=degree[:j] / degree[:j].sum())
        graph[chosen, j] = True
        degree[chosen] += 1
        degree[j] += len(chosen)
    return graph


def causal_order(graph: np.ndarray) -> np.ndarray:
    """Genes sorted so that causes come before effects, (G,) int.

    Raises
    ------
    ValueError
        If the graph (G, G) has a cycle.
    """
    present = np.asarray(graph) != 0
    waiting = present.sum(0)  # causes of each gene that are not placed yet
    ready = list(np.flatnonzero(waiting == 0))
    order: list[int] = []
    while ready:
        i = ready.pop()
        order.append(int(i))
        for j in np.flatnonzero(present[i]):
            waiting[j] -= 1
            if waiting[j] == 0:
                ready.append(j)
    if len(order) < len(present):
        raise ValueError("graph: expected no cycle, found one; remove edges until no gene is its own ancestor.")
    return np.array(order, dtype=int)
