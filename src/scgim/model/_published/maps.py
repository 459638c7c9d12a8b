"""The amortised maps g and h of the published estimator, kept after training (layer `model`).

From the paper :cite:p:`schneider2025`: one map from features to target probabilities and one from features and targets to
effects, shared by all contexts, that also answer for features never measured. Not from the paper: how features of drugs
and doses are put together, and one-hot drugs where no features are registered.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
from scipy.special import expit

from scgim._core.state import savable
from scgim.model._published.module import MAX_LOGIT

if TYPE_CHECKING:
    import torch

    from scgim._core.design import Design
    from scgim.model._published.module import PublishedModule
    from scgim.model._study.features import Features

CONSTANT = 1e-9
"""Features that vary less than this over contexts, in their units, are taken as constant."""


@savable
@dataclass(frozen=True)
class Gamma:
    """Features of contexts as the maps read them, ``(m, Q)``."""

    # `"context"`: registered features of contexts. `"drug"`: registered features of drugs, summed over the drugs of a
    # context, once as they are and once times their doses, and the sum of the doses. `"none"`: one-hot drugs, and their
    # doses
    rows_are: str
    # (Q,) standardisation over the perturbed contexts
    loc: np.ndarray
    scale: np.ndarray

    @classmethod
    def of(cls, design: Design, features: Features | None) -> Gamma:
        """For registered features, or for none."""
        rows_are = "none" if features is None else features.rows_are
        raw = cls.raw(rows_are, design.dose, None if features is None else _table(design, features))[~design.control]
        spread = raw.std(axis=0) if len(raw) else np.ones(raw.shape[1])
        loc = raw.mean(axis=0) if len(raw) else np.zeros(raw.shape[1])
        return cls(rows_are, loc, np.where(spread > CONSTANT, spread, 1.0))

    @staticmethod
    def raw(rows_are: str, dose: np.ndarray, table: np.ndarray | None) -> np.ndarray:
        """Before standardisation.

        Parameters
        ----------
        rows_are
            See `Gamma`.
        dose
            ``(m, D)``.
        table
            Features of the contexts ``(m, Q)`` or of the drugs ``(D, Q)``; None without features.
        """
        dose = np.asarray(dose, float)
        present = (dose > 0).astype(float)
        if table is None:
            return np.hstack([present, dose])
        if rows_are == "context":
            return np.asarray(table, float)
        return np.hstack([present @ table, dose @ table, dose.sum(axis=1, keepdims=True)])

    def __call__(self, dose: np.ndarray, table: np.ndarray | None) -> np.ndarray:
        """Standardised; zero for rows without a drug."""
        dose = np.asarray(dose, float)
        values = (self.raw(self.rows_are, dose, table) - self.loc) / self.scale
        return np.where((dose > 0).any(axis=1, keepdims=True), values, 0.0)

    def contexts(self, design: Design, features: Features | None) -> np.ndarray:
        """Of the fitted contexts, ``(K, Q)``; zero for controls."""
        return self(design.dose, None if features is None else _table(design, features))


def _table(design: Design, features: Features) -> np.ndarray:
    return features.values if features.rows_are == "context" else features.of_drugs(design.drugs)


@savable
@dataclass(frozen=True)
class AmortisedMaps:
    """Both maps, without torch."""

    gamma: Gamma  # how features are put together
    # weights and biases of two layers each, `(H, in)`, `(H,)`, `(G, H)` and `(G,)`
    g: tuple[np.ndarray, ...]
    h: tuple[np.ndarray, ...]
    # (G,) from standardised effects to those of the fit: `loc + scale * effect`
    loc: np.ndarray
    scale: np.ndarray
    bound: float  # largest absolute value of target logits

    @property
    def score(self) -> dict[str, float]:
        """No cross-validated errors: there is one map only."""
        return {}

    @classmethod
    def of(cls, module: PublishedModule, gamma: Gamma) -> AmortisedMaps:
        """Of a trained module."""
        loc, scale = (v.double().cpu().numpy() for v in (module.loc, module.scale))
        offset = loc if module.kind.reads_genes else np.zeros_like(loc)  # a value, or a difference
        return cls(gamma, _layers(module.g), _layers(module.h), offset, scale, MAX_LOGIT)

    @staticmethod
    def read(module: PublishedModule) -> tuple[np.ndarray, np.ndarray]:
        """Target probabilities and standardised effects ``(K, G)`` of the fitted contexts."""
        gamma = module.gamma.double().cpu().numpy()
        none = Gamma("context", np.zeros(gamma.shape[1]), np.ones(gamma.shape[1]))
        maps = AmortisedMaps.of(module, none)
        return maps.probability(gamma), maps.effect(gamma)

    def probability(self, gamma: np.ndarray) -> np.ndarray:
        """Target probabilities ``(m, G)`` at standardised features ``(m, Q)``."""
        logits = np.clip(_network(self.g, gamma), -self.bound, self.bound)
        return expit(logits)

    def effect(self, gamma: np.ndarray) -> np.ndarray:
        """Standardised effects ``(m, G)``, each given that its gene is a target, beside the genes that are probable ones."""
        mode = (self.probability(gamma) > 0.5).astype(float)
        out = _network(self.h, np.hstack([gamma, mode]))
        for j in range(mode.shape[1]):
            rows = np.flatnonzero(mode[:, j] == 0)
            asked = mode[rows]
            asked[:, j] = 1.0
            out[rows, j] = _network(self.h, np.hstack([gamma[rows], asked]), j)
        return out

    def interventions(self, dose: np.ndarray, table: np.ndarray | None) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """Target probabilities, effects and their standard deviations, ``(m, G)`` each.

        The maps give points, so the deviations are zero.

        Parameters
        ----------
        dose
            ``(m, D)`` of all drugs of the request.
        table
            Features of the rows ``(m, Q)`` or of the drugs ``(D, Q)``.
        """
        gamma = self.gamma(dose, table)
        effect = self.loc + self.scale * self.effect(gamma)
        return self.probability(gamma), effect, np.zeros_like(effect)


def _layers(network: torch.nn.Module) -> tuple[np.ndarray, ...]:
    return tuple(p.detach().double().cpu().numpy() for p in network.parameters())


def _network(layers: tuple[np.ndarray, ...], x: np.ndarray, gene: int | None = None) -> np.ndarray:
    """A map with one hidden layer: log odds, or effects in standard deviations of the genes, ``(m, G)``, or one gene of it ``(m,)``."""
    inner, bias, outer, last = layers
    a = x @ inner.T + bias
    hidden = a / (1 + np.exp(-np.clip(a, -500, 500)))
    return hidden @ outer.T + last if gene is None else hidden @ outer[gene] + last[gene]
