"""The product of structure learning: mechanisms, graph, targets and effects (layer `_core`)."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np

from scgim._core.kinds.cells import Atomic
from scgim._core.mechanisms.neural import mechanisms_from_dict
from scgim._core.posterior.hill import hill

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
LEVELS = ("level_amplitude", "level_amplitude_sd", "level_axes", "between_sd", "group_level")
SECOND = ("own_probability", "other_probability", "other_amplitude", "other_amplitude_sd")
OPTIONAL = (*SECOND, "curve_axes", "amplitude_axes", "deviation_sd", "diffuse", "diffuse_sd", "context_sd", *LEVELS)


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
    curve_axes
        ``(2, D, 2)``; principal axes of the posterior of (log ec50, log hill), one standard deviation long, or None.
    amplitude_axes
        ``(2, D, G)``; how the amplitudes move along these axes, or None.
    deviation_sd
        ``(G,)``; standard deviation of effects around the dose curve, at full effect, or None.
    diffuse, diffuse_sd
        ``(D, G)`` or None; small effects of the drugs on genes that are not their targets, at full effect, on the
        modelled expression scale, see `scgim._core.posterior.drift`.
    context_sd
        ``(G,)`` or None; differences between contexts, beyond what the drugs do, that are drawn anew for contexts that
        were not measured.
    level_amplitude, level_amplitude_sd, level_axes
        ``(D, V, G)`` and ``(2, D, V, G)``; as `amplitude`, `amplitude_sd` and `amplitude_axes`, at each level of the
        covariate by which effects differ; None where effects are shared. Where the drug was not measured at the level,
        the mean over levels with the wider standard deviation.
    between_sd
        ``(G,)``; standard deviation of amplitudes between levels, or None.
    group_level
        ``(C,)``; level of each baseline group, or None.
    own_probability
        ``(D, G)``; that of the kind in `kind` alone, where kinds are weighed; None where there is one kind, or no activity.
    other_probability, other_amplitude, other_amplitude_sd
        ``(D, G)`` each; of the other kind, which acts beside it, or None.
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
    curve_axes: np.ndarray | None = None
    amplitude_axes: np.ndarray | None = None
    deviation_sd: np.ndarray | None = None
    diffuse: np.ndarray | None = None
    diffuse_sd: np.ndarray | None = None
    context_sd: np.ndarray | None = None
    level_amplitude: np.ndarray | None = None
    level_amplitude_sd: np.ndarray | None = None
    level_axes: np.ndarray | None = None
    between_sd: np.ndarray | None = None
    group_level: np.ndarray | None = None
    own_probability: np.ndarray | None = None
    other_probability: np.ndarray | None = None
    other_amplitude: np.ndarray | None = None
    other_amplitude_sd: np.ndarray | None = None

    @property
    def by_level(self) -> bool:
        """Whether effects were found to differ between the levels of a covariate."""
        return self.between_sd is not None and bool(np.any(self.between_sd > 0))

    def at_any_level(self) -> Fit:
        """The fit with the amplitudes' standard deviations at a level that is not known."""
        if self.between_sd is None:
            return self
        return replace(self, amplitude_sd=np.hypot(self.amplitude_sd, self.between_sd))

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
        dose = np.asarray(dose, dtype=float)
        none, mean, square = (np.full((len(dose), len(self.genes)), v) for v in (1.0, 0.0, 0.0))
        for d in np.flatnonzero((dose > 0).any(axis=0)):
            rows = np.flatnonzero(dose[:, d] > 0)
            effect, variance = self.effect_of(int(d), dose[rows, d])
            none[rows] *= 1 - self.probability[d]
            mean[rows] += self.probability[d] * effect
            square[rows] += self.probability[d] * variance
        any_ = 1 - none
        safe = np.maximum(any_, 1e-300)
        return any_, mean / safe, np.sqrt(square / safe)

    def effect_of(
        self,
        drug: int,
        dose: np.ndarray,
        amplitude: np.ndarray | None = None,
        amplitude_sd: np.ndarray | None = None,
        *,
        level: int | None = None,
    ) -> tuple[np.ndarray, np.ndarray]:
        """Effects of one drug at doses ``(m,)``, given that each gene is a target, and their variances; ``(m, G)`` each.

        Parameters
        ----------
        drug
            Index of the drug.
        dose
            Positive doses.
        amplitude, amplitude_sd
            ``(G,)``; saturating effects and standard deviations to take in place of the fitted ones.
        level
            Level of the covariate by which effects differ; None for their mean, known less well.
        """
        own_a, own_sd, moves = self.amplitudes(drug, level)
        a = own_a if amplitude is None else amplitude
        sd = own_sd if amplitude_sd is None else amplitude_sd
        at = np.array([np.log(np.maximum(self.ec50[drug], 1e-300)), np.log(self.hill[drug])])
        h = hill(dose, self.ec50[drug], self.hill[drug])[:, None]  # (m, 1)
        variance = h**2 * sd**2
        if self.deviation_sd is not None:
            variance = variance + h**2 * self.deviation_sd**2
        if self.curve_axes is None or moves is None or self.ec50[drug] <= 0:
            return h * a, variance
        if amplitude_sd is None:
            variance = np.maximum(variance - h**2 * (moves**2).sum(axis=0), 0)
        for axis, move in zip(self.curve_axes[:, drug], moves, strict=True):
            up, down = (hill(dose, *np.exp(at + by * axis))[:, None] for by in (1.0, -1.0))
            variance = variance + (h * move + 0.5 * (up - down) * a) ** 2
        return h * a, variance

    def amplitudes(self, drug: int, level: int | None) -> tuple[np.ndarray, np.ndarray, np.ndarray | None]:
        """Amplitudes and standard deviations ``(G,)``, and how they move with the curve, which is in these, ``(2, G)``."""
        if level is None or self.level_amplitude is None or self.level_amplitude_sd is None:
            sd, moves = self.at_any_level().amplitude_sd[drug], self.amplitude_axes
            return self.amplitude[drug], sd, None if moves is None else moves[:, drug]
        moves = self.level_axes
        at = drug, level
        return self.level_amplitude[at], self.level_amplitude_sd[at], None if moves is None else moves[:, drug, level]

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
            **{k: np.asarray(getattr(self, k)) for k in OPTIONAL if getattr(self, k) is not None},
            "history": self.history,
            "settings": self.settings,
        }

    @classmethod
    def from_dict(cls, state: dict[str, Any]) -> Fit:
        """Inverse of :meth:`to_dict`."""
        state = dict(state)
        state["genes"], state["drugs"] = tuple(state["genes"]), tuple(state["drugs"])
        state["mechanisms"] = mechanisms_from_dict(state["mechanisms"])
        return cls(**state)
