"""A small linear system with known truth, simulated without the package."""

from dataclasses import dataclass, field

import numpy as np
import pytest

from scgim._core.design import Design
from scgim._core.moments.moments import Moments, compute_moments

DOSES = (0.5, 1.0, 2.0)
EC50, HILL = 0.75, 4.0


@dataclass
class Study:
    """Cells of a linear system under single drugs, with the truth."""

    graph: np.ndarray  # (G, G) weights, row causes column
    effect: np.ndarray  # (D, G) at saturation
    cells: np.ndarray  # (N, G)
    context: np.ndarray  # (N,)
    design: Design
    genes: tuple[str, ...] = field(default_factory=tuple)

    def moments(self, mechanism: str = "linear", *, block: np.ndarray | None = None) -> Moments:
        """Moments of the cells; with `block` ``(K,)`` the scatter of each block of contexts apart."""
        return compute_moments(
            lambda: iter([(self.cells, self.context)]),
            len(self.design.dose),
            mechanism=mechanism,
            block=block,
        )


def simulate_study(
    n_genes: int = 6,
    n_drugs: int = 5,
    *,
    intervention: str = "shift",
    n_control: int = 300,
    n_cells: int = 40,
    background: float = 0.0,
    n_edges: int | None = None,
    n_groups: int = 1,
    seed: int = 0,
) -> Study:
    """Random graph with about 1.5 edges a gene, one target a drug (two for every third), three doses.

    Under activity interventions each drug weakens the outgoing effects of one gene that has children.
    """
    rng = np.random.default_rng(seed)
    G, D = n_genes, n_drugs
    order = rng.permutation(G)
    pairs = [(order[a], order[b]) for a in range(G) for b in range(a + 1, G)]
    chosen = rng.permutation(len(pairs))[: int(1.5 * G) if n_edges is None else n_edges]
    graph = np.zeros((G, G))
    for c in chosen:
        graph[pairs[c]] = rng.choice([-1, 1]) * rng.uniform(0.5, 1.2)
    effect = np.zeros((D, G))
    for d in range(D):
        if intervention == "activity":
            effect[d, rng.choice(np.flatnonzero(graph.any(axis=1)))] = rng.uniform(-1, -0.6)
            continue
        effect[d, rng.permutation(G)[: 2 if d % 3 == 2 else 1]] = rng.choice([-1, 1]) * rng.uniform(3, 5)
    noise, baseline = rng.uniform(0.6, 1.3, G), rng.uniform(-1, 1, (n_groups, G))
    rows = [(g, -1, 0.0, n_control) for g in range(n_groups)]
    rows += [(g, d, x, n_cells) for g in range(n_groups) for d in range(D) for x in DOSES]
    dose = np.zeros((len(rows), D))
    parts, context = [], []
    for k, (g, d, amount, n) in enumerate(rows):
        shift, hit = background * noise * rng.standard_normal(G) * (d >= 0), np.zeros(G, dtype=bool)
        if d >= 0:
            dose[k, d] = amount
            hit = effect[d] != 0
            shift = shift + effect[d] * amount**HILL / (EC50**HILL + amount**HILL)
        x, outgoing = np.zeros((n, G)), np.ones(G)
        if intervention == "activity":
            shift, outgoing = np.zeros(G), 1 + shift
        for j in order:
            incoming = 0 if intervention == "hard" and hit[j] else (x * outgoing) @ graph[:, j] + baseline[g, j]
            x[:, j] = incoming + shift[j] + noise[j] * rng.standard_normal(n)
        parts.append(x)
        context.append(np.full(n, k))
    n = np.array([r[3] for r in rows])
    drugs = tuple(f"drug {d}" for d in range(D))
    design = Design(drugs, dose, np.array([r[0] for r in rows]), tuple(f"group {g}" for g in range(n_groups)), n)
    genes = tuple(f"g{j}" for j in range(G))
    return Study(graph, effect, np.concatenate(parts), np.concatenate(context), design, genes)


@pytest.fixture(scope="session")
def make_study():
    """`simulate_study`, for tests that choose its size."""
    return simulate_study


@pytest.fixture(scope="session")
def study() -> Study:
    """Six genes, five drugs at three doses."""
    return simulate_study()
