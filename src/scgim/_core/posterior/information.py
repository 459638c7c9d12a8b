"""What an experiment is expected to tell about edges (layer `_core`; not from the paper).

Between two genes there is an edge forward, one backward, or none. Where gene i has moved, one forward moves gene j, one
backward leaves it where it is. With these moves in units of the error with which they are seen, the three states are
Gaussians in the plane, ``z ~ N((0, 0), I)``, ``N((0, f), I)`` and ``N((b, 0), I)``, and the experiment tells their
mutual information with z.
"""

import numpy as np
from scipy.special import logsumexp, xlogy

N_NODES = 16
"""Of the Gauss-Hermite quadrature in each of the two directions."""
BITS = 1 / np.log(2)


def states(forward: np.ndarray, backward: np.ndarray) -> np.ndarray:
    """Probabilities of no edge, one forward and one backward ``(n, 3)``, from those of the two edges ``(n,)``."""
    total = np.maximum(forward + backward, 1.0)
    forward, backward = forward / total, backward / total
    return np.stack([np.maximum(1 - forward - backward, 0.0), forward, backward], axis=1)


def entropy(probability: np.ndarray) -> np.ndarray:
    """Of states ``(n, 3)``, in bits ``(n,)``."""
    return np.asarray(-BITS * xlogy(probability, probability).sum(axis=1))


def information(probability: np.ndarray, forward: np.ndarray, backward: np.ndarray) -> np.ndarray:
    """Mutual information of the states and what is seen, in bits ``(n,)``.

    Parameters
    ----------
    probability
        ``(n, 3)``, see `states`.
    forward, backward
        ``(n,)``; f and b, what the second gene moves by if the edge is forward, and the first if it is backward.
    """
    node, weight = np.polynomial.hermite_e.hermegauss(N_NODES)
    e = np.stack(np.meshgrid(node, node, indexing="ij"), axis=-1).reshape(-1, 2)  # (q, 2)
    weights = np.outer(weight, weight).ravel() / (2 * np.pi)  # (q,)
    zero = np.zeros_like(forward)
    centre = np.stack([np.stack([zero, zero], 1), np.stack([zero, forward], 1), np.stack([backward, zero], 1)], 1)
    with np.errstate(divide="ignore"):
        log_prior = np.log(probability)  # (n, 3)
    out = np.zeros(len(probability))
    for k in range(3):
        apart = (centre[:, k, None] - centre)[:, :, None]  # (n, 3, 1, 2), to the other centres
        log_ratio = -0.5 * (apart**2).sum(axis=-1) - (apart * e).sum(axis=-1)  # (n, 3, q), over that of state k
        out -= probability[:, k] * (logsumexp(log_prior[:, :, None] + log_ratio, axis=1) @ weights)
    return np.asarray(np.maximum(out * BITS, 0.0))
