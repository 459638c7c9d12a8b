"""Splits of cells within contexts."""

import numpy as np
import pytest

from scgim.model._loading.splitter import GIMDataSplitter, split_cells


def test_every_context_gives_its_share():
    context = np.repeat(np.arange(5), [100, 50, 20, 10, 3])
    train, held = split_cells(context, 0.9, np.random.default_rng(0))
    assert np.array_equal(np.sort(np.r_[train, held]), np.arange(183))
    assert np.array_equal(np.bincount(context[held], minlength=5), [10, 5, 2, 1, 0])


def test_same_seed_same_split():
    context = np.repeat(np.arange(3), 40)
    first, second = (split_cells(context, 0.8, np.random.default_rng(1)) for _ in range(2))
    assert np.array_equal(first[1], second[1])


@pytest.mark.parametrize("size", [0, 1.5, -0.1])
def test_wrong_train_sizes_are_refused(size):
    with pytest.raises(ValueError, match="train_size: expected a number above 0"):
        GIMDataSplitter(None, size)
