"""The form that all kinds of intervention write."""

import numpy as np
import pytest

from scgim._core.effects import Effects
from scgim._core.kinds import KINDS
from scgim._core.kinds.abduct import abduct
from scgim._core.kinds.base import Moved
from scgim._core.kinds.cells import propagate
from scgim._core.mechanisms import MECHANISMS
from scgim._core.mechanisms.additive import Mechanisms

N, G = 40, 3


@pytest.fixture
def chain() -> Mechanisms:
    """Gene 0 acts on gene 1, and that on gene 2."""
    weights = np.array([[0, 2.0, 0], [0, 0, -1.0], [0, 0, 0]])
    parents = [np.array([], int), np.array([0]), np.array([1])]
    coef = [np.zeros((0, 1)), np.array([[2.0]]), np.array([[-1.0]])]
    baseline, noise = np.array([[1.0, 0.0, 0.5]]), np.array([0.5, 0.4, 0.3])
    return Mechanisms(
        MECHANISMS["linear"], np.arange(3), parents, coef, baseline, noise, np.zeros(3), np.ones(3), weights
    )


def test_cells_follow_the_formula(chain, rng):
    """``x_j = listen_j (baseline_j + f_j(speak x)) + add_j + noise_j sd_j e_j``, gene by gene."""
    moved = Moved(*(rng.uniform(0, 2, (N, G)) for _ in range(4)))
    e, x = rng.normal(size=(N, G)), np.zeros((N, G))
    for j, parent, weight in ((0, 0, 0.0), (1, 0, 2.0), (2, 1, -1.0)):
        incoming = weight * moved.speak[:, parent] * x[:, parent]
        x[:, j] = moved.listen[:, j] * (chain.baseline[0, j] + incoming) + moved.add[:, j]
        x[:, j] += moved.noise[:, j] * chain.noise_sd[j] * e[:, j]
    group = np.zeros(N, int)
    np.testing.assert_allclose(propagate(chain, moved, group, e), x)
    np.testing.assert_allclose(abduct(chain, x, moved, group), e)


def test_rows_are_copied_and_nothing_stays_small(rng):
    nothing = Moved.nothing(N, G)
    assert nothing.only_adds
    assert nothing.rows(np.arange(3)).speak.shape == (1, 1)
    KINDS["activity"].write(nothing, (np.array([2]), np.array([1])), np.array([-0.5]))
    assert not nothing.only_adds
    assert not nothing.hides_noise
    picked = nothing.rows(np.array([2, 2, 0]))
    np.testing.assert_array_equal(picked.speak[:, 1], [0.5, 0.5, 1.0])


@pytest.mark.parametrize("kind", KINDS.values(), ids=lambda kind: kind.name)
def test_every_kind_keeps_its_promises(kind, chain, rng):
    """An additive kind moves means by a sum; a point estimate acts only where it may; units are those of genes."""
    effects = Effects(np.array([[0.0, 0.2, 0.9]]), np.array([[1.0, -0.6, 0.4]]), np.zeros((1, 3)))
    where, value = kind.point(effects)
    assert where.shape == value.shape == (1, 3)
    assert not where[0, 0]
    assert where[0, 2]
    assert kind.units(np.array([1.0, 2.0, 3.0])).shape == (3,)
    assert kind.scatter in ("none", "drug_set", "context")
    moved = Moved.nothing(1, G)
    kind.write(moved, (np.zeros(2, int), np.array([0, 1])), np.array([0.5, -0.5]))
    assert moved.only_adds == kind.additive
    zero = np.zeros(1, int)
    base, changed = (propagate(chain, m, zero, None)[0] for m in (Moved.nothing(1, G), moved))
    total = np.linalg.inv(np.eye(3) - chain.strength)
    if kind.additive:
        np.testing.assert_allclose(changed - base, np.array([0.5, -0.5, 0.0]) @ total)
    assert not np.allclose(changed, base)
