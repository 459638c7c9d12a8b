"""What every mechanism keeps: its name, its functions and their derivatives, and the way into torch and back."""

import numpy as np
import pytest
import torch

from scgim._core.mechanisms import MECHANISMS
from scgim._core.state import pack, unpack
from scgim.model._module.mechanisms import GENES

NAMES = list(MECHANISMS)
PARENTS = [np.array([], int), np.array([0]), np.array([1, 0])]
LOC, SCALE, NOISE = np.array([0.5, -1.0, 2.0]), np.array([1.0, 2.0, 0.5]), np.array([0.5, 1.0, 2.0])
STEP = 1e-5


def made(name):
    """Three genes in torch, with weights at random."""
    out = GENES[name](3, 2, n_hidden=4)
    out.set_parents(PARENTS)
    with torch.no_grad():
        for k, parameter in enumerate(out.parameters()):
            parameter.copy_(torch.randn(parameter.shape, generator=torch.Generator().manual_seed(k)))
    return out.double()


@pytest.fixture(params=NAMES)
def genes(request):
    return made(request.param)


def in_a_fit(genes):
    return genes.to_fit(np.arange(3), np.array([[1.0, 2.0, 3.0]]), NOISE, LOC, SCALE, np.zeros((3, 3)))


@pytest.mark.parametrize("name", NAMES)
def test_it_is_registered_under_its_name_in_both_languages(name):
    assert MECHANISMS[name].name == name
    assert GENES[name].mechanism == MECHANISMS[name]
    assert set(GENES) == set(MECHANISMS)


@pytest.mark.parametrize("name", NAMES)
def test_graphs_are_searched_in_a_closed_form(name):
    basis = MECHANISMS[name].basis
    assert basis.closed_form
    assert basis.basis == basis
    assert MECHANISMS[name].closed_form == (basis == MECHANISMS[name])


@pytest.mark.parametrize("name", NAMES)
def test_derivatives_are_those_of_the_functions_the_first_of_which_is_the_gene(name, rng):
    basis, z = MECHANISMS[name].basis, rng.normal(size=(7, 3))
    f = basis.functions(z)
    assert f.shape == (7, 3, basis.n_functions)
    np.testing.assert_array_equal(f[..., 0], z)
    numeric = (basis.functions(z + STEP) - basis.functions(z - STEP)) / (2 * STEP)
    np.testing.assert_allclose(basis.derivatives(z), numeric, atol=1e-8)
    np.testing.assert_allclose(basis.slope_sums(z), numeric.sum(axis=0), atol=1e-7)


def test_slopes_in_torch_are_the_derivatives_of_contributions(genes, rng):
    u = torch.as_tensor(rng.normal(size=(3, 5, 2))) * genes.mask[:, None]
    gate = torch.as_tensor(rng.random((3, 5, 2)))
    for parent in range(2):
        step = torch.zeros_like(u)
        step[..., parent] = STEP
        numeric = (genes.evaluate(u + step, gate) - genes.evaluate(u - step, gate)).T / (2 * STEP)
        used = genes.mask[:, None, parent].bool().expand_as(numeric)
        np.testing.assert_allclose(
            genes.slopes(u, gate)[..., parent][used].detach(), numeric[used].detach(), rtol=1e-4, atol=1e-6
        )


def test_a_fit_makes_the_same_contributions_as_torch(genes, rng):
    fit, x = in_a_fit(genes), rng.normal(size=(20, 3))
    z = torch.as_tensor((x - LOC) / SCALE)
    expected = LOC + SCALE * (genes(z).detach().numpy() + np.array([1.0, 2.0, 3.0]))  # with baselines
    found = np.stack([fit.baseline[0, j] + fit.contribution(j, x) for j in range(3)], axis=1)
    np.testing.assert_allclose(found, expected, atol=1e-10)


