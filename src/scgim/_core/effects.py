"""Where interventions act, and what they do there: one type for a probability, an effect and its uncertainty (layer `_core`)."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any, Literal

import numpy as np

from scgim._core.state import savable

Together = Literal["sum", "mean", "product"]
SMALLEST = 1e-300  # probability below which an effect is not divided by it


@savable
@dataclass(frozen=True)
class Effects:
    """Posterior of interventions, all arrays of one shape ``(..., G)``."""

    probability: np.ndarray  # that the gene is a target
    mean: np.ndarray  # effect on the gene if it is a target, in the units of the kind of intervention
    sd: np.ndarray  # standard deviation of that effect

    @classmethod
    def none(cls, *shape: int) -> Effects:
        """No targets."""
        return cls(np.zeros(shape), np.zeros(shape), np.zeros(shape))

    @property
    def shape(self) -> tuple[int, ...]:
        """That of the arrays."""
        return self.probability.shape

    @property
    def expected(self) -> np.ndarray:
        """Posterior mean of what is done, targets or not."""
        return self.probability * self.mean

    def __getitem__(self, index: Any) -> Effects:
        """Some of them."""
        return Effects(self.probability[index], self.mean[index], self.sd[index])

    @classmethod
    def join(cls, parts: Sequence[Effects]) -> Effects:
        """Posteriors ``(m, G)`` one after the other."""
        return cls(*(np.concatenate(values) for values in zip(*map(_arrays, parts), strict=True)))

    def scale(self, by: np.ndarray | float) -> Effects:
        """The effects in other units, or at a fraction of the dose."""
        return Effects(self.probability, self.mean * by, self.sd * by)

    def move(self, by: np.ndarray) -> Effects:
        """The effects counted from elsewhere, ``(G,)``; where no target is possible there is none to move."""
        return replace(self, mean=np.where(self.probability > 0, self.mean + by, self.mean))

    def superpose(self, row: np.ndarray, n_rows: int, together: Together = "sum") -> Effects:
        """What acts together in each row: ``(c, G)`` -> ``(n_rows, G)``.

        Targets are independent: ``p = 1 - prod(1 - p_c)``, and ``mean = sum(p_c mean_c) / p``, ``sd^2 = sum(p_c sd_c^2) / p``; of
        factors ``mean = (prod(1 + p_c mean_c) - 1) / p``, and of values both have ``sum(p_c)`` in place of p.

        Parameters
        ----------
        row
            ``(c,)``; row in which each acts.
        together
            What becomes of several at one gene: their sum, the mean of values, or the product of factors ``1 + effect``.
        """
        log_none, mean, square = np.zeros((3, n_rows, *self.shape[1:]))
        with np.errstate(divide="ignore"):
            np.add.at(log_none, row, np.log1p(-np.minimum(self.probability, 1.0)))
        if together == "product":
            mean += 1
            np.multiply.at(mean, row, 1 + self.expected)
            mean -= 1
        else:
            np.add.at(mean, row, self.expected)
        np.add.at(square, row, self.probability * self.sd**2)
        probability = -np.expm1(log_none)  # with all its digits where it is small
        safe = np.maximum(probability, SMALLEST)
        if together == "mean":
            safe = np.full(mean.shape, SMALLEST)
            np.add.at(safe, row, self.probability)
        return Effects(probability, mean / safe, np.sqrt(square / safe))

    @classmethod
    def mix(cls, weights: Sequence[float] | np.ndarray, parts: Sequence[Effects]) -> Effects:
        """Mixture of posteriors of the same interventions, by weights that sum to one."""
        probability, expected, square = (
            np.tensordot(weights, np.stack(values), 1)
            for values in (
                [part.probability for part in parts],
                [part.expected for part in parts],
                [part.probability * (part.mean**2 + part.sd**2) for part in parts],
            )
        )
        safe = np.maximum(probability, SMALLEST)
        mean = expected / safe
        return cls(probability, mean, np.sqrt(np.maximum(square / safe - mean**2, 0)))


def _arrays(effects: Effects) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    return effects.probability, effects.mean, effects.sd


def strongest(parts: Sequence[Effects]) -> tuple[Effects, np.ndarray]:
    """Several kinds of intervention on the same genes, as a table shows them, and which of them is shown, ``(..., G)``.

    The probability is that any of them acts; effect and standard deviation are those of the more probable kind.
    """
    if len(parts) == 1:
        return parts[0], np.zeros(parts[0].shape, dtype=int)
    probability, mean, sd = (np.stack(values) for values in zip(*map(_arrays, parts), strict=True))
    which = probability.argmax(axis=0)
    with np.errstate(divide="ignore"):
        any_ = -np.expm1(np.log1p(-np.minimum(probability, 1.0)).sum(axis=0))
    at = which[None]
    return Effects(any_, np.take_along_axis(mean, at, 0)[0], np.take_along_axis(sd, at, 0)[0]), which


@savable
@dataclass(frozen=True)
class KindFit:
    """What one kind of intervention does: posterior of every drug, context and level."""

    kind: str  # name of the kind
    of_drug: Effects  # (D, G) at the full effect of each drug
    of_context: Effects  # (K, G) of all drugs of each context together, at their doses
    # (D, V, G) as `of_drug`, at each level of the covariate by which effects differ, V = 1 where they are shared. Where
    # a drug was not measured at a level, the mean over levels with the wider standard deviation
    at_level: Effects
    # (2, D, G) and (2, D, V, G); how the effects move along the two axes of what is not known of the dose curve
    along_curve: np.ndarray
    level_along_curve: np.ndarray
    # (G,) what effects that are values are counted from, so that no dose is the mean of the controls; None where
    # effects are changes, which are counted from zero
    origin: np.ndarray | None = None

    @classmethod
    def shared(cls, kind: str, of_drug: Effects, of_context: Effects) -> KindFit:
        """Where effects are shared by all levels, and their curve is known."""
        along = np.zeros((2, *of_drug.shape))
        return cls(kind, of_drug, of_context, of_drug[:, None], along, along[:, :, None])

    def counted_from(self, origin: np.ndarray) -> KindFit:
        """Values, where the effects are what they differ by from an origin ``(G,)``."""
        of_drug, of_context, at_level = (part.move(origin) for part in (self.of_drug, self.of_context, self.at_level))
        return replace(self, of_drug=of_drug, of_context=of_context, at_level=at_level, origin=origin)

    @property
    def change_of_drug(self) -> Effects:
        """``(D, G)``; what effects of the drugs change: themselves, or values less their origin."""
        return self.of_drug if self.origin is None else self.of_drug.move(-self.origin)

    def scale(self, by: np.ndarray | float) -> KindFit:
        """The effects in other units."""
        return replace(
            self,
            of_drug=self.of_drug.scale(by),
            of_context=self.of_context.scale(by),
            at_level=self.at_level.scale(by),
            along_curve=self.along_curve * by,
            level_along_curve=self.level_along_curve * by,
            origin=None if self.origin is None else self.origin * by,
        )
