"""Best sizes of moves, against brute force."""

import numpy as np
from scipy.optimize import lsq_linear

from scgim._core.kinds.reach import reach_by_one, reach_by_two


def moves(rng, limit):
    response, difference = rng.normal(size=(6, 4)), 3 * rng.normal(size=4)
    return response, difference, np.full(6, -limit), np.full(6, limit)


def test_one_move_is_a_projection(rng):
    response, difference, low, high = moves(rng, np.inf)
    found = reach_by_one(response, difference, low, high)
    for r, size, left in zip(response, found.size, found.left, strict=True):
        fit = lsq_linear(r[:, None], difference)
        np.testing.assert_allclose(size, fit.x[0])
        np.testing.assert_allclose(left, np.sqrt(2 * fit.cost))


def test_two_moves_are_least_squares_within_their_limits(rng):
    """Also where one of them has a fixed size."""
    for limit in (1e3, 0.7):
        response, difference, low, high = moves(rng, limit)
        low[2] = high[2] = 1.0
        found = reach_by_two(response, difference, low, high)
        for i in range(6):
            for j in set(range(6)) - {i}:
                bounds = low[[i, j]] - 1e-9, high[[i, j]] + 1e-9
                fit = lsq_linear(response[[i, j]].T, difference, bounds, tol=1e-12)
                np.testing.assert_allclose(found.left[i, j], np.sqrt(2 * fit.cost), atol=1e-4)
                np.testing.assert_allclose(found.size[:, i, j], fit.x, atol=1e-2)


def test_moves_in_one_direction_share_it(rng):
    """A pair without a unique best size covers what each of them covers."""
    r, difference = rng.normal(size=4), rng.normal(size=4)
    response, limit = np.stack([r, 2 * r]), np.full(2, 10.0)
    one, two = (f(response, difference, -limit, limit) for f in (reach_by_one, reach_by_two))
    np.testing.assert_allclose(two.left[0, 1], one.left[0])
