"""Changes of activity under networks: against the linear engine, likelihoods by hand, and simulated truth."""

import numpy as np
import pytest
import torch

import systems
from scgim._core.kinds.activity import child_evidence
from scgim._core.moments.moments import compute_moments
from scgim._core.posterior.evidence import Evidence
from scgim._core.structure.prior import Prior
from scgim.model import GIM
from scgim.model._module.mechanisms.neural import NeuralGenes
from scgim.model._module.residuals import Expectation
from scgim.model._neural.activity import NEAR, chords, held_out, neural_children

QUIET = {"enable_progress_bar": False, "accelerator": "cpu"}
COLUMNS = {"perturbation_key": "drug", "dose_key": "dose", "control": "control"}
PARENTS = [(), (0,), (0, 1)]


def networks(*, linear: bool, seed: int = 0) -> NeuralGenes:
    generator = torch.Generator().manual_seed(seed)
    out = NeuralGenes(3, 2, n_hidden=4, generator=generator)
    out.set_parents(PARENTS, generator)
    with torch.no_grad():
        out.skip.copy_(torch.tensor([[0.0, 0.0], [0.8, 0.0], [-0.5, 1.2]]))
        if linear:
            out.outer.zero_()
    return out


def cells(n: int = 600, n_contexts: int = 4, seed: int = 0) -> tuple[torch.Tensor, torch.Tensor]:
    rng = np.random.default_rng(seed)
    z = rng.normal(size=(n, 3)) @ rng.normal(size=(3, 3))
    return torch.as_tensor(z, dtype=torch.float32), torch.as_tensor(rng.integers(n_contexts, size=n))


def test_chords_end_where_the_networks_are_exact():
    """Along the chord of one parent, the change at its far end is that of the network."""
    net, (z, _) = networks(linear=False), cells()
    zero, psi = torch.tensor([-0.3, 0.5, 0.0]), torch.zeros(3)
    psi[1] = -0.6
    moves, residual = chords(net, z, zero, psi.expand(len(z), 3))
    assert abs(psi[1]) > NEAR

    def gene(two: torch.Tensor) -> torch.Tensor:
        return net(two)[:, 2]

    seen, off = z.clone(), z.clone()
    seen[:, 1] = z[:, 1] - 0.6 * (z[:, 1] - zero[1])
    torch.testing.assert_close(moves[:, 2, 1] * psi[1], gene(seen) - gene(z), atol=1e-5, rtol=1e-4)
    torch.testing.assert_close(residual[:, 2], z[:, 2] - gene(z), atol=1e-5, rtol=1e-4)
    off[:, 1], off[:, 0] = seen[:, 1], zero[0]
    torch.testing.assert_close(moves[:, 2, 0], gene(seen) - gene(off), atol=1e-5, rtol=1e-4)
    assert not moves[:, 0].any()


@pytest.mark.parametrize("psi", [0.0, -0.7])
def test_linear_networks_tell_what_the_linear_engine_reads_from_moments(psi):
    net, (z, context) = networks(linear=True), cells()
    x, group = z.numpy().astype(float) + 0.4, np.array([0, 0, 1, 1])
    moments = compute_moments(lambda: iter([(x, context.numpy())]), 4, pool=np.arange(4))
    scaled = torch.as_tensor((x - moments.loc) / moments.scale, dtype=torch.float32)
    zero = torch.as_tensor(-moments.loc / moments.scale, dtype=torch.float32)
    baseline, error = np.array([[0.1, -0.2, 0.3], [0.0, 0.4, -0.1]]), np.full((4, 3), 0.02)
    zeros, coefs = (
        np.zeros((4, 3)),
        [net.skip[j, : len(pa)].detach().numpy().astype(float) for j, pa in enumerate(PARENTS)],
    )
    noise = np.array([0.5, 0.7, 0.9])
    evidence = Evidence(baseline, noise, zeros, error, zeros[:1], np.zeros(3), tuple(coefs))
    state = Expectation(evidence, zeros, zeros, noise, Prior.default(3), zeros, noise)
    halves = zip(scaled.split(300), context.split(300), strict=True)
    activity = np.zeros((4, 3))
    activity[2, 0] = psi
    found = neural_children(net, [np.array(p, int) for p in PARENTS], halves, zero, activity, state, group)
    for j, pa in enumerate(PARENTS):
        exact = child_evidence(moments, group, j, np.array(pa, int), evidence.gene(j), zero.numpy().astype(float))
        for name in ("within_linear", "within_square", "mean", "residual", "error", "sampling"):
            np.testing.assert_allclose(
                getattr(found[j], name), getattr(exact, name), atol=2e-2, rtol=1e-4, err_msg=name
            )


