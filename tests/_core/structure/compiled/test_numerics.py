"""Compiled steps against numpy."""

import numpy as np

from scgim._core.structure.compiled import numerics


def test_logarithms_and_exponentials():
    values = np.exp(np.random.default_rng(0).uniform(-600, 600, 1000))
    found = values.copy()
    numerics.logarithms(found, len(found))
    np.testing.assert_allclose(found, np.log(values), rtol=1e-14)
    near = np.linspace(0.7, 1.5, 1001)
    found = near.copy()
    numerics.logarithms(found, len(found))
    np.testing.assert_allclose(found, np.log(near), atol=1e-15)
    values = -np.append(np.random.default_rng(0).uniform(0, 50, 1000), [0.0, 1e9])
    found = values.copy()
    numerics.exponentials(found, len(found))
    np.testing.assert_allclose(found, np.exp(values), rtol=1e-13, atol=1e-300)


def test_factor_solves():
    rng = np.random.default_rng(0)
    root, right = rng.standard_normal((6, 6)), rng.standard_normal(6)
    matrix = root @ root.T + np.eye(6)
    factor, found = matrix.copy(), right.copy()
    numerics.factorise(factor, 6)
    numerics.solve(factor, found, 6)
    np.testing.assert_allclose(np.tril(factor), np.linalg.cholesky(matrix), atol=1e-12)
    np.testing.assert_allclose(found, np.linalg.solve(matrix, right), atol=1e-12)
