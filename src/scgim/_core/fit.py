"""The product of structure learning: mechanisms, graph, targets and effects (layer `_core`)."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

import numpy as np

from scgim._core.dose_response import hill
from scgim._core.interventions import Atomic
from scgim._core.mechanisms import Mechanisms

ARRAYS = (
    "graph",
    "graph_probability",
    "probability",
    "amplitude",
    "amplitude_sd",
    "ec50",
    "hill",
    "context_probability",
    "context_effect",
    "context_effect_sd",
    "background_sd",
    "kind",
)


@dataclass
class Fit:
    """A fitted generative intervention model, as plain arrays.

    Attributes
    ----------
    genes, drugs
        Names, G and D.
    mechanism, intervention
        Kinds.
    mechanisms
        Mechanisms of the genes.
    graph, graph_probability
        ``(G, G)``; signed edge sizes and edge probabilities, row causes column.
    probability
        ``(D, G)``; that a drug targets a gene.
    amplitude, amplitude_sd
        ``(D, G)``; effect at saturating dose (at the given dose without doses), given that the gene is a target, on
        the modelled expression scale.
    ec50, hill
        ``(D,)``; dose curve; ``ec50 = 0`` stands for no dependence on dose.
    context_probability, context_effect, context_effect_sd
        ``(K, G)``; the same for every fitted context.
    background_sd
        ``(G,)``; differences between contexts where no drug acts.
    kind
        ``(D, G)`` str; kind of the intervention at each gene.
    history
        One dict for each stage of the search: ``stage``, ``score``.
    settings
        Prior and settings that shaped the result.
    """

    genes: tuple[str, ...]
    drugs: tuple[str, ...]
    mechanism: str
    intervention: str
    mechanisms: Any
    graph: np.ndarray
    graph_probability: np.ndarray
    probability: np.ndarray
    amplitude: np.ndarray
    amplitude_sd: np.ndarray
    ec50: np.ndarray
    hill: np.ndarray
    context_probability: np.ndarray
    context_effect: np.ndarray
    context_effect_sd: np.ndarray
    background_sd: np.ndarray
    kind: np.ndarray
    history: list[dict[str, Any]] = field(default_factory=list)
    settings: dict[str, Any] = field(default_factory=dict)

    def effects_at(self, dose: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """Interventions of any doses of the fitted drugs.

        Parameters
        ----------
        dose
            ``(m, D)``; 0 where a drug is absent.

        Returns
        -------
        Probability that any drug targets the gene, effect given that, and its standard deviation, ``(m, G)`` each.
        """
        fraction = hill(dose, self.ec50, self.hill)  # (m, D)
        present = np.asarray(dose) > 0
        none = np.ones((len(fraction), len(self.genes)))
        for d in np.flatnonzero(present.any(axis=0)):
            none[present[:, d]] *= 1 - self.probability[d]
        mean = fraction @ (self.probability * self.amplitude)
        square = fraction**2 @ (self.probability * self.amplitude_sd**2)
        any_ = 1 - none
        safe = np.maximum(any_, 1e-300)
        return any_, mean / safe, np.sqrt(square / safe)

    def atomic(self, effect: np.ndarray) -> Atomic:
        """Atomic interventions of this model's kind with effects ``(m, G)``, zero where there is no target."""
        effect = np.asarray(effect, dtype=float)
        if self.intervention == "shift":
            return Atomic(shift=effect)
        zero = np.zeros_like(effect)
        if self.intervention == "hard":
            return Atomic(shift=zero, hard=effect != 0, value=effect, value_sd=None)
        return Atomic(shift=zero, activity=effect)

    def to_dict(self) -> dict[str, Any]:
        """Plain arrays, lists and strings, for saving."""
        return {
            "genes": list(self.genes),
            "drugs": list(self.drugs),
            "mechanism": self.mechanism,
            "intervention": self.intervention,
            "mechanisms": self.mechanisms.to_dict(),
            **{k: np.asarray(getattr(self, k)) for k in ARRAYS},
            "history": self.history,
            "settings": self.settings,
        }

    @classmethod
    def from_dict(cls, state: dict[str, Any]) -> Fit:
        """Inverse of :meth:`to_dict`."""
        state = dict(state)
        state["genes"], state["drugs"] = tuple(state["genes"]), tuple(state["drugs"])
        if state["mechanisms"].get("kind") in ("linear", "additive"):
            state["mechanisms"] = Mechanisms.from_dict(state["mechanisms"])
        return cls(**state)
