"""Networks in pieces: values and derivatives of the formula."""

import pytest
import torch

from scgim.model._module.mechanisms import pieces
from scgim.model._module.mechanisms.neural import NeuralGenes
from scgim.model._module.mechanisms.pieces import InPieces


def make(M=7, n=5, P=3, H=4, hinges=(0, 2, 0, 4, 2, 0, 1)):
    generator = torch.Generator().manual_seed(0)
    shapes = (M, n, P), (M, P, H), (M, H), (M, H), (M, P)
    values = [torch.randn(shape, generator=generator, dtype=torch.float64).requires_grad_() for shape in shapes]
    return values, torch.arange(H) >= H - torch.tensor(hinges)[:, None]


def formula(u, inner, bias, outer, skip, hinges):
    a = torch.einsum("mnp,mph->mnh", u, inner) + bias[:, None]
    unit = torch.where(hinges[:, None], 0.5 * (a + (a.square() + 1).sqrt()), torch.tanh(a))
    return (torch.einsum("mnh,mh->mn", unit, outer) + torch.einsum("mnp,mp->mn", u, skip)).T


@pytest.mark.parametrize("bent", [False, True])
@pytest.mark.parametrize("units", [1, 40, 10_000])  # a network, two or all of them at once
def test_values_and_derivatives_are_those_of_the_formula(monkeypatch, bent, units):
    monkeypatch.setattr(pieces, "UNITS", units)
    values, hinges = make()
    hinges = hinges & bent
    found, expected = InPieces.apply(*values, hinges), formula(*values, hinges)
    torch.testing.assert_close(found, expected)
    weight = torch.randn(found.shape, generator=torch.Generator().manual_seed(1), dtype=torch.float64)
    one, other = (torch.autograd.grad((out * weight).sum(), values) for out in (found, expected))
    for mine, theirs in zip(one, other, strict=True):
        torch.testing.assert_close(mine, theirs)


def test_derivatives_are_those_of_finite_differences():
    values, hinges = make(M=2, n=3, P=2, H=3, hinges=(1, 0))
    assert torch.autograd.gradcheck(InPieces.apply, (*values, hinges))


@pytest.mark.parametrize("bent", [False, True])
def test_gates_of_one_change_nothing(bent):
    networks = NeuralGenes(4, 2, generator=torch.Generator().manual_seed(0))
    networks.set_parents([(1, 2), (0,), (), (2, 3)], torch.Generator().manual_seed(1))
    networks.set_hinges([8 * bent] * 4)
    u = networks.inputs(torch.randn(6, 4, generator=torch.Generator().manual_seed(2)))
    torch.testing.assert_close(networks.evaluate(u), networks.evaluate(u, torch.ones_like(u)))


def test_pieces_cover_all_networks_once():
    u = torch.zeros(11, 100, 2)
    for units in (1, 4000, 10**9):
        found = [m for part in pieces.pieces(u, units) for m in range(11)[part]]
        assert found == list(range(11))
