"""Simulated structural causal models: random mechanisms and sampling under interventions; numpy only.

The sampler shares no code with the engine that is tested on its data.
"""

from dataclasses import dataclass
from typing import NamedTuple

import numpy as np

from scgim.datasets._simulator.disturbance import CellState, Disturbance
from scgim.datasets._simulator.mechanisms import ACTIVATIONS, CURVES, Curved, Linear, Mechanisms, Neural

LINEAR_SD, CURVED_SD = 2**0.5, 1.0  # sd of what the parents contribute among controls; not from the paper
REFERENCE = 2000  # control cells used to standardise mechanisms that are not linear


class NetworkSize(NamedTuple):
    """Size and shape of neural mechanisms; not from the paper."""

    hidden: int = 10
    activation: str = "tanh"
    weight_sd: float = 1.0


@dataclass(frozen=True)
class System:
    """Structural causal model of G genes.

    ``x_j = baseline_j + f_j(x_parents) + noise_sd_j * e_j`` with ``e_j ~ N(0, 1)``.
    """

    graph: np.ndarray  # (G, G) bool
    # slope of gene j in gene i, (G, G): the coefficients if linear, else average slopes in control cells
    weights: np.ndarray
    order: np.ndarray  # causal order, (G,)
    baseline: np.ndarray  # one row a group of cells, (C, G)
    noise_sd: np.ndarray  # (G,)
    mechanisms: Mechanisms  # what parents contribute

    def signal(self, j: int, x: np.ndarray) -> np.ndarray:
        """What the parents contribute to gene j, (n,), for cells x (n, G)."""
        parents = np.flatnonzero(self.graph[:, j])
        if len(parents) == 0:
            return np.zeros(len(x))
        return self.mechanisms.signal(j, x[:, parents], parents)


class Draft(NamedTuple):
    """What a system has before its mechanisms."""

    graph: np.ndarray  # (G, G) bool
    order: np.ndarray  # (G,)
    baseline: np.ndarray  # (C, G)
    noise_sd: np.ndarray  # (G,)
    curve: str  # of mechanisms that are one of a parent
    network: NetworkSize  # of mechanisms that are one

    def system(self, weights: np.ndarray, mechanisms: Mechanisms) -> System:
        """With slopes ``(G, G)`` and mechanisms, which may be filled in later."""
        return System(self.graph, weights, self.order, self.baseline, self.noise_sd, mechanisms)


def random_system(
    graph: np.ndarray,
    order: np.ndarray,
    mechanism: str,
    offsets: np.ndarray,
    rng: np.random.Generator,
    network: NetworkSize = NetworkSize(),
) -> System:
    """Random mechanisms on a graph; nothing here but their kind is from the paper (see `scgim.datasets.simulate`).

    `offsets` (C, G) is added to the baseline for each group of cells (cell line, batch).
    """
    n_genes = len(graph)
    noise_sd = np.exp(rng.uniform(-0.7, 0.3, n_genes))
    # genes without parents get as noise what parents would have brought: variances do not tell the order
    roots = ~graph.any(0)
    build = BUILD.get(mechanism, _curved_system)
    signal_sd = LINEAR_SD if build is _linear_system else CURVED_SD
    noise_sd[roots] = np.sqrt(noise_sd[roots] ** 2 + signal_sd**2)
    baseline = rng.uniform(-1, 1, n_genes) + offsets
    return build(Draft(graph, order, baseline, noise_sd, mechanism, network), rng)


def _linear_system(draft: Draft, rng: np.random.Generator) -> System:
    """Coefficients (G, G): |w| ~ U(0.5, 1.5), random sign, incoming ones rescaled to a fixed variance of their sum."""
    graph = draft.graph
    weights = rng.uniform(0.5, 1.5, graph.shape) * rng.choice([-1.0, 1.0], graph.shape) * graph
    loading = np.diag(draft.noise_sd)  # row j: gene j as a sum of the independent noises
    for j in draft.order:
        parents = np.flatnonzero(graph[:, j])
        if len(parents) == 0:
            continue
        signal = weights[parents, j] @ loading[parents]
        spread = np.linalg.norm(signal)
        # parents that nearly cancel would be blown up: then scale by the size of the weights instead
        spread = max(spread, 0.5 * np.linalg.norm(weights[parents, j]))
        weights[parents, j] *= LINEAR_SD / spread
        loading[j] += weights[parents, j] @ loading[parents]
    return draft.system(weights, Linear(weights))


def _neural_system(draft: Draft, rng: np.random.Generator) -> System:
    """One random network a gene, standardised on reference control cells of the first group."""
    graph, network = draft.graph, draft.network
    n_genes, hidden_units = len(graph), network.hidden
    activation = ACTIVATIONS[network.activation]
    mechanisms = Neural(
        w1=np.zeros((n_genes, hidden_units, n_genes)),
        b1=np.zeros((n_genes, hidden_units)),
        w2=np.zeros((n_genes, hidden_units)),
        b2=np.zeros(n_genes),
        activation=network.activation,
    )
    weights = np.zeros(graph.shape)
    system = draft.system(weights, mechanisms)
    x = np.zeros((REFERENCE, n_genes))
    for j in draft.order:
        parents = np.flatnonzero(graph[:, j])
        if len(parents):
            seen = x[:, parents]
            w1, b1, w2 = _random_network(seen, network, rng)
            inner = seen @ w1.T + b1  # (n, H)
            hidden = activation.value(inner)
            raw = hidden @ w2
            w2 *= CURVED_SD / raw.std()
            mechanisms.w1[j][:, parents], mechanisms.b1[j], mechanisms.w2[j] = w1, b1, w2
            mechanisms.b2[j] = -(hidden @ w2).mean()
            weights[parents, j] = (activation.slope(inner) @ (w2[:, None] * w1)).mean(0)
        x[:, j] = system.baseline[0, j] + system.signal(j, x) + system.noise_sd[j] * rng.normal(size=REFERENCE)
    return system


