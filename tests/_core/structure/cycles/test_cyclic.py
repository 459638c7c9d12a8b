"""Linear systems with cycles: likelihood, recovery, and no cycles where there are none."""

import numpy as np
import pytest
import torch
from scipy.stats import multivariate_normal

import systems
from scgim._core.design import Design
from scgim._core.kinds.base import Moved
from scgim._core.kinds.cells import mean_cells, sample_cells
from scgim._core.learn.cyclic import causal_order
from scgim._core.learn.fit_search import fit_search
from scgim._core.mechanisms import MECHANISMS
from scgim._core.moments.moments import compute_moments
from scgim._core.state import pack, unpack
from scgim._core.structure.cycles.cyclic import CyclicScore, CyclicSearch, is_stable
from scgim._core.structure.cycles.cyclic_start import DenseLikelihood
from scgim._core.structure.score import Prior

DOSES = (0.5, 1.0, 2.0)


def cyclic_system(n_genes, rng, *, n_cycles=2, n_control=600, n_cells=40):
    """Cells of a random stable system with `n_cycles` edges against its order, and shifts of 1 to 3 genes a drug."""
    G, D = n_genes, 2 * n_genes
    order = rng.permutation(G)
    weight = np.zeros((G, G))
    weight[np.ix_(order, order)] = np.triu(rng.random((G, G)) < 2.0 / (G - 1), 1)
    paths = np.linalg.matrix_power(np.eye(G) + weight, G) > 0
    for i, j in rng.permutation(np.argwhere(paths & (weight == 0) & ~np.eye(G, dtype=bool)))[:n_cycles]:
        weight[j, i] = 1.0
    weight *= rng.uniform(0.4, 0.9, weight.shape) * rng.choice([-1.0, 1.0], weight.shape)
    while np.abs(np.linalg.eigvals(weight)).max() > 0.8:
        weight *= 0.9
    dose, shift, targets = [np.zeros(D)], [np.zeros(G)], np.zeros((D, G), bool)
    for d in range(D):
        targets[d, rng.choice(G, rng.integers(1, 4), replace=False)] = True
        full = rng.uniform(2, 6, G) * rng.choice([-1.0, 1.0], G) * targets[d]
        for c in DOSES:
            dose.append(c * np.eye(D)[d])
            shift.append(full / (1 + (0.75 / c) ** 4))
    n = np.r_[n_control, np.full(len(dose) - 1, n_cells)]
    context = np.repeat(np.arange(len(n)), n)
    noise = np.exp(rng.uniform(-0.7, 0.3, G)) * rng.standard_normal((len(context), G))
    driven = rng.uniform(-1, 1, G) + np.array(shift)[context] + noise
    x = np.linalg.solve((np.eye(G) - weight).T, driven.T).T
    names = tuple(f"d{d}" for d in range(D))
    design = Design(names, np.array(dose), np.zeros(len(n), int), ("all",), n, has_dose=True)
    return x, context, design, weight, targets, np.array(shift)


def fit(x, context, design, **kwargs):
    moments = compute_moments(lambda: iter([(x, context)]), len(design.group))
    return fit_search(moments, design, genes=[f"g{i}" for i in range(x.shape[1])], rng=0, **kwargs)


@pytest.fixture(scope="module")
def system():
    return cyclic_system(8, np.random.default_rng(3))


@pytest.fixture(scope="module")
def fitted(system):
    return fit(*system[:3], structure="cyclic")


