"""The published estimator: ``structure="gradient"`` (layer `model`).

As in :cite:p:`schneider2025`: maximum a posteriori by Adam on minibatches; Gumbel-sigmoid samples of the graph and of
the targets; acyclicity by an augmented Lagrangian; amortised maps ``g`` (features to target logits) and ``h`` (features
and targets to effects) shared by all contexts; priors that keep edges and targets few. Not from the paper, which does
not state them: sizes of the networks, temperatures, weights of the priors, the schedule of the Lagrangian, and
one-hot drugs with their doses as features where none are registered.
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from torch import nn

from scgim.model._module import GIMModule, mean_loss
from scgim.model._plan import GIMTrainingPlan

if TYPE_CHECKING:
    from scvi.module.base import LossOutput

    from scgim._core.design import Design


def context_features(design: Design, features: Any) -> np.ndarray:
    """Features gamma of every context, ``(K, Q)``, standardised over the perturbed contexts; zero for controls.

    Parameters
    ----------
    design
        Of the contexts.
    features
        Registered features: of contexts, of drugs (then summed over the drugs of a context, with the doses of that sum
        beside them), or None (then one-hot drugs, and their doses).
    """
    dose = np.asarray(design.dose, float)
    present = (dose > 0).astype(float)
    if features is not None and features.level == "context":
        gamma = np.asarray(features.values, float).copy()
    elif features is not None:
        table = features.of_drugs(design.drugs)
        gamma = np.hstack([present @ table, dose @ table, dose.sum(axis=1, keepdims=True)])
    else:
        gamma = np.hstack([present, dose])
    rows = ~design.control
    if rows.any():
        spread = gamma[rows].std(axis=0)
        gamma = (gamma - gamma[rows].mean(axis=0)) / np.where(spread > 1e-9, spread, 1.0)
    gamma[design.control] = 0.0
    return gamma


def gumbel_sigmoid(logits: torch.Tensor, temperature: float, *, sample: bool = True) -> torch.Tensor:
    """Binary sample with the gradient of its relaxation; without `sample`, whether the logit is positive."""
    if not sample:
        return (logits > 0).to(logits.dtype)
    u = torch.rand_like(logits).clamp(1e-6, 1 - 1e-6)
    soft = torch.sigmoid((logits + u.log() - (-u).log1p()) / temperature)
    return (soft > 0.5).to(soft.dtype) + soft - soft.detach()


def acyclicity(probability: torch.Tensor) -> torch.Tensor:
    """``tr((I + P / G)^G) - G``: zero if and only if the graph of the positive entries has no cycle."""
    G = len(probability)
    power = torch.linalg.matrix_power(torch.eye(G, device=probability.device) + probability / G, G)
    return power.diagonal().sum() - G


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
    temperature
        Of the Gumbel-sigmoid samples.
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
        edge_prior: float = 10.0,
        target_prior: float = 4.0,
        temperature: float = 0.5,
        **kwargs: Any,
    ) -> None:
        kwargs["max_parents"] = max(n_genes - 1, 1)
        super().__init__(n_genes, design, **kwargs)
        self.mechanisms.set_parents([np.delete(np.arange(n_genes), j) for j in range(n_genes)])
        self.n_cells, self.temperature = n_cells, temperature
        self.edge_prior, self.target_prior = edge_prior, target_prior
        Q = gamma.shape[1]
        self.register_buffer("gamma", torch.as_tensor(gamma, dtype=torch.float32))
        self.register_buffer("perturbed", torch.as_tensor(~design.control))
        self.edge_logits = nn.Parameter(torch.zeros(n_genes, max(n_genes - 1, 1)))  # of the candidates of each gene
        H = n_map_hidden
        self.g = nn.Sequential(nn.Linear(Q, H), nn.SiLU(), nn.Linear(H, n_genes))
        self.h = nn.Sequential(nn.Linear(Q + n_genes, H), nn.SiLU(), nn.Linear(H, n_genes))
        self.log_own = nn.Parameter(torch.zeros(n_genes))
        with torch.no_grad():
            last = self.g[2]
            last.bias.fill_(0.0)  # type: ignore[union-attr, operator]
            start = float(acyclicity(self.edge_probability()))
        self.multiplier, self.quadratic = 0.0, 0.2 / max(start, 1.0) ** 2  # of the augmented Lagrangian

    def edge_probability(self) -> torch.Tensor:
        """Probability of every edge ``(G, G)``, row causes column."""
        G = self.n_genes
        p = torch.zeros(G, G, device=self.loc.device)
        column = torch.arange(G, device=p.device)[:, None].expand_as(self.mechanisms.candidates)
        return p.index_put((self.mechanisms.candidates, column), torch.sigmoid(self.edge_logits) * self.mechanisms.mask)

    def interventions(self, *, sample: bool) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
        """Target logits, targets and effects of every context, ``(K, G)`` each."""
        logits = self.g(self.gamma)
        targets = gumbel_sigmoid(logits, self.temperature, sample=sample) * self.perturbed[:, None]
        return logits, targets, self.h(torch.cat([self.gamma, targets], 1))

    def generative(self, z: torch.Tensor, context: torch.Tensor) -> dict[str, torch.Tensor]:
        """What the mechanisms of a sampled graph leave unexplained, with the sampled interventions."""
        gate = gumbel_sigmoid(self.edge_logits, self.temperature, sample=self.training)  # (G, P)
        residual = z - self.mechanisms.evaluate(self.mechanisms.inputs(z) * gate[:, None, :])
        logits, targets, effect = self.interventions(sample=self.training)
        return {
            "z": z,
            "context": context,
            "residual": residual,
            "logits": logits,
            "targets": targets,
            "effects": effect,
        }

    def loss(
        self, tensors: dict[str, torch.Tensor], inference_outputs: Any, generative_outputs: Any, **kwargs: Any
    ) -> LossOutput:
        """Negative log posterior of a cell, with the augmented Lagrangian."""
        from scvi.module.base import LossOutput

        out = generative_outputs
        z, k = out["z"], out["context"]
        target, effect = out["targets"][k], out["effects"][k]
        error = out["residual"] - self.baseline[self.group[k]]
        if self.hard:
            intact = 0.5 * error.square() * torch.exp(-2 * self.log_noise) + self.log_noise
            cut = 0.5 * (z - effect).square() * torch.exp(-2 * self.log_own) + self.log_own
            per_gene = (1 - target) * intact + target * cut
        else:
            error = error - target * effect
            per_gene = 0.5 * error.square() * torch.exp(-2 * self.log_noise) + self.log_noise
        per_cell = per_gene.sum(1)
        loss = mean_loss(per_cell, tensors) + (self.log_prior(out["logits"]) if self.training else 0.0)
        return LossOutput(loss=loss, reconstruction_loss=per_cell, n_obs_minibatch=len(per_cell))

    def log_prior(self, logits: torch.Tensor) -> torch.Tensor:
        """Sparsity priors and acyclicity, divided by the number of cells; and the ridge of the networks."""
        probability = self.edge_probability()
        targets = (torch.sigmoid(logits) * self.perturbed[:, None]).sum()
        cyclic = acyclicity(probability)
        lagrangian = self.multiplier * cyclic + 0.5 * self.quadratic * cyclic**2
        return (
            (self.edge_prior * probability.sum() + self.target_prior * targets) / self.n_cells
            + lagrangian
            + (self.ridge * self.mechanisms.weight_square())
        )


class PublishedPlan(GIMTrainingPlan):
    """Adam with the augmented Lagrangian: after each block of epochs the multiplier grows with what is left of cycles.

    Parameters
    ----------
    module
        A `PublishedModule`.
    lr
        Of Adam.
    n_blocks
        Blocks of epochs; the multiplier changes between them.
    kwargs
        Of `GIMTrainingPlan`.
    """

    module: PublishedModule

    def __init__(self, module: PublishedModule, *, lr: float = 1e-2, n_blocks: int = 20, **kwargs: Any) -> None:
        super().__init__(module, lr=lr, keep_best=False, **kwargs)
        self.n_blocks, self._last = n_blocks, math.inf

    def on_train_epoch_end(self) -> None:
        """Updates the multiplier; there is no expectation step."""
        self._sums = None
        block = max((self.trainer.max_epochs or 1) // self.n_blocks, 1)
        if (self.current_epoch + 1) % block:
            return
        with torch.no_grad():
            cyclic = float(acyclicity(self.module.edge_probability()))
        self.module.multiplier += self.module.quadratic * cyclic
        if cyclic > 0.1 * self._last:
            self.module.quadratic = min(self.module.quadratic * 4.0, 1e6)
        self._last = cyclic
        self.log("acyclicity", cyclic, on_epoch=True, batch_size=1, rank_zero_only=True)
