"""Second stage of a fit, through the model class."""

from types import SimpleNamespace

import numpy as np
import pytest
import torch
from threadpoolctl import threadpool_info, threadpool_limits

import systems
from scgim.model import GIM
from scgim.model._training.refine import _extremes

QUIET = {"enable_progress_bar": False, "accelerator": "cpu"}
SETUP = {"perturbation_key": "drug", "dose_key": "dose", "control": "control"}


def simulated(mechanism="linear", intervention="shift", n_genes=5, seed=0, **kwargs):
    settings = {"n_drugs": 8, "n_new_drugs": 1, **kwargs}
    adata = systems.simulated(n_genes=n_genes, mechanism=mechanism, intervention=intervention, rng=seed, **settings)
    train = systems.training(adata)
    GIM.setup_anndata(train, **SETUP)
    return train, adata.uns["truth"]


def recovery(model, truth):
    rows = [list(truth["drugs"]).index(d) for d in model.fitted.drugs]
    targets = np.asarray(truth["drug_effect"])[rows] != 0
    return systems.f1(np.asarray(truth["graph"]), model.fitted.graph.weights != 0), systems.f1(
        targets, model.fitted.of_drug.probability > 0.5
    )


@pytest.mark.parametrize("mechanism", ["linear", "additive"])
def test_training_never_leaves_a_better_start(mechanism):
    """Closed forms are at the optimum: the short training keeps graph and targets, and does not worsen the fit."""
    adata, truth = simulated()
    model = GIM(adata, mechanism=mechanism)
    model.train(max_epochs=0)
    start = model.fitted
    model.train(max_epochs=3, batch_size=256, **QUIET)
    assert np.array_equal(start.graph.weights != 0, model.fitted.graph.weights != 0)
    assert np.allclose(start.of_drug.probability > 0.5, model.fitted.of_drug.probability > 0.5)
    assert np.allclose(start.mechanisms.noise_sd, model.fitted.mechanisms.noise_sd, rtol=0.02)
    assert recovery(model, truth)[0] == 1
    assert {"train_loss", "validation_loss", "score", "search_score"} <= set(model.history)
    assert np.isfinite(model.history["train_loss"].to_numpy()).all()


@pytest.mark.parametrize("intervention", ["shift", "hard"])
def test_neural_systems_are_recovered(intervention):
    adata, truth = simulated("neural", intervention, n_drugs=12, n_control=400, n_cells=40)
    model = GIM(adata, mechanism="neural", intervention=intervention)
    model.train(max_epochs=3, **QUIET)
    edge, target = recovery(model, truth)
    assert edge >= 0.9
    assert target >= 0.9
    assert model.fitted.mechanisms.mechanism.name == "neural"


def test_neural_model_saves_and_predicts(tmp_path):
    adata, _ = simulated("neural", n_drugs=3)
    model = GIM(adata, mechanism="neural")
    model.train(max_epochs=1, **QUIET)
    rows = model.contexts[["drug", "dose"]].iloc[:4]
    before = model.predict_mean(rows)
    model.save(str(tmp_path / "m"))
    again = GIM.load(str(tmp_path / "m"), adata=False)
    assert np.allclose(before, again.predict_mean(rows))
    measured = np.stack([adata.X[adata.obs["_scvi_context"] == k].mean(0) for k in range(4)])
    assert np.abs(before.to_numpy() - measured).mean() < 0.5


def test_same_seed_gives_the_same_result():
    out = []
    for _ in range(2):
        adata, _ = simulated("neural", n_drugs=3)
        model = GIM(adata, mechanism="neural")
        model.train(max_epochs=2, rng=4, **QUIET)
        out.append(model.fitted.of_context.mean)
    np.testing.assert_allclose(*out, rtol=1e-6)


def test_global_random_state_is_left_alone():
    adata, _ = simulated(n_drugs=3)
    model = GIM(adata)
    state = torch.random.get_rng_state()
    model.train(max_epochs=1, **QUIET)
    assert torch.equal(state, torch.random.get_rng_state())


def test_loss_that_is_not_finite_stops_with_the_contexts():
    from scgim.model._module.plan import GIMTrainingPlan

    adata, _ = simulated(n_drugs=3)
    model = GIM(adata)
    plan = GIMTrainingPlan(model.module)
    context = torch.tensor([0, 1, 1])
    loss = SimpleNamespace(
        loss=torch.tensor(float("nan")),
        reconstruction_loss={"reconstruction_loss": torch.tensor([1.0, float("inf"), 2.0])},
    )
    with pytest.raises(FloatingPointError, match=r"drug_.* at 0.5"):
        plan._check_finite(loss, context)
    assert plan.eps == 1e-8


def test_the_search_uses_one_thread():
    """Several threads that compete for few cores make small matrices many times slower."""
    adata, _ = simulated()
    seen = []
    with threadpool_limits(limits=2):
        GIM(adata).train(max_epochs=0, progress=lambda stage, _: seen.append((stage, most_threads())), **QUIET)
        assert most_threads() == 2
    assert {threads for stage, threads in seen if stage.startswith("search")} == {1}


def most_threads():
    return max(pool["num_threads"] for pool in threadpool_info() if pool["user_api"] == "blas")


def test_extremes_are_those_of_all_blocks():
    blocks = [(np.array([[0.0, 3.0], [1.0, -1.0]]), np.zeros(2)), (np.array([[5.0, 0.0]]), np.ones(1))]
    screen = SimpleNamespace(cells=SimpleNamespace(dense=lambda: iter(blocks)))
    np.testing.assert_array_equal(_extremes(screen), [[0, -1], [5, 3]])
