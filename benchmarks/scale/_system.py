"""A large linear system under drugs, whose cells are drawn chunk by chunk and never held together."""

import time
from collections.abc import Iterator
from dataclasses import dataclass, field

import numpy as np

from scgim._core.design import Design

DOSES = (0.5, 1.0, 1.5, 2.0)
CHUNK = 5_000


@dataclass
class System:
    """Two edges a gene, one to three targets a drug, four doses, a fifth of the cells control.

    Weights are scaled so that all genes vary alike, unless the system is `dense`: then they are 0.5 to 1.5 in size.
    """

    n_genes: int
    n_cells: int
    n_contexts: int
    seed: int = 0
    dense: bool = False
    parents: float = 2.0  # of a gene, on average; at most twice as many
    doses: tuple[float, ...] = DOSES
    seconds: float = field(default=0.0, init=False)  # spent on drawing cells

    def __post_init__(self) -> None:
        rng = np.random.default_rng(self.seed)
        G = self.n_genes
        self.n_drugs = max(1, (self.n_contexts - 1) // len(self.doses))
        self.order = rng.permutation(G)
        weights = np.zeros((G, G))
        for place, j in enumerate(self.order):
            n = min(place, int(rng.binomial(int(2 * self.parents), 0.5 * G / max(G - 1, 1))))
            parents = self.order[rng.choice(place, n, replace=False)] if n else []
            size = 1.0 if self.dense else 0.9 / max(n, 1) ** 0.5
            weights[parents, j] = rng.choice([-1, 1], n) * rng.uniform(0.5, 1.5, n) * size
        self.weights = weights
        self.total = np.linalg.inv(np.eye(G) - weights)  # x = (baseline + shift + noise) @ total
        self.effect = np.zeros((self.n_drugs, G))
        for d in range(self.n_drugs):
            hit = rng.choice(G, min(G, int(rng.integers(1, 4))), replace=False)
            self.effect[d, hit] = rng.choice([-1, 1], len(hit)) * rng.uniform(2, 6, len(hit))
        self.noise, self.baseline = np.exp(rng.uniform(-0.7, 0.3, G)), rng.uniform(-1, 1, G)
        drug = np.repeat(np.arange(self.n_drugs), len(self.doses))
        dose = np.tile(self.doses, self.n_drugs)
        self.context_drug, self.context_dose = np.append(-1, drug), np.append(0.0, dose)
        K = len(self.context_drug)
        n = np.full(K, max(2, int(0.8 * self.n_cells) // max(K - 1, 1)))
        n[0] = max(2, self.n_cells - n[1:].sum())
        matrix = np.zeros((K, self.n_drugs))
        matrix[np.arange(1, K), drug] = dose
        names = tuple(f"drug {d}" for d in range(self.n_drugs))
        self.design = Design(names, matrix, np.zeros(K, dtype=int), ("all",), n)
        self.shift = np.zeros((K, G))
        fraction = dose**4 / (0.75**4 + dose**4)
        self.shift[1:] = fraction[:, None] * self.effect[drug]
        self.context = np.repeat(np.arange(K), n)[rng.permutation(n.sum())]
        self.genes = [f"gene {j}" for j in range(G)]

    def draw(self, start: int) -> np.ndarray:
        """Cells ``(n, G)`` float32 from `start` on, at most `CHUNK`; the same on every call."""
        context = self.context[start : start + CHUNK]
        rng = np.random.default_rng([self.seed, start])
        noise = rng.standard_normal((len(context), self.n_genes), dtype=np.float32) * self.noise.astype(np.float32)
        return (noise + (self.baseline + self.shift[context]).astype(np.float32)) @ self.total.astype(np.float32)

    def chunks(self) -> Iterator[tuple[np.ndarray, np.ndarray]]:
        """All cells with their contexts; the time it takes to draw them is counted apart."""
        for start in range(0, len(self.context), CHUNK):
            began = time.perf_counter()
            x = self.draw(start)
            self.seconds += time.perf_counter() - began
            yield x, self.context[start : start + CHUNK]

    def obs(self) -> dict[str, np.ndarray]:
        """Columns of the cells."""
        names = np.array([*self.design.drugs, "control"], dtype=object)
        return {"drug": names[self.context_drug[self.context]], "dose": self.context_dose[self.context]}

    def scores(self, graph: np.ndarray, probability: np.ndarray) -> dict[str, float]:
        """F1 of edges ``(G, G)`` and of targets ``(D, G)``; drugs in the order of the design."""
        pairs = {"edge_f1": (graph != 0, self.weights != 0), "target_f1": (probability > 0.5, self.effect != 0)}
        return {k: 2 * float((a & b).sum()) / max(float(a.sum() + b.sum()), 1) for k, (a, b) in pairs.items()}