def test_parents_at_zero_contribute_nothing_and_parts_sum_to_the_whole(genes, rng):
    fit, x = in_a_fit(genes), rng.normal(size=(20, 3))
    for j in range(3):
        np.testing.assert_allclose(fit.contribution(j, np.zeros((2, 3))), 0, atol=1e-12)
        parts, whole = fit.parent_contributions(j, x), fit.contribution(j, x)
        np.testing.assert_allclose(parts.sum(axis=1), whole, rtol=1e-3, atol=1e-3)  # networks: by a quadrature
        np.testing.assert_allclose(fit.active_contribution(j, x, np.ones((20, len(PARENTS[j])))), whole, atol=1e-12)
        off = fit.active_contribution(j, x, np.zeros((20, len(PARENTS[j]))))
        np.testing.assert_allclose(off, 0, atol=1e-12)


def test_its_fit_survives_saving(genes, rng):
    fit, x = in_a_fit(genes), rng.normal(size=(20, 3))
    back = unpack(*pack(fit))
    assert back.mechanism == fit.mechanism == genes.mechanism
    for j in range(3):
        np.testing.assert_array_equal(back.contribution(j, x), fit.contribution(j, x))


@pytest.mark.parametrize("name", NAMES)
def test_torch_takes_a_fit_over_and_gives_it_back(name):
    fit = in_a_fit(made(name))
    again = GENES[name](3, 4, n_hidden=4).double()
    baseline = again.from_fit(fit)
    np.testing.assert_allclose(baseline, [[1.0, 2.0, 3.0]])
    back = again.to_fit(np.arange(3), baseline, NOISE, LOC, SCALE, np.zeros((3, 3)))
    for j in range(3):
        x = np.random.default_rng(j).normal(size=(5, 3))
        np.testing.assert_allclose(back.contribution(j, x), fit.contribution(j, x), rtol=1e-5, atol=1e-6)
    np.testing.assert_allclose(back.baseline, fit.baseline, rtol=1e-5)


def drawn(mechanisms, noise):
    """Cells along the order for given noise, written without the package's sampler."""
    x = np.zeros_like(noise)
    for j in range(3):
        x[:, j] = mechanisms.baseline[0, j] + mechanisms.contribution(j, x) + mechanisms.noise_sd[j] * noise[:, j]
    return x


def test_operated_genes_are_an_affine_function_of_what_they_were(genes, rng):
    """``x_j -> factor_j x_j + value_j`` gene by gene, and what follows sees that."""
    plain, noise = in_a_fit(genes), rng.normal(size=(20, 3))
    factor, value = np.array([1.0, 0.0, 0.5]), np.array([2.0, -1.0, 0.0])
    x = np.zeros_like(noise)
    for j in range(3):
        own = plain.baseline[0, j] + plain.contribution(j, x) + plain.noise_sd[j] * noise[:, j]
        x[:, j] = factor[j] * own + value[j]
    np.testing.assert_allclose(drawn(plain.operated(factor, value), noise), x)


def test_other_edges_leave_genes_where_they_are_at_the_reference(genes, rng):
    plain, reference = in_a_fit(genes), rng.normal(size=3)
    multiplier = rng.uniform(0, 1.5, (3, 3))
    other, at = plain.with_edges(multiplier, reference), reference[None]
    for j in range(3):
        np.testing.assert_allclose(
            other.baseline[:, j] + other.contribution(j, at), plain.baseline[:, j] + plain.contribution(j, at)
        )
    x = rng.normal(size=(9, 3))
    same = plain.with_edges(np.ones((3, 3)), reference)
    np.testing.assert_allclose(drawn(same, x), drawn(plain, x))


def test_an_edge_that_is_not_there_carries_nothing(genes, rng):
    """Without edges, genes do not follow their parents, wherever these are."""
    other, x = in_a_fit(genes).with_edges(np.zeros((3, 3)), rng.normal(size=3)), rng.normal(size=(9, 3))
    for j in range(3):
        np.testing.assert_allclose(other.contribution(j, x), other.contribution(j, x[:1])[0], atol=1e-12)
