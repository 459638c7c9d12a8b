"""Genes that are set, shifted or scaled from outside."""

import numpy as np

from scgim._core.kinds.base import Moved
from scgim._core.kinds.cells import propagate
from scgim._core.kinds.operation import Operation
from scgim._core.mechanisms import MECHANISMS
from scgim._core.mechanisms.additive import Mechanisms

WEIGHTS = np.array([[0, 2.0, 0], [0, 0, -1.0], [0, 0, 0]])
CHAIN = Mechanisms(
    MECHANISMS["linear"],
    np.arange(3),
    [np.array([], int), np.array([0]), np.array([1])],
    [np.zeros((0, 1)), np.array([[2.0]]), np.array([[-1.0]])],
    np.array([[1.0, 0.0, 0.5]]),
    np.array([0.5, 0.4, 0.3]),
    np.zeros(3),
    np.ones(3),
    WEIGHTS,
)
GROUP = np.zeros(50, int)


def test_nothing_is_nothing(rng):
    operation, moved = Operation.nothing(3), Moved(*(rng.uniform(0, 2, (50, 3)) for _ in range(4)))
    np.testing.assert_array_equal(operation.on(moved).add, moved.add)


def test_set_genes_are_what_they_are_set_to_whatever_drugs_do(rng):
    """Also where a drug shifts the gene, cuts its mechanism, or changes its activity, which goes on."""
    operation = Operation(np.array([1.0, 0.0, 1.0]), np.array([0.0, 5.0, 0.0]))
    listen = np.tile([1.0, 0.0, 1.0], (50, 1))
    listen[:25, 1] = 1.0
    moved = Moved(rng.normal(size=(50, 3)), listen, np.tile([1.0, 0.5, 1.0], (50, 1)), np.ones((1, 1)))
    noise = rng.normal(size=(50, 3))
    x = propagate(CHAIN.operated(operation.factor, operation.value), operation.on(moved), GROUP, noise)
    np.testing.assert_allclose(x[:, 1], 5.0)
    np.testing.assert_allclose(x[:, 2], 0.5 - 0.5 * 5.0 + moved.add[:, 2] + 0.3 * noise[:, 2])


def test_scaled_and_shifted_genes_are_so_after_all_that_drugs_do(rng):
    """``factor x + value`` of what the same cells are without the operation, where parents are left alone."""
    operation = Operation(np.array([0.5, 1.0, 1.0]), np.array([0.0, 0.0, 3.0]))
    listen = np.where(rng.random((50, 3)) < 0.5, 0.0, 1.0)
    moved, noise = Moved(rng.normal(size=(50, 3)), listen, np.ones((1, 1)), np.ones((1, 1))), rng.normal(size=(50, 3))
    before = propagate(CHAIN, moved, GROUP, noise)
    after = propagate(CHAIN.operated(operation.factor, operation.value), operation.on(moved), GROUP, noise)
    np.testing.assert_allclose(after[:, 0], 0.5 * before[:, 0])
    follows = listen[:, 2] * (after[:, 1] - before[:, 1]) * -1.0
    np.testing.assert_allclose(after[:, 2], before[:, 2] + follows + 3.0)


def test_an_operation_asked_for_in_terms_of_data_with_an_offset():
    """``factor (x + offset) + value`` is what is seen, and the offset is added last."""
    operation, offset = Operation(np.array([0.0, 0.5, 1.0]), np.array([2.0, 0.0, 1.0])), np.array([1.0, 3.0, 5.0])
    inside = operation.under_offset(offset)
    x = np.array([7.0, 8.0, 9.0])
    np.testing.assert_allclose(
        inside.factor * x + inside.value + offset, operation.factor * (x + offset) + operation.value
    )
    np.testing.assert_allclose(operation.direct(x), [2.0 - 7.0, -4.0, 1.0])
