"""Small things that many files need, against loops."""

import numpy as np
from scipy import sparse

from scgim._core.arrays import KNOWN, as_log_odds, dense, log_odds_of_any, member, override, rank_within, sum_by


def test_sums_by_index_are_those_of_a_loop_and_leave_negative_ones_out(rng) -> None:
    values, index = rng.normal(size=(7, 2)), np.array([2, 0, -1, 2, 0, 0, -1])
    expected = np.stack([sum((v for v, i in zip(values, index, strict=True) if i == k), np.zeros(2)) for k in range(4)])
    np.testing.assert_allclose(sum_by(values, index, 4), expected)


def test_membership_sums_the_cells_of_each_context(rng) -> None:
    x, context = rng.normal(size=(6, 3)), np.array([1, 0, 1, 1, 3, 0])
    np.testing.assert_allclose(member(context, 4) @ x, sum_by(x, context, 4))


def test_rank_within_a_group_is_that_of_a_loop(rng) -> None:
    group = rng.integers(4, size=30)
    expected = [int((group[:i] == g).sum()) for i, g in enumerate(group)]
    np.testing.assert_array_equal(rank_within(group), expected)
    assert len(rank_within(np.zeros(0, dtype=int))) == 0


def test_sparse_and_dense_blocks_become_the_same_array() -> None:
    x = np.array([[0, 1], [2, 0]], dtype=np.int32)
    for block in (x, sparse.csr_matrix(x), sparse.csc_matrix(x)):
        assert dense(block).dtype == np.float64
        np.testing.assert_array_equal(dense(block), x)


def test_what_is_known_stands_in_place_of_evidence() -> None:
    evidence = np.array([[0.5, -2.0, 3.0]])
    assert override(evidence, None) is evidence
    known = np.array([[1.0, np.nan, 0.0]])
    np.testing.assert_array_equal(override(evidence, known), [[KNOWN, -2.0, -KNOWN]])


def test_log_odds_that_any_holds_keep_their_digits_far_from_even():
    one = np.array([[-900.0, -30.0, 0.3, 40.0, 900.0]])
    np.testing.assert_allclose(log_odds_of_any(one), one[0], rtol=1e-9)
    np.testing.assert_allclose(log_odds_of_any(np.array([[-900.0], [-900.0]])), [-900.0 + np.log(2)])
    assert log_odds_of_any(np.zeros((0, 2))).tolist() == [-np.inf, -np.inf]
    np.testing.assert_array_equal(as_log_odds(np.array([0.0, 0.5, 1.0])), [-700.0, 0.0, 700.0])