def test_likelihood_is_that_of_the_multivariate_normal():
    """Differences of the score between two systems are those of the log density of all cells, shifts integrated out."""
    rng = np.random.default_rng(0)
    G, n = 3, np.array([30, 8, 8, 9])
    dose = np.array([[0, 0], [1.0, 0], [2.0, 0], [0, 1.0]])
    design = Design(("a", "b"), dose, np.zeros(4, int), ("all",), n, has_dose=True)
    context = np.repeat(np.arange(4), n)
    x = rng.normal(size=(n.sum(), G)) + rng.normal(size=(4, G))[context]
    moments = compute_moments(lambda: iter([(x, context)]), 4)
    z = (x - moments.loc) / moments.scale
    prior = Prior(np.full(G, 0.3), np.full(G, 1.5), np.full(G, 0.2), np.zeros((G, G)))
    objective = DenseLikelihood(CyclicScore(moments, design.drug_set, design.group, prior), ~np.eye(G, dtype=bool))

    def brute(weight, v, base):
        """Sum over which of the genes each drug shifts; the noise of the contexts makes its cells dependent."""
        mix = np.linalg.inv(np.eye(G) - weight)
        total = 0.0
        for rows, unit in ((context == 0, None), ((context == 1) | (context == 2), 0), (context == 3, 1)):
            k, cells = context[rows], z[rows].ravel()
            same = (k[:, None] == k[None, :]).astype(float)
            mean = np.tile(base @ mix, rows.sum())
            parts = []
            for code in range(1 if unit is None else 2**G):
                on = np.array([code >> g & 1 for g in range(G)], float)
                extra = np.zeros(G) if unit is None else prior.background_sd**2 + on * prior.effect_sd**2
                cov = np.kron(np.eye(rows.sum()), mix.T @ np.diag(v) @ mix) + np.kron(
                    same, mix.T @ np.diag(extra) @ mix
                )
                choice = 0.0 if unit is None else np.sum(np.where(on > 0, np.log(0.3), np.log(0.7)))
                parts.append(choice + multivariate_normal.logpdf(cells, mean, cov))
            total += np.logaddexp.reduce(parts)
        return total

    values = []
    for seed in (1, 2, 3):
        r = np.random.default_rng(seed)
        weight, v, base = r.normal(0, 0.3, (G, G)) * (1 - np.eye(G)), r.uniform(0.5, 1.5, G), r.normal(0, 0.3, G)
        ours = -n.sum() * float(objective(*map(torch.as_tensor, (weight, np.log(v), base[None])), 0.2))
        values.append((ours, brute(weight, v, base)))
    ours, exact = np.array(values).T
    np.testing.assert_allclose(np.diff(ours), np.diff(exact), rtol=1e-6)


def test_closed_form_of_a_column_is_the_maximum():
    """With all other genes fixed, no other coefficients of a gene have a higher likelihood."""
    rng = np.random.default_rng(1)
    x, context, design, *_ = cyclic_system(5, rng, n_cycles=2)
    moments = compute_moments(lambda: iter([(x, context)]), len(design.group))
    score = CyclicScore(moments, design.drug_set, design.group, Prior.default(5))
    score.inverse = np.linalg.inv(np.eye(5) - 0.3 * rng.normal(size=(5, 5)) * (1 - np.eye(5)))
    sets = np.array([[0, 2, 3]])
    root = rng.normal(size=(1, 4, 4))
    lhs, rhs = root @ root.transpose(0, 2, 1) * 500 + np.eye(4), 300 * rng.normal(size=(1, 4))

    def value(coef):
        quadratic = rhs[0] @ coef - 0.5 * coef @ lhs[0] @ coef
        return quadratic + float(score.volume(coef[None], 1, sets)[0])

    best = score.maximum(lhs, rhs, 1, sets)[0]
    for step in 1e-3 * rng.normal(size=(40, 4)):
        assert value(best) >= value(best + step)


