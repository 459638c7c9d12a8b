"""Simulated structural causal models: random mechanisms and sampling under interventions; numpy only.

The sampler shares no code with the engine that is tested on its data.
"""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np

HIDDEN = 10  # hidden units of a neural mechanism; not from the paper
SIGNAL_SD = {"linear": 2**0.5, "neural": 1.0}  # sd of what the parents contribute, control cells; not from the paper
REFERENCE = 2000  # control cells used to standardise neural mechanisms


@dataclass(frozen=True)
class System:
    """Structural causal model of G genes.

    ``x_j = baseline_j + f_j(x_parents) + noise_sd_j * e_j`` with ``e_j ~ N(0, 1)``.

    Parameters
    ----------
    weights
        Slope of gene j in gene i, (G, G): the coefficients if linear, average slopes in control cells if neural.
    order
        Causal order, (G,).
    baseline
        One row a group of cells, (C, G).
    noise_sd
        (G,).
    network
        Empty if linear; else ``w1`` (G, H, G), ``b1`` (G, H), ``w2`` (G, H) and ``b2`` (G,) with
        ``f_j(x) = w2[j] @ tanh(w1[j] @ x + b1[j]) + b2[j]``.
    graph
        (G, G) bool.
    """

    graph: np.ndarray
    weights: np.ndarray
    order: np.ndarray
    baseline: np.ndarray
    noise_sd: np.ndarray
    network: dict[str, np.ndarray] = field(default_factory=dict)

    def signal(self, j: int, x: np.ndarray) -> np.ndarray:
        """What the parents contribute to gene j, (n,), for cells x (n, G)."""
        parents = np.flatnonzero(self.graph[:, j])
        if len(parents) == 0:
            return np.zeros(len(x))
        if not self.network:
            return x[:, parents] @ self.weights[parents, j]
        net = self.network
        hidden = np.tanh(x[:, parents] @ net["w1"][j][:, parents].T + net["b1"][j])  # (n, H)
        return hidden @ net["w2"][j] + net["b2"][j]


def random_system(
    graph: np.ndarray, order: np.ndarray, mechanism: str, offsets: np.ndarray, rng: np.random.Generator
) -> System:
    """Random mechanisms on a graph; nothing here but their kind is from the paper (see `scgim.datasets.simulate`).

    `offsets` (C, G) is added to the baseline for each group of cells (cell line, batch).
    """
    n_genes = len(graph)
    noise_sd = np.exp(rng.uniform(-0.7, 0.3, n_genes))
    # genes without parents get as noise what parents would have brought: variances do not tell the order
    roots = ~graph.any(0)
    noise_sd[roots] = np.sqrt(noise_sd[roots] ** 2 + SIGNAL_SD[mechanism] ** 2)
    baseline = rng.uniform(-1, 1, n_genes) + offsets
    if mechanism == "linear":
        weights = _linear_weights(graph, order, noise_sd, rng)
        return System(graph, weights, order, baseline, noise_sd)
    return _neural_system(graph, order, baseline, noise_sd, rng)


