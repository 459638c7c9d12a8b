"""The torch module of a generative intervention model (layer `model`).

The model of :cite:p:`schneider2025`: one mechanism a gene, shared by all contexts, and interventions on few of them.
Not from the paper: interventions are not sampled with Gumbel noise but integrated out in closed form between epochs
(`_expectation`); the loss of a minibatch is the expected negative log-likelihood under their posterior.
"""

from __future__ import annotations

from dataclasses import fields
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from scvi.module.base import BaseModuleClass, LossOutput, auto_move_data
from torch import nn

from scgim._core.kinds import INTERVENTIONS
from scgim._core.structure.prior import Prior
from scgim.model._module.kinds import TRAINED, TrainedKind
from scgim.model._module.mechanisms import GENES
from scgim.model._module.mechanisms.base import as_array
from scgim.model._module.mechanisms.neural import NeuralGenes
from scgim.model._module.residuals import Expectation, Residuals
from scgim.model._reading.keys import CONTEXT_KEY, WEIGHT_KEY

if TYPE_CHECKING:
    from scgim._core.design import Design
    from scgim._core.fit import Fit

X_KEY = "X"
COVARIATES_KEY = "extra_continuous_covs"  # scvi.REGISTRY_KEYS.CONT_COVS_KEY


def context_names(design: Design) -> tuple[str, ...]:
    """Drugs, doses and group of every context, for messages."""
    names = []
    for dose, group in zip(design.dose, design.group, strict=True):
        parts = [f"{design.drugs[d]} at {dose[d]:g}" if design.has_dose else design.drugs[d] for d in dose.nonzero()[0]]
        label = " + ".join(parts) or "control"
        names.append(f"{label} ({design.group_names[group]})" if len(design.group_names) > 1 else label)
    return tuple(names)


