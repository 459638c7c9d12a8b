"""How near moves of given directions and best sizes bring one state to another (layer `_core`; not from the paper).

A move of size s changes means by ``s R_j``, and the states differ by d, ``(Q,)``. One move comes nearest at
``s = R_j.d / |R_j|^2``, two at the solution of their normal equations, within limits of their sizes.
"""

from typing import NamedTuple

import numpy as np

SMALLEST = 1e-12
N_SWEEPS = 30
"""In which two limited sizes are found in turn; each step solves one of them exactly."""


class Reach(NamedTuple):
    """Best sizes, and the distances that they leave."""

    size: np.ndarray
    left: np.ndarray


def reach_by_one(response: np.ndarray, difference: np.ndarray, low: np.ndarray, high: np.ndarray) -> Reach:
    """Each move alone, ``(M,)`` each.

    Parameters
    ----------
    response
        ``(M, Q)``; change by a move of size one.
    difference
        ``(Q,)``; where to go.
    low, high
        ``(M,)``; limits of the sizes.
    """
    square = np.maximum((response**2).sum(axis=1), SMALLEST)
    size = np.clip(response @ difference / square, low, high)
    return Reach(size, np.linalg.norm(difference - size[:, None] * response, axis=1))


def reach_by_two(response: np.ndarray, difference: np.ndarray, low: np.ndarray, high: np.ndarray) -> Reach:
    """All pairs of moves.

    Parameters
    ----------
    response, difference, low, high
        See `reach_by_one`.

    Returns
    -------
    Sizes ``(2, M, M)``, of the first and the second move of each pair, and distances ``(M, M)``.
    """
    gram, along = response @ response.T, response @ difference  # (M, M), (M,)
    square = np.maximum(np.diag(gram), SMALLEST)
    determinant = np.outer(square, square) - gram**2
    apart = determinant > 1e-9 * np.outer(square, square)
    free = np.where(apart, (along[:, None] * square - along * gram) / np.where(apart, determinant, 1.0), 0.0)
    first = np.clip(free, low[:, None], high[:, None])
    for _ in range(N_SWEEPS):
        second = np.clip((along - gram * first) / square, low, high)
        first = np.clip((along[:, None] - gram * second) / square[:, None], low[:, None], high[:, None])
    covered = 2 * (first * along[:, None] + second * along) - first**2 * square[:, None] - second**2 * square
    left = difference @ difference - covered + 2 * first * second * gram
    return Reach(np.stack([first, second]), np.sqrt(np.maximum(left, 0.0)))