def _linear_weights(graph: np.ndarray, order: np.ndarray, noise_sd: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """Coefficients (G, G): |w| ~ U(0.5, 1.5), random sign, incoming ones rescaled to a fixed variance of their sum."""
    weights = rng.uniform(0.5, 1.5, graph.shape) * rng.choice([-1.0, 1.0], graph.shape) * graph
    loading = np.diag(noise_sd)  # row j: gene j as a sum of the independent noises
    for j in order:
        parents = np.flatnonzero(graph[:, j])
        if len(parents) == 0:
            continue
        signal = weights[parents, j] @ loading[parents]
        spread = np.linalg.norm(signal)
        # parents that nearly cancel would be blown up: then scale by the size of the weights instead
        spread = max(spread, 0.5 * np.linalg.norm(weights[parents, j]))
        weights[parents, j] *= SIGNAL_SD["linear"] / spread
        loading[j] += weights[parents, j] @ loading[parents]
    return weights


def _neural_system(
    graph: np.ndarray, order: np.ndarray, baseline: np.ndarray, noise_sd: np.ndarray, rng: np.random.Generator
) -> System:
    """One random network a gene, standardised on reference control cells of the first group."""
    n_genes = len(graph)
    network = {
        "w1": np.zeros((n_genes, HIDDEN, n_genes)),
        "b1": np.zeros((n_genes, HIDDEN)),
        "w2": np.zeros((n_genes, HIDDEN)),
        "b2": np.zeros(n_genes),
    }
    weights = np.zeros(graph.shape)
    system = System(graph, weights, order, baseline, noise_sd, network)
    x = np.zeros((REFERENCE, n_genes))
    for j in order:
        parents = np.flatnonzero(graph[:, j])
        if len(parents):
            seen = x[:, parents]
            w1, b1, w2 = _random_network(seen, rng)
            hidden = np.tanh(seen @ w1.T + b1)
            raw = hidden @ w2
            w2 *= SIGNAL_SD["neural"] / raw.std()
            network["w1"][j][:, parents], network["b1"][j], network["w2"][j] = w1, b1, w2
            network["b2"][j] = -(hidden @ w2).mean()
            weights[parents, j] = ((1 - hidden**2) @ (w2[:, None] * w1)).mean(0)
        x[:, j] = baseline[0, j] + system.signal(j, x) + noise_sd[j] * rng.normal(size=REFERENCE)
    return system


def _random_network(x: np.ndarray, rng: np.random.Generator, attempts: int = 50) -> tuple[np.ndarray, ...]:
    """Weights (H, p), bias (H,), output weights (H,) of a network of parents x (n, p) in which each parent matters."""
    loc, scale = x.mean(0), x.std(0)
    z = (x - loc) / scale
    best, best_share = None, -1.0
    enough = min(0.1, 0.25 / x.shape[1])
    for _ in range(attempts):
        w1 = rng.normal(0, 1, (HIDDEN, x.shape[1]))
        b1 = rng.normal(0, 0.5, HIDDEN)
        w2 = rng.normal(0, 1, HIDDEN)
        share = _least_share(z, w1, b1, w2, rng)
        if share > best_share:
            best, best_share = (w1, b1, w2), share
        if share >= enough:
            break
    w1, b1, w2 = best  # type: ignore[misc]
    return w1 / scale, b1 - w1 @ (loc / scale), w2.copy()


def _least_share(z: np.ndarray, w1: np.ndarray, b1: np.ndarray, w2: np.ndarray, rng: np.random.Generator) -> float:
    """Smallest part, over parents, of the output's variance that goes with the parent (by permuting it)."""
    z = z[:500]
    inner = z @ w1.T + b1
    out = np.tanh(inner) @ w2
    variance = out.var()
    shares = []
    for i in range(z.shape[1]):
        other = z[rng.permutation(len(z)), i]
        moved = np.tanh(inner + np.outer(other - z[:, i], w1[:, i])) @ w2
        shares.append(0.5 * np.mean((out - moved) ** 2) / variance)
    return float(min(shares))


def sample(
    system: System,
    group: np.ndarray,
    row: np.ndarray,
    rng: np.random.Generator,
    *,
    shift: np.ndarray | None = None,
    value: np.ndarray | None = None,
    activity: np.ndarray | None = None,
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
    """
    n_genes = len(system.graph)
    x = np.zeros((len(row), n_genes), order="F")  # genes are read and written one at a time
    active = x if activity is None else np.zeros_like(x)  # what children see
    for j in system.order:
        mean = system.baseline[group, j] + system.signal(j, active)
        if shift is not None:
            mean += shift[row, j]
        if value is not None:
            fixed = value[row, j]
            mean = np.where(np.isnan(fixed), mean, fixed)
        x[:, j] = mean + system.noise_sd[j] * rng.normal(size=len(row))
        if activity is not None:
            active[:, j] = x[:, j] * (1 + activity[row, j])
    return x