class GIMModule(BaseModuleClass):
    """Mechanisms, baselines and noise as parameters; the posterior of the interventions as buffers.

    Parameters
    ----------
    n_genes
        Number of genes G.
    design
        Drugs, doses and baseline groups of the K contexts.
    mechanism
        ``"linear"``, ``"additive"`` or ``"neural"``.
    intervention
        ``"shift"``, ``"hard"`` or ``"activity"``.
    max_parents
        P, most candidate parents of a gene; by default what its mechanism allows.
    n_hidden
        H, hidden units of neural mechanisms.
    edge_penalty
        Weight of the group penalty on candidate edges.
    ridge
        Weight of the squares of network weights.

    Notes
    -----
    Everything inside is standardised by `loc` and `scale`.
    """

    loc: torch.Tensor
    scale: torch.Tensor
    group: torch.Tensor
    dose: torch.Tensor
    probability: torch.Tensor
    effect: torch.Tensor
    own_variance: torch.Tensor
    activity: torch.Tensor
    covariate_mean: torch.Tensor
    covariate_coef: torch.Tensor

    def __init__(
        self,
        n_genes: int,
        design: Design,
        *,
        mechanism: str = "linear",
        intervention: str = "shift",
        max_parents: int | None = None,
        n_hidden: int = 16,
        edge_penalty: float = 0.0,
        ridge: float = 1e-5,
    ) -> None:
        super().__init__()
        K, C = len(design.group), len(design.group_names)
        self.mechanism, self.intervention = mechanism, intervention
        self.edge_penalty, self.ridge = edge_penalty, ridge
        self.kind: TrainedKind = TRAINED.get(intervention, TRAINED["shift"])
        self.names, self.drug_set = context_names(design), design.drug_set
        self.expression_keys: tuple[str, ...] = (X_KEY,)
        if mechanism not in GENES:
            raise ValueError(f"mechanism: expected one of {list(GENES)}, found {mechanism!r}.")
        genes = GENES[mechanism]
        P = min(max(n_genes - 1, 1), genes.most_parents) if max_parents is None else max_parents
        self.mechanisms = genes(n_genes, P, n_hidden=n_hidden)
        self.baseline = nn.Parameter(torch.zeros(C, n_genes))
        self.log_noise = nn.Parameter(torch.zeros(n_genes))
        self.register_buffer("loc", torch.zeros(n_genes))
        self.register_buffer("scale", torch.ones(n_genes))
        self.register_buffer("group", torch.as_tensor(design.group, dtype=torch.long))
        self.register_buffer("dose", torch.as_tensor(design.dose, dtype=torch.float32))
        self.register_buffer("probability", torch.zeros(K, n_genes))
        self.register_buffer("effect", torch.zeros(K, n_genes))
        self.register_buffer("own_variance", torch.ones(n_genes))
        self.scaled = not genes.mechanism.closed_form and not all(kind.scored for kind in INTERVENTIONS[intervention])
        self.register_buffer("activity", torch.zeros(K, n_genes if self.scaled else 0), persistent=self.scaled)
        self.register_buffer("off", torch.zeros(n_genes), persistent=False)  # standardised; kept by the fit
        self.register_buffer("covariate_mean", torch.zeros(0), persistent=False)
        self.register_buffer("covariate_coef", torch.zeros(0, n_genes), persistent=False)
        self.prior = Prior.default(n_genes)

    @property
    def n_genes(self) -> int:
        """Number of genes G."""
        return len(self.loc)

    def _get_inference_input(self, tensors: dict[str, torch.Tensor], **kwargs: Any) -> dict[str, Any]:
        x = torch.cat([tensors[key] for key in self.expression_keys], 1)
        covariates = tensors.get(COVARIATES_KEY) if len(self.covariate_mean) else None
        return {"x": x, "context": tensors[CONTEXT_KEY], "covariates": covariates}

    def _get_generative_input(
        self, tensors: dict[str, torch.Tensor], inference_outputs: dict[str, Any], **kwargs: Any
    ) -> dict[str, Any]:
        return inference_outputs

    @auto_move_data
    def inference(
        self, x: torch.Tensor, context: torch.Tensor, covariates: torch.Tensor | None = None
    ) -> dict[str, torch.Tensor]:
        """Standardised cells ``(n, G)`` and their contexts ``(n,)``."""
        if covariates is not None:
            x = x - (covariates - self.covariate_mean) @ self.covariate_coef
        return {"z": (x - self.loc) / self.scale, "context": context.reshape(-1).long()}

    @auto_move_data
    def generative(self, z: torch.Tensor, context: torch.Tensor) -> dict[str, torch.Tensor]:
        """What the mechanisms leave unexplained, ``(n, G)`` standard deviations: before baselines and interventions."""
        return {"z": z, "context": context, "residual": z - self.mechanisms(self.seen(z, context))}

    def seen(self, z: torch.Tensor, context: torch.Tensor) -> torch.Tensor:
        """What mechanisms read of standardised cells ``(n, G)``: scaled by 1 + activity around where genes are off."""
        return z + self.activity[context] * (z - self.off) if self.scaled else z

    @torch.no_grad()
    def set_off(self, off: np.ndarray | None) -> None:
        """Expression ``(G,)`` at which genes are off, in units of the data; None for zero."""
        zero = torch.zeros_like(self.loc) if off is None else torch.as_tensor(off).to(self.loc)
        self.off.copy_((zero - self.loc) / self.scale)

    def follow(self, mechanisms: Any) -> None:
        """Takes over what parameters do not hold: where genes are off, and which hidden units are hinges."""
        self.set_off(getattr(mechanisms, "off", None))
        if isinstance(self.mechanisms, NeuralGenes):
            self.mechanisms.set_hinges(mechanisms.n_hinges)

    def negative_log_likelihood(self, residual: torch.Tensor, z: torch.Tensor, context: torch.Tensor) -> torch.Tensor:
        """Expected under the posterior of the interventions, of every cell and gene, ``(n, G)`` nats of standardised values."""
        q, effect = self.probability[context], self.effect[context]
        error = residual - self.baseline[self.group[context]]
        return self.kind.nll(z, error, q, effect, self.log_noise, self.own_variance)

    def loss(
        self,
        tensors: dict[str, torch.Tensor],
        inference_outputs: dict[str, torch.Tensor],
        generative_outputs: dict[str, torch.Tensor],
        **kwargs: Any,
    ) -> LossOutput:
        """Mean over cells of the expected negative log-likelihood, in nats; plus penalties in training mode."""
        out = generative_outputs
        per_cell = self.negative_log_likelihood(out["residual"], out["z"], out["context"]).sum(1)
        loss = mean_loss(per_cell, tensors) + (self.penalty() if self.training else 0.0)
        return LossOutput(loss=loss, reconstruction_loss=per_cell, n_obs_minibatch=len(per_cell))

    def penalty(self) -> torch.Tensor:
        """Group penalty on edges and ridge on network weights, in nats a cell."""
        total = self.ridge * self.mechanisms.weight_square()
        return total + self.edge_penalty * self.mechanisms.group_norms().sum() if self.edge_penalty else total

    @torch.no_grad()
    def residual_sums(
        self, residual: torch.Tensor, z: torch.Tensor, context: torch.Tensor, weight: torch.Tensor | None = None
    ) -> torch.Tensor:
        """Sums over the cells of each context, ``(5, K, G)``: of one, residual, its square, gene, its square, in standard deviations.

        Cells with a weight ``(n, 1)`` below one, which occur more than once, count as much as it says.
        """
        dtype = torch.float32 if z.device.type == "mps" else torch.float64
        r, own = residual.detach().to(dtype), z.to(dtype)
        values = torch.stack([torch.ones_like(r), r, r.square(), own, own.square()])  # (5, n, G)
        if weight is not None:
            values = values * weight.to(values).clamp(max=1)
        total = torch.zeros(5, len(self.names), self.n_genes, dtype=dtype, device=z.device)
        return total.index_add_(1, context, values)

    @torch.no_grad()
    def apply_expectation(self, state: Expectation) -> None:
        """Takes over targets, effects, baselines and noise, all in standard deviations of the genes."""
        self.prior = state.prior
        self.probability.copy_(torch.as_tensor(state.probability))
        self.effect.copy_(torch.as_tensor(state.effect))
        self.baseline.copy_(torch.as_tensor(state.evidence.baseline))
        self.log_noise.copy_(torch.as_tensor(0.5 * np.log(state.evidence.noise)))
        self.own_variance.copy_(torch.as_tensor(state.own_noise))

    def training_state(self) -> dict[str, Any]:
        """What changes during a training and is neither a parameter nor a buffer, as tensors and numbers."""
        prior = {f.name: getattr(self.prior, f.name) for f in fields(self.prior)}
        return {"prior": {k: torch.as_tensor(v) if isinstance(v, np.ndarray) else float(v) for k, v in prior.items()}}

    def load_training_state(self, state: dict[str, Any]) -> None:
        """Takes it over."""
        prior: dict[str, Any] = {
            k: as_array(v) if isinstance(v, torch.Tensor) else v for k, v in state["prior"].items()
        }
        self.prior = Prior(**prior)

    @torch.no_grad()
    def set_scale(self, loc: np.ndarray, scale: np.ndarray) -> None:
        """Standardisation of the genes, ``(G,)`` each in units of the data."""
        self.loc.copy_(torch.as_tensor(loc))
        self.scale.copy_(torch.as_tensor(np.where(scale > 0, scale, 1.0)))

    @torch.no_grad()
    def load_mechanisms(self, mechanisms: Any) -> None:
        """Starts from linear or additive mechanisms of the exact engine."""
        self.set_scale(mechanisms.loc, mechanisms.scale)
        self.baseline.copy_(torch.as_tensor(self.mechanisms.from_fit(mechanisms)))
        self.log_noise.copy_(torch.as_tensor(np.log(np.maximum(mechanisms.noise_sd / mechanisms.scale, 1e-4))))

    @torch.no_grad()
    def load_fit(self, fit: Fit) -> None:
        """Takes over a fit as it is: mechanisms, and targets and effects of shifts or hard interventions.

        Changes of activity have no place in a module of linear or additive mechanisms; they are in the fit alone.
        """
        self.load_mechanisms(fit.mechanisms)
        origin = as_array(self.loc) if self.kind.reads_genes else 0.0  # a value, or a difference
        found = fit.kind(self.kind.name).of_context  # (K, G)
        self.probability.copy_(torch.as_tensor(found.probability))
        self.effect.copy_(torch.as_tensor((found.mean - origin) / as_array(self.scale)))

    def non_finite_contexts(self, per_cell: torch.Tensor, context: torch.Tensor) -> list[str]:
        """Names of the contexts of the cells whose loss is not finite."""
        bad = torch.unique(context[~torch.isfinite(per_cell)]).tolist()
        return [self.names[k] for k in bad]


def mean_loss(per_cell: torch.Tensor, tensors: dict[str, torch.Tensor]) -> torch.Tensor:
    """Mean over the cells ``(n,)`` of a minibatch, in nats, by their importance weights where there are any."""
    weight = tensors.get(WEIGHT_KEY)
    return per_cell.mean() if weight is None else (per_cell * weight.reshape(-1)).mean()


def as_residuals(sums: torch.Tensor) -> Residuals:
    """Sums of `GIMModule.residual_sums` for the expectation step."""
    return Residuals(*sums.double().cpu().numpy())