def test_cycles_are_found_and_predicted(system, fitted):
    x, context, design, weight, targets, shift = system
    plain = fit(x, context, design)
    true = weight != 0
    assert not plain.mechanisms.cyclic
    assert fitted.mechanisms.cyclic
    assert systems.f1(fitted.graph.weights != 0, true) >= 0.95 > systems.f1(plain.graph.weights != 0, true) + 0.1
    np.testing.assert_allclose(fitted.graph.weights, weight, atol=0.1)
    assert systems.f1(fitted.of_drug.probability > 0.5, targets) >= 0.9
    means = np.stack([x[context == k].mean(0) for k in range(len(design.group))])
    effect = fitted.of_context.expected
    group = np.zeros(len(means), int)
    predicted = mean_cells(fitted.mechanisms, Moved.adding(effect), group)
    assert np.sqrt(np.mean((predicted - means) ** 2)) < 0.3
    cells = sample_cells(fitted.mechanisms, Moved.nothing(20000, 8), np.zeros(20000, int), np.random.default_rng(0))
    mix = np.linalg.inv(np.eye(8) - fitted.graph.weights)
    np.testing.assert_allclose(np.cov(cells.T), mix.T @ np.diag(fitted.mechanisms.noise_sd**2) @ mix, atol=0.15)


def test_no_cycles_without_cycles():
    x, context, design, weight, *_ = cyclic_system(6, np.random.default_rng(5), n_cycles=0)
    found = fit(x, context, design, structure="cyclic")
    assert not found.mechanisms.cyclic
    assert systems.f1(found.graph.weights != 0, weight != 0) >= 0.95
    order = found.mechanisms.order
    assert not np.tril(found.graph.weights[np.ix_(order, order)]).any()


def test_system_is_stable_and_survives_saving(fitted):
    assert is_stable(fitted.graph.weights)
    again = unpack(*pack(fitted))
    assert again.mechanisms.cyclic
    moved = Moved.adding(np.ones((2, 8)))
    group = np.zeros(2, int)
    np.testing.assert_allclose(mean_cells(again.mechanisms, moved, group), mean_cells(fitted.mechanisms, moved, group))
    with pytest.raises(ValueError, match="shifts alone"):
        moved.of_rows("listen")[:] = 0.0
        mean_cells(again.mechanisms, moved, group)


def test_order_says_whether_there_is_a_cycle():
    assert causal_order({0: (), 1: (0,), 2: (0, 1)}) == ([0, 1, 2], False)
    assert causal_order({0: (2,), 1: (0,), 2: (1,)})[1]


def test_unstable_graphs_are_drawn_back(system):
    x, context, design, *_ = system
    moments = compute_moments(lambda: iter([(x, context)]), len(design.group))
    score = CyclicScore(moments, design.drug_set, design.group, Prior.default(8))
    search = CyclicSearch(score, [np.delete(np.arange(8), j) for j in range(8)], dict.fromkeys(range(8), ()))
    assert np.allclose(search._damped(0, np.zeros(8)), 0)
    search.weight[0, 1] = 1.5
    assert is_stable(np.column_stack([search._damped(0, np.eye(8)[1] * 1.5), search.weight[:, 1:]]))


def test_other_mechanisms_are_refused(system):
    x, context, design, *_ = system
    moments = compute_moments(lambda: iter([(x, context)]), len(design.group), mechanism=MECHANISMS["additive"])
    with pytest.raises(ValueError, match="linear"):
        CyclicScore(moments, design.drug_set, design.group, Prior.default(8))


@pytest.mark.parametrize("background", [0.0, 0.3])
def test_gradient_of_all_coefficients_is_that_of_the_value(make_study, background):
    study = make_study(n_genes=5, n_drugs=4, n_groups=2)
    moments, design = study.moments(), study.design
    score = CyclicScore(moments, design.drug_set, design.group, Prior.default(5))
    objective = DenseLikelihood(score, np.random.default_rng(0).random((5, 5)) < 0.8)
    rng = np.random.default_rng(1)
    now = [rng.normal(0, 0.2, (5, 5)), rng.normal(0, 0.2, 5), rng.normal(0, 0.2, (score.groups.shape[1], 5))]
    parts = [torch.tensor(part, requires_grad=True) for part in now]
    value = objective(*parts, background, 0.01)
    value.backward()
    found, *gradients = objective.gradient(*now, background, 0.01)
    np.testing.assert_allclose(found, value.item(), rtol=1e-12)
    for part, gradient in zip(parts, gradients, strict=True):
        np.testing.assert_allclose(gradient, part.grad.numpy(), rtol=1e-9, atol=1e-12)
