"""Batch sizes that are not given."""

import numpy as np

from scgim._core.design import Design
from scgim.model._module.module import GIMModule
from scgim.model._module.runner import default_batch_size


def test_batches_are_a_share_of_the_cells_within_limits():
    design = Design(("a",), np.array([[0.0], [1.0]]), np.zeros(2, int), ("all",), np.array([20, 20]))
    module = GIMModule(3, design, mechanism="neural")
    assert [default_batch_size(module, n) for n in (200, 3000, 10**6)] == [32, 300, 512]
