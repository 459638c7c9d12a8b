"""The torch module: likelihood, starts, devices."""

import numpy as np
import pytest
import torch
from scipy.stats import norm

from scgim._core.design import Design
from scgim._core.mechanisms import MECHANISMS
from scgim._core.mechanisms.additive import Mechanisms
from scgim._core.structure.parents import Parents
from scgim.model._module.module import GIMModule, as_residuals, context_names
from scgim.model._reading.keys import CONTEXT_KEY

G = 3


@pytest.fixture
def design():
    dose = np.array([[0, 0], [1.0, 0], [2.0, 0], [0, 1.0], [1.0, 1.0]])
    return Design(("a", "b"), dose, np.array([0, 0, 0, 0, 0]), ("all",), np.full(5, 20), has_dose=True)


@pytest.fixture
def batch():
    rng = np.random.default_rng(0)
    return {
        "X": torch.as_tensor(rng.normal(size=(100, G)), dtype=torch.float32),
        CONTEXT_KEY: torch.as_tensor(np.repeat(np.arange(5), 20))[:, None],
    }


def fill(module, rng):
    with torch.no_grad():
        for parameter in module.parameters():
            parameter.copy_(torch.as_tensor(0.5 * rng.normal(size=parameter.shape)))
        module.probability[1:] = torch.as_tensor(rng.random((4, G)))
        module.effect.copy_(torch.as_tensor(rng.normal(size=(5, G))))
        module.own_variance.fill_(0.7)


@pytest.mark.parametrize("mechanism", ["linear", "additive", "neural"])
@pytest.mark.parametrize("intervention", ["shift", "hard"])
def test_loss_is_minus_the_log_density(design, batch, mechanism, intervention):
    """The loss is the mean over cells of minus the expected log density, up to log(2 pi) / 2 a gene."""
    module = GIMModule(G, design, mechanism=mechanism, intervention=intervention).eval()
    module.mechanisms.set_parents([[], [0], [0, 1]])
    fill(module, np.random.default_rng(1))
    _, out, loss = module(batch)
    z, k = batch["X"].numpy(), batch[CONTEXT_KEY].numpy().ravel()
    f = module.mechanisms(batch["X"]).detach().numpy()
    b, sd = module.baseline.detach().numpy()[0], np.exp(module.log_noise.detach().numpy())
    q, effect = module.probability.numpy()[k], module.effect.numpy()[k]
    if intervention == "shift":
        log = norm.logpdf(z, f + b + q * effect, sd)
    else:
        log = (1 - q) * norm.logpdf(z, f + b, sd) + q * norm.logpdf(z, effect, np.sqrt(0.7))
    log = log + 0.5 * np.log(2 * np.pi)
    assert np.allclose(loss.loss.item(), -log.sum(1).mean(), atol=1e-4)
    assert loss.n_obs_minibatch == 100
    assert not loss.extra_metrics  # they break multi-process training


@pytest.mark.parametrize("mechanism", ["linear", "additive", "neural"])
def test_gradients_are_those_of_finite_differences(design, batch, mechanism):
    module = GIMModule(G, design, mechanism=mechanism).double().eval()
    module.mechanisms.set_parents([[], [0], [0, 1]])
    fill(module, np.random.default_rng(1))
    batch = {"X": batch["X"].double(), CONTEXT_KEY: batch[CONTEXT_KEY]}
    module(batch)[2].loss.backward()
    for name, parameter in module.named_parameters():
        index = (0, G - 1) if name == "baseline" else (G - 1, *[0] * (parameter.dim() - 1))
        gradient = float(parameter.grad[index])
        values = []
        for step in (1e-6, -1e-6):
            with torch.no_grad():
                parameter[index] += step
                values.append(float(module(batch)[2].loss))
                parameter[index] -= step
        assert np.isclose(gradient, (values[0] - values[1]) / 2e-6, atol=1e-6), name


def test_residual_sums_are_those_of_loops(design, batch):
    module = GIMModule(G, design)
    z, k = batch["X"], batch[CONTEXT_KEY].ravel()
    out = as_residuals(module.residual_sums(2 * z, z, k))
    for c in range(5):
        x = z[k == c].double().numpy()
        assert np.allclose(out.n[c], 20)
        assert np.allclose(out.first[c], 2 * x.sum(0))
        assert np.allclose(out.scatter[c], 4 * x.var(0) * 20)
        assert np.allclose(out.own_mean[c], x.mean(0))


@pytest.mark.parametrize("kind", ["linear", "additive"])
def test_start_from_mechanisms_keeps_their_predictions(design, kind):
    """A module started from mechanisms has the same residuals as they have."""
    rng = np.random.default_rng(0)
    n_functions = MECHANISMS[kind].n_functions
    parents = [np.array([], int), np.array([0]), np.array([1, 0])]
    mechanisms = Mechanisms(
        MECHANISMS[kind],
        np.arange(3),
        parents,
        [rng.normal(size=(len(p), n_functions)) for p in parents],
        rng.normal(size=(1, 3)),
        np.array([0.5, 1.0, 2.0]),
        rng.normal(size=3),
        np.array([1.0, 2.0, 0.5]),
        np.zeros((3, 3)),
    )
    module = GIMModule(G, design, mechanism=kind)
    module.load_mechanisms(mechanisms)
    x = rng.normal(size=(10, 3))
    z = (x - mechanisms.loc) / mechanisms.scale
    residual = (
        (torch.as_tensor(z, dtype=torch.float32) - module.mechanisms(torch.as_tensor(z).float())).detach().numpy()
    )
    for j in range(3):
        expected = x[:, j] - mechanisms.baseline[0, j] - mechanisms.contribution(j, x)
        found = (residual[:, j] - module.baseline[0, j].item()) * mechanisms.scale[j]
        assert np.allclose(found, expected, atol=1e-4)
    assert np.allclose(np.exp(module.log_noise.detach().numpy()) * mechanisms.scale, mechanisms.noise_sd)


@pytest.mark.parametrize("kind", ["linear", "additive"])
def test_as_many_parents_fit_in_as_the_search_gives(design, kind):
    """Dense expression of real cells: some genes have more than a dozen parents."""
    most = Parents.max_parents
    module = GIMModule(most + 1, design, mechanism=kind)
    module.mechanisms.set_parents([list(range(j)) for j in range(most + 1)])
    assert int(module.mechanisms.mask.sum(1).max()) == most


def test_names_and_shapes_follow_from_the_design(design):
    assert context_names(design) == ("control", "a at 1", "a at 2", "b at 1", "a at 1 + b at 1")
    first, second = (GIMModule(G, design, mechanism="neural") for _ in range(2))
    second.load_state_dict(first.state_dict())


def test_every_tensor_moves_with_the_module(design, batch):
    """Nothing is left behind on another device; the meta device stands for one."""
    module = GIMModule(G, design, mechanism="neural").to("meta")
    assert {t.device.type for t in [*module.parameters(), *module.buffers()]} == {"meta"}
    z = batch["X"].to("meta")
    assert module.mechanisms(z).device.type == "meta"
    out = module.negative_log_likelihood(z, z, batch[CONTEXT_KEY].ravel().to("meta"))
    assert out.shape == (100, G)
