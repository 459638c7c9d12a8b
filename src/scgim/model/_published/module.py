"""The published estimator: ``structure="gradient"`` (layer `model`).

As in :cite:p:`schneider2025`: maximum a posteriori by Adam on minibatches; Gumbel-sigmoid samples of the graph and of
the targets; acyclicity by an augmented Lagrangian; amortised maps ``g`` (features to target logits) and ``h`` (features
and targets to effects) shared by all contexts; priors that keep edges and targets few. Not from the paper: sizes of the
networks, learning rates, temperatures, weights of the priors and all schedules; one-hot drugs with their doses as
features where none are registered; the log determinant that makes the density of a graph with cycles one, and is zero
without cycles; and a last part of the training, in which the order of the genes is fixed.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from scvi.module.base import LossOutput
from torch import nn

from scgim.model._module.module import GIMModule, mean_loss

if TYPE_CHECKING:
    from scgim._core.design import Design

MAX_LOGIT = 8.0  # of edges and targets, so that samples keep a gradient
MAX_DETERMINANTS = 64  # a minibatch, where they differ between cells


def gumbel_sigmoid(logits: torch.Tensor, temperature: float, *, sample: bool = True) -> torch.Tensor:
    """Relaxed binary sample, between 0 and 1; without `sample`, whether the logit is positive."""
    if not sample:
        return (logits > 0).to(logits.dtype)
    u = torch.rand_like(logits).clamp(1e-6, 1 - 1e-6)
    return torch.sigmoid((logits + u.log() - (-u).log1p()) / temperature)


def acyclicity(probability: torch.Tensor) -> torch.Tensor:
    """``log(1 + tr((I + P / G)^G) - G)``: zero if and only if the graph of the positive entries has no cycle."""
    G = len(probability)
    power = torch.linalg.matrix_power(torch.eye(G, device=probability.device) + probability / G, G)
    return (power.diagonal().sum() - G).clamp(min=0).log1p()


def acyclic_graph(probability: np.ndarray, threshold: float = 0.5) -> np.ndarray:
    """Edges above the threshold, the most probable first, without those that would close a cycle; ``(G, G)`` bool."""
    graph = np.zeros(probability.shape, dtype=bool)
    paths = np.eye(len(graph), dtype=bool)
    for flat in np.argsort(-probability, axis=None, kind="stable"):
        i, j = np.unravel_index(flat, graph.shape)
        if probability[i, j] <= threshold:
            break
        if not paths[j, i]:
            graph[i, j] = True
            paths |= np.outer(paths[:, i], paths[j])
    return graph


def gene_order(probability: np.ndarray) -> np.ndarray:
    """An order that agrees with `acyclic_graph`; of the genes that may come next, the one with least to lose."""
    graph, left, order = acyclic_graph(probability), list(range(len(probability))), []
    while left:
        free = [j for j in left if not graph[left, j].any()]
        lost = [probability[left, j].sum() - probability[j, left].sum() for j in free]
        order.append(free[int(np.argmin(lost))])
        left.remove(order[-1])
    return np.array(order)


class PublishedModule(GIMModule):
    """The published model: every other gene is a candidate parent, gated by a sampled graph.

    Parameters
    ----------
    n_genes, design
        See `GIMModule`.
    gamma
        ``(K, Q)``; features of the contexts.
    n_map_hidden
        Hidden units of the maps g and h.
    edge_prior, target_prior
        Weights of the expected numbers of edges and of targets.
    map_ridge
        Weight of the squares of the weights of g and h: their Gaussian prior.
    n_samples
        Graphs drawn for a minibatch, each for some of its cells. Targets are drawn for each cell.
    determinant
        Whether the log determinant of the mechanisms enters while the graph may have cycles.
    kwargs
        See `GIMModule`.
    """

    gamma: torch.Tensor
    perturbed: torch.Tensor

    def __init__(
        self,
        n_genes: int,
        design: Design,
        gamma: np.ndarray,
        *,
        n_cells: int,
        n_map_hidden: int = 64,
        edge_prior: float = 5.0,
        target_prior: float = 4.0,
        map_ridge: float = 0.3,
        n_samples: int = 16,
        determinant: bool = True,
        **kwargs: Any,
    ) -> None:
        super().__init__(n_genes, design, **kwargs | {"max_parents": max(n_genes - 1, 1)})
        self.mechanisms.set_parents([np.delete(np.arange(n_genes), j) for j in range(n_genes)])
        self.n_cells, self.n_samples, self.determinant = n_cells, n_samples, determinant
        self.edge_prior, self.target_prior, self.map_ridge = edge_prior, target_prior, map_ridge
        Q = gamma.shape[1]
        self.register_buffer("gamma", torch.as_tensor(gamma, dtype=torch.float32))
        self.register_buffer("perturbed", torch.as_tensor(~design.control))
        self.edge_logits = nn.Parameter(torch.zeros(n_genes, max(n_genes - 1, 1)))  # of the candidates of each gene
        H = n_map_hidden
        self.g = nn.Sequential(nn.Linear(Q, H), nn.SiLU(), nn.Linear(H, n_genes))
        self.h = nn.Sequential(nn.Linear(Q + n_genes, H), nn.SiLU(), nn.Linear(H, n_genes))
        self.log_own = nn.Parameter(torch.zeros(n_genes))
        nn.init.zeros_(self.g[2].bias)  # type: ignore[arg-type]
        self.temperature, self.target_factor = 1.0, 1.0  # of the present step
        self.multiplier, self.quadratic = 0.0, 0.0  # of the augmented Lagrangian
        self.ordered = False  # whether candidates are those of a fixed order

    def edge_probability(self) -> torch.Tensor:
        """Probability of every edge ``(G, G)``, row causes column."""
        G = self.n_genes
        p = torch.zeros(G, G, device=self.loc.device)
        column = torch.arange(G, device=p.device)[:, None].expand_as(self.mechanisms.candidates)
        return p.index_put((self.mechanisms.candidates, column), torch.sigmoid(self.edge_logits) * self.mechanisms.mask)

    @torch.no_grad()
    def fix_order(self) -> None:
        """From now on only edges along the order of the present graph; it has no cycles, and needs no multiplier."""
        rank = np.argsort(gene_order(self.edge_probability().double().cpu().numpy()))
        candidates = self.mechanisms.candidates.cpu().numpy()
        along = torch.as_tensor(rank[candidates] < rank[:, None]).to(self.mechanisms.mask)
        self.mechanisms.mask.mul_(along)
        self.edge_logits.clamp_(-3.0, 3.0)  # so that edges may still come and go
        self.ordered = True

    def training_state(self) -> dict[str, Any]:
        """Also the augmented Lagrangian, and whether the order is fixed."""
        own = {"multiplier": self.multiplier, "quadratic": self.quadratic, "ordered": self.ordered}
        return super().training_state() | own

    def load_training_state(self, state: dict[str, Any]) -> None:
        """Takes them over."""
        super().load_training_state(state)
        self.multiplier, self.quadratic, self.ordered = (state[k] for k in ("multiplier", "quadratic", "ordered"))

    def target_logits(self) -> torch.Tensor:
        """Log odds that a gene is a target, of every context ``(K, G)``."""
        return self.g(self.gamma).clamp(-MAX_LOGIT, MAX_LOGIT)

    def gates(self, n: int) -> torch.Tensor:
        """Sampled graphs of n cells, ``(G, n, P)``; out of training one graph of the probable edges, ``(G, 1, P)``."""
        if not self.training:
            return gumbel_sigmoid(self.edge_logits, self.temperature, sample=False)[:, None]
        S = min(self.n_samples, n)
        logits = self.edge_logits.clamp(-MAX_LOGIT, MAX_LOGIT)
        gate = gumbel_sigmoid(logits[:, None].expand(-1, S, -1), self.temperature)
        return gate[:, torch.arange(n, device=gate.device) * S // n]

    def generative(self, z: torch.Tensor, context: torch.Tensor) -> dict[str, torch.Tensor]:
        """What the mechanisms of a sampled graph leave unexplained, with the sampled interventions."""
        u, gate = self.mechanisms.inputs(z), self.gates(len(z))
        logits = self.target_logits()
        targets = gumbel_sigmoid(logits[context], self.temperature, sample=self.training)
        targets = targets * self.perturbed[context, None]
        out = {
            "z": z,
            "context": context,
            "residual": z - self.mechanisms.evaluate(u, gate),
            "logits": logits,
            "targets": targets,
            "effects": self.h(torch.cat([self.gamma[context], targets], 1)),
        }
        if self.training and self.determinant and not self.ordered:
            out["log_determinant"] = self.log_determinant(u, gate, targets)
        return out

    def log_determinant(self, u: torch.Tensor, gate: torch.Tensor, targets: torch.Tensor) -> torch.Tensor:
        """Mean of ``log |det(I - J)|`` over cells, with J the derivatives of the mechanisms; zero without cycles."""
        n, G = len(targets), self.n_genes
        listening = self.kind.listening(targets)
        constant = self.mechanisms.mechanism.linear and listening is None
        m = min(n, self.n_samples if constant else MAX_DETERMINANTS)
        some = torch.arange(m, device=u.device) * n // m
        slopes = self.mechanisms.slopes(u[:, some], gate[:, some]).transpose(0, 1).float()  # (m, G, P)
        column = self.mechanisms.candidates.expand(m, -1, -1)
        jacobian = torch.zeros(m, G, G, device=u.device).scatter_add(2, column, slopes)
        if listening is not None:
            jacobian = jacobian * listening[some].float()[:, :, None]
        return torch.linalg.slogdet(torch.eye(G, device=u.device) - jacobian)[1].mean()

    def loss(
        self, tensors: dict[str, torch.Tensor], inference_outputs: Any, generative_outputs: Any, **kwargs: Any
    ) -> LossOutput:
        """Negative log posterior of a cell, with the augmented Lagrangian."""
        out = generative_outputs
        z, target, effect = out["z"], out["targets"], out["effects"]
        error = out["residual"] - self.baseline[self.group[out["context"]]]
        per_cell = self.kind.nll(z, error, target, effect, self.log_noise, torch.exp(2 * self.log_own)).sum(1)
        loss = mean_loss(per_cell, tensors)
        if self.training:
            loss = loss - out.get("log_determinant", 0.0) + self.log_prior(out["logits"])
        return LossOutput(loss=loss, reconstruction_loss=per_cell, n_obs_minibatch=len(per_cell))

    def log_prior(self, logits: torch.Tensor) -> torch.Tensor:
        """Priors of graph, targets and maps, divided by the number of cells; acyclicity; and the ridge of the networks."""
        probability = self.edge_probability()
        targets = (torch.sigmoid(logits) * self.perturbed[:, None]).sum()
        sparsity = self.edge_prior * probability.sum() + self.target_factor * self.target_prior * targets
        maps = self.map_ridge * sum(w.square().sum() for m in (self.g, self.h) for w in m.parameters() if w.ndim == 2)
        total = (sparsity + maps) / self.n_cells + self.ridge * self.mechanisms.weight_square()
        if self.ordered:
            return total
        cyclic = acyclicity(probability)
        return total + self.multiplier * cyclic + 0.5 * self.quadratic * cyclic**2
