"""Rows of features: what drugs and contexts say."""

import numpy as np
import pytest

from scgim._core.features.rows import compress, make_reader, slopes, split_columns


def test_compress_keeps_what_contexts_say():
    """The two rows of a drug have the loadings that its contexts have, rotated."""
    rng = np.random.default_rng(0)
    h, on, by = rng.uniform(0.1, 1, 4), rng.normal(size=3), rng.normal(size=3)
    rows = compress(on + h[:, None] * by, np.zeros(4, int), h)
    assert len(rows.value) == 2
    np.testing.assert_allclose(rows.value, np.outer(rows.on, on) + np.outer(rows.by, by))
    assert (rows.value**2).sum() == pytest.approx(((on + h[:, None] * by) ** 2).sum())
    single = compress(on[None] + 0.5 * by, np.zeros(1, int), np.full(1, 0.5))
    np.testing.assert_allclose(single.value[0], on + 0.5 * by)


def test_columns_of_drug_context_and_dose_are_told_apart():
    """Columns of the drug, of the context, of the dose alone, and constant ones are told apart."""
    rng = np.random.default_rng(1)
    drug, dose = np.repeat(np.arange(6), 2), np.tile([1.0, 2.0], 6)
    features = np.c_[rng.normal(size=6)[drug], dose, rng.normal(size=12), np.ones(12)]
    by_drug, by_context = split_columns(features, drug, dose)
    assert by_drug.tolist() == [0]
    assert by_context.tolist() == [2]


def test_reader_reduces_wide_tables():
    """More columns than drugs become principal components."""
    features = np.random.default_rng(2).normal(size=(12, 300))
    reader = make_reader(features, np.arange(300), "drug", 12)
    assert reader(features).shape == (12, 10)


def test_slopes_drop_what_does_not_change_with_the_dose():
    rng = np.random.default_rng(1)
    base, by = rng.normal(size=(3, 4)), rng.normal(size=(3, 4))
    drug, h = np.repeat([0, 1], 3), np.tile([0.1, 0.5, 0.9], 2)
    drug, h = np.r_[drug, 2], np.r_[h, 0.5]  # the third drug has one dose
    found = slopes(base[drug] + h[:, None] * by[drug], drug, h, 3)
    np.testing.assert_allclose(found[:2], by[:2])
    np.testing.assert_allclose(found[2], base[2] / 0.5 + by[2])