def _random_network(
    x: np.ndarray, network: NetworkSize, rng: np.random.Generator, attempts: int = 50
) -> tuple[np.ndarray, ...]:
    """Weights (H, p), bias (H,), output weights (H,) of a network of parents x (n, p) in which each parent matters."""
    loc, scale = x.mean(0), x.std(0)
    z = (x - loc) / scale
    best, best_share = None, -1.0
    enough = min(0.1, 0.25 / x.shape[1])
    for _ in range(attempts):
        w1 = rng.normal(0, network.weight_sd, (network.hidden, x.shape[1]))
        b1 = rng.normal(0, 0.5, network.hidden)
        w2 = rng.normal(0, 1, network.hidden)
        share = _least_share(z, w1, b1, w2, network.activation, rng)
        if share > best_share:
            best, best_share = (w1, b1, w2), share
        if share >= enough:
            break
    w1, b1, w2 = best  # type: ignore[misc]
    return w1 / scale, b1 - w1 @ (loc / scale), w2.copy()


def _least_share(
    z: np.ndarray, w1: np.ndarray, b1: np.ndarray, w2: np.ndarray, activation: str, rng: np.random.Generator
) -> float:
    """Smallest part, over parents, of the output's variance that goes with the parent (by permuting it)."""
    of = ACTIVATIONS[activation].value
    z = z[:500]
    inner = z @ w1.T + b1
    out = of(inner) @ w2
    variance = max(out.var(), 1e-12)  # units that are never active
    shares = []
    for i in range(z.shape[1]):
        other = z[rng.permutation(len(z)), i]
        moved = of(inner + np.outer(other - z[:, i], w1[:, i])) @ w2
        shares.append(0.5 * np.mean((out - moved) ** 2) / variance)
    return float(min(shares))


def _curved_system(draft: Draft, rng: np.random.Generator) -> System:
    """One curve of each parent, added up and scaled to a fixed variance on reference control cells of the first group."""
    graph, shape = draft.graph, CURVES[draft.curve]
    n_genes = len(graph)
    amplitude = rng.uniform(0.5, 1.5, graph.shape) * rng.choice([-1.0, 1.0], graph.shape) * graph
    mechanisms = Curved(draft.curve, amplitude, np.zeros(n_genes), np.ones(n_genes), np.zeros(n_genes))
    weights = np.zeros(graph.shape)
    system = draft.system(weights, mechanisms)
    x, bent, slope = (np.zeros((REFERENCE, n_genes)) for _ in range(3))
    for j in draft.order:
        parents = np.flatnonzero(graph[:, j])
        if len(parents):
            spread = (bent[:, parents] @ amplitude[parents, j]).std()
            # parents that nearly cancel would be blown up: then scale by the size of what each brings instead
            spread = max(spread, 0.5 * np.linalg.norm(amplitude[parents, j] * bent[:, parents].std(0)))
            amplitude[parents, j] *= CURVED_SD / spread
            weights[parents, j] = amplitude[parents, j] * slope[:, parents].mean(0)
        x[:, j] = system.baseline[0, j] + system.signal(j, x) + system.noise_sd[j] * rng.normal(size=REFERENCE)
        mechanisms.centre[j], mechanisms.scale[j] = x[:, j].mean(), x[:, j].std()
        z = (x[:, j] - mechanisms.centre[j]) / mechanisms.scale[j]
        mechanisms.level[j] = shape.value(z).mean()
        bent[:, j], slope[:, j] = shape.value(z), shape.slope(z) / mechanisms.scale[j]
    return system


BUILD = {"linear": _linear_system, "neural": _neural_system}
"""Systems by their mechanism; all others have curves of that name."""


def sample(
    system: System,
    group: np.ndarray,
    row: np.ndarray,
    rng: np.random.Generator,
    *,
    shift: np.ndarray | None = None,
    value: np.ndarray | None = None,
    activity: np.ndarray | None = None,
    disturbance: Disturbance = Disturbance(),
    state: CellState = CellState(),
) -> np.ndarray:
    """Cells of a system under interventions, (n, G).

    Parameters
    ----------
    system
        The system.
    group
        Group of each cell (cell line, batch), (n,).
    row
        Context of each cell, (n,): which row of the following to use.
    rng
        Random generator.
    shift
        Added to the mechanisms, (K, G).
    value
        Mean that replaces the mechanism, (K, G), NaN where it stays; the noise stays as it is.
    activity
        Parents act on their children as if multiplied by 1 + activity, (K, G).
    disturbance
        What acts on contexts besides their drugs.
    state
        Which cells respond to their drugs, and hidden variables, of these n cells.
    """
    n_genes = len(system.graph)
    x = np.zeros((len(row), n_genes), order="F")  # genes are read and written one at a time
    active = x if activity is None else np.zeros_like(x)  # what children see
    for j in system.order:
        mean = system.baseline[group, j] + system.signal(j, active)
        if shift is not None:
            mean += state.of_responders(shift[row, j])
        mean += disturbance.added(j, row, state)
        if value is not None:
            fixed = value[row, j]
            mean = np.where(np.isnan(fixed) | ~state.responding(len(row)), mean, fixed)
        noise = system.noise_sd[j] * rng.normal(size=len(row))
        x[:, j] = mean + noise * disturbance.spread(j, row)
        if activity is not None:
            active[:, j] = x[:, j] * (1 + state.of_responders(activity[row, j]))
    return x
