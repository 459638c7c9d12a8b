"""Edge probabilities by sampling orders with the exact score (layer `_core`; not from the paper)."""

from collections.abc import Sequence

import numpy as np
from scipy.special import expit

from scgim._core.structure.order import EXTRA, FEW_GENES, OrderSearch
from scgim._core.structure.parents import Parents

MOST_PROPOSALS = 5000  # of orders, where genes are many
REACH = 3  # places between two genes that change places


def inclusion(chooser: Parents, j: int, parents: tuple[int, ...], allowed: np.ndarray) -> np.ndarray:
    """Probability of each edge into gene j given the other parents, ``(G,)``; zero for genes that are not allowed."""
    out = np.zeros(len(allowed))
    with_all = chooser.value(j, parents)
    added = np.where(allowed, chooser.with_one_more(j, parents), -np.inf)
    out[allowed] = expit(added[allowed] - with_all)
    rests: Sequence[float] | np.ndarray = []
    if parents:
        rests = chooser.values(j, [tuple(y for y in parents if y != x) for x in parents])
    for x, without in zip(parents, rests, strict=True):
        out[x] = expit(with_all - without)
    return out


def edge_probabilities(
    chooser: Parents, state: OrderSearch, *, rng: np.random.Generator, n_samples: int = 100
) -> np.ndarray:
    """Posterior edge probabilities, averaged over orders drawn by Metropolis moves from the best one.

    Parameters
    ----------
    state
        The best order found; left as it was.
    n_samples
        Orders averaged over, as long as the search has not to end; between two of them stand G proposals.

    Returns
    -------
    ``(G, G)``, row causes column.
    """
    kept = state.state()
    G = state.G
    n_samples = n_samples if G <= FEW_GENES else max(1, MOST_PROPOSALS // G)
    rows: dict[tuple[int, tuple[int, ...], int], np.ndarray] = {}
    total = np.zeros((G, G))
    most = np.minimum(state.arrays[3] + EXTRA, chooser.max_parents)
    drawn = 0
    while drawn < n_samples:
        for k, j in enumerate(state.order):
            allowed, parents = state.mask(k), state.of(j)
            key = (j, parents, hash(allowed.tobytes()))
            if key not in rows:
                rows[key] = inclusion(chooser, j, parents, allowed)
            total[:, j] += rows[key]
        drawn += 1
        state.watch.share("orders drawn for edges", drawn, n_samples)
        if state.watch.over():
            break
        if drawn < n_samples:
            for _ in range(G):
                _metropolis(state, rng, most)
    state.restore(kept)
    return total / drawn


def _metropolis(state: OrderSearch, rng: np.random.Generator, most: np.ndarray) -> None:
    """Proposes that two genes near each other change places, each with at most so many parents."""
    i = int(rng.integers(state.G - 1)) if state.G > 1 else 0
    q = min(state.G - 1, i + 1 + int(rng.integers(0, REACH)))
    if q <= i:
        return
    state.exchange(i, q, most, float(np.log(rng.random())))