def simulated(mechanism: str, **kwargs):
    settings = {"n_genes": 7, "n_drugs": 8, "n_control": 300, "n_cells": 50}
    settings |= {"edges_per_gene": 1.5, "max_targets": 2, "rng": 111}
    adata = systems.simulated(mechanism=mechanism, intervention="activity", features="noise", **{**settings, **kwargs})
    train = systems.training(adata)
    GIM.setup_anndata(train, **COLUMNS)
    return train, adata.uns["truth"]


@pytest.fixture(scope="module")
def neural():
    train, truth = simulated("neural")
    models = {}
    for mechanism in ("additive", "neural"):
        models[mechanism] = GIM(train, mechanism=mechanism, intervention="activity")
        models[mechanism].train(max_epochs=2, **QUIET)
    return truth, models


def test_networks_find_activities_better_than_additive_mechanisms(neural):
    truth, models = neural
    true = truth["drug_effect"] != 0
    fit, before = models["neural"].fitted, models["additive"].fitted
    assert (fit.mechanisms.mechanism.name, fit.settings["intervention"]) == ("neural", "activity")
    assert systems.f1(true, fit.of_drug.probability > 0.5) > max(
        systems.f1(true, before.of_drug.probability > 0.5), 0.95
    )
    assert systems.f1(true, fit.of_drug.probability > 0.5) > 0.9
    hit = true & (fit.of_drug.probability > 0.5)
    assert np.abs((fit.of_drug.mean - truth["drug_effect"])[hit]).mean() < 0.15
    assert fit.kind_names.tolist() == ["activity"]
    held = np.arange(0, models["neural"].adata.n_obs, 7)
    assert held_out(models["neural"]._screen(models["neural"].cells()), fit, held) < held_out(
        models["neural"]._screen(models["neural"].cells()), before, held
    )


def test_the_module_keeps_activities_and_the_model_saves(neural, tmp_path):
    _, models = neural
    model = models["neural"]
    seen = torch.as_tensor(
        model.fitted.of_context.mean * (model.fitted.of_context.probability > 0.5), dtype=torch.float32
    )
    torch.testing.assert_close(model.module.activity.cpu(), seen)
    asked = model.contexts[["drug", "dose"]].iloc[[1, 6]].assign(dose=1.7)
    model.save(str(tmp_path / "m"))
    loaded = GIM.load(str(tmp_path / "m"), model.adata)
    np.testing.assert_allclose(loaded.predict_mean(asked), model.predict_mean(asked))
    torch.testing.assert_close(loaded.module.activity, model.module.activity.cpu())
    assert {"train_loss", "validation_loss"} <= set(model.history)


def test_held_out_likelihood_is_that_of_the_predicted_cells(neural):
    """Against densities by hand."""
    _, models = neural
    model = models["additive"]
    fit, design = model.fitted, model.design
    index = np.array([3, 500, 1300])
    moved = fit.expected()
    assert not moved.add.any()
    total = 0.0
    for i in index:
        k = model.cells().index[i]
        x = np.asarray(model.adata.X)[[i]].astype(float)
        for j in range(7):
            pa = fit.mechanisms.parents[j]
            full, off = (fit.mechanisms.parent_contributions(j, at)[0] for at in (x, fit.mechanisms.off[None]))
            parts = off + (full - off) * moved.speak[k, pa]
            noise = x[0, j] - fit.mechanisms.baseline[design.group[k], j] - parts.sum()
            total += 0.5 * (noise / fit.mechanisms.noise_sd[j]) ** 2 + np.log(fit.mechanisms.noise_sd[j])
    assert held_out(model._screen(model.cells()), fit, index) == pytest.approx(total / 3, rel=1e-5)


def test_additive_fits_stand_where_the_truth_is_linear():
    train, _ = simulated("linear", n_genes=4, n_drugs=5)
    model = GIM(train, mechanism="neural", intervention="activity")
    model.train(max_epochs=0, **QUIET)
    assert model.fitted.mechanisms.mechanism.name == "additive"
    assert "trained" not in model.fitted.settings
    assert len(model.predict(model.contexts[["drug", "dose"]].iloc[[2]], n_cells=3)) == 3
