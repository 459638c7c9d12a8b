"""What a user asks to be done to genes: set, shifted, scaled or knocked out, checked and encoded (layer `model`)."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from scgim._checks import did_you_mean
from scgim._core.kinds.operation import Operation
from scgim._core.observation import Observation

ABSENT = 0.01
"""Rate of a gene that is knocked out, over that of control cells, where the causal layer is a logarithm: that of zero has no value."""
FORMS = {"set": "{} = {:g}", "shift": "{} {:+g}", "scale": "{} x {:g}"}
"""How each is written."""


@dataclass(frozen=True)
class Asked:
    """Interventions on genes, as asked for."""

    # numbers by gene
    set: Mapping[str, float]
    shift: Mapping[str, float]
    scale: Mapping[str, float]
    knockout: tuple[str, ...]  # Genes
    regulators: Mapping[str, float] = field(default_factory=dict)  # changes of activity by regulator

    @classmethod
    def read(
        cls,
        set_: Any,
        shift: Any,
        scale: Any,
        knockout: Any,
        genes: list[str],
        *,
        regulators: Any = None,
        known: tuple[str, ...] = (),
    ) -> Asked:
        """From the arguments of a call.

        Raises
        ------
        TypeError, ValueError, KeyError
            An argument is of the wrong type, a number is out of range, a gene or regulator is unknown or named twice, or nothing is
            asked for. `known` are the regulators of the model.
        """
        tables = {
            name: _numbers(name, value, genes) for name, value in (("set", set_), ("shift", shift), ("scale", scale))
        }
        out = _names("knockout", knockout, genes)
        named = [gene for table in (*tables.values(), out) for gene in table]
        twice = sorted({gene for gene in named if named.count(gene) > 1})
        if twice:
            raise ValueError(
                f"set, shift, scale, knockout: gene {twice[0]!r} is named twice; expected one intervention for each gene."
            )
        if regulators is not None and not known:
            raise ValueError(
                "regulators: the model knows none; fit it with regulators=, a DataFrame with source, target and weight, "
                f"or leave them out, found {regulators!r}."
            )
        activity = _numbers("regulators", regulators, list(known))
        if not named and not activity:
            raise ValueError(
                f"set, shift, scale, knockout: expected at least one gene, found none; for example knockout=[{genes[0]!r}]."
            )
        wrong = [gene for gene, by in tables["scale"].items() if by < 0]
        if wrong:
            raise ValueError(
                f"scale: expected a factor of at least 0 for {wrong[0]!r}, found {tables['scale'][wrong[0]]:g}."
            )
        return cls(**tables, knockout=out, regulators=activity)

    @property
    def text(self) -> str:
        """``"knockout A; set B = 2; shift C +1"``."""
        parts = [f"knockout {gene}" for gene in self.knockout]
        parts += [
            f"{kind} " + form.format(g, v) for kind, form in FORMS.items() for g, v in getattr(self, kind).items()
        ]
        parts += [f"regulator {name} {by:+g}" for name, by in self.regulators.items()]
        return "; ".join(parts)

    def operation(
        self, genes: list[str], observation: Observation, smallest: float, control: Callable[[], np.ndarray]
    ) -> Operation:
        """What is to be done to the causal layer.

        Parameters
        ----------
        genes
            Names of the G genes.
        observation
            From the causal layer to the data: the layer is the expression itself, or the logarithm of a rate.
        smallest
            Smallest value of the training data; NaN where it is not known.
        control
            Gives the means ``(G,)`` of the causal layer in control cells.

        Raises
        ------
        ValueError
            The data have no value that means "absent", or the logarithm of a rate is asked for that has none.
        """
        factor, value, at = np.ones(len(genes)), np.zeros(len(genes)), {gene: j for j, gene in enumerate(genes)}
        for gene, level in self.set.items():
            factor[at[gene]] = 0.0
            value[at[gene]] = level if observation.direct else _log("set", gene, level)
        for gene, by in self.shift.items():
            value[at[gene]] = by
        for gene, by in self.scale.items():
            if observation.direct:
                _check_zero("scale", smallest, f"shift={{{gene!r}: ...}}")
                factor[at[gene]] = by
            else:
                value[at[gene]] = _log("scale", gene, by)
        for gene in self.knockout:
            factor[at[gene]] = 0.0
            if observation.direct:
                _check_zero("knockout", smallest, f"set={{{gene!r}: its value where it is absent}}")
            else:
                value[at[gene]] = control()[at[gene]] + math.log(ABSENT)
        return Operation(factor, value)

    def regulated(self, operation: Operation, names: tuple[str, ...], effects: np.ndarray) -> Operation:
        """The operation with what regulators add to genes that are not set.

        `names` are those of the T regulators, `effects` ``(T, G)`` what an activity of one adds.
        """
        added = sum(
            (by * effects[names.index(name)] for name, by in self.regulators.items()), np.zeros(effects.shape[1])
        )
        return Operation(operation.factor, operation.value + (operation.factor != 0) * added)

    def absent(self, genes: list[str]) -> np.ndarray:
        """``(G,)`` bool; genes of which nothing is to be seen."""
        return np.isin(np.array(genes), np.array(self.knockout, dtype=str))


def _numbers(name: str, value: Any, genes: list[str]) -> dict[str, float]:
    """Finite numbers by gene."""
    if value is None:
        return {}
    if not isinstance(value, Mapping):
        raise TypeError(
            f"{name}: expected a dict of numbers by gene, such as {{{genes[0]!r}: 1.0}}, found {type(value).__name__}."
        )
    _names(name, list(value), genes)
    for gene, number in value.items():
        if isinstance(number, bool) or not isinstance(number, int | float | np.integer | np.floating):
            raise TypeError(f"{name}: expected a number for {gene!r}, found {type(number).__name__}.")
        if not math.isfinite(number):
            raise ValueError(f"{name}: expected a finite number for {gene!r}, found {number}.")
    return {str(gene): float(number) for gene, number in value.items()}


def _names(name: str, value: Any, genes: list[str]) -> tuple[str, ...]:
    """Genes of the model."""
    if value is None:
        return ()
    names = [value] if isinstance(value, str) else value
    if isinstance(names, Mapping | bytes) or not isinstance(names, Iterable):
        raise TypeError(f"{name}: expected a gene or a list of genes, found {type(value).__name__}.")
    names = list(names)
    for gene in names:
        if not isinstance(gene, str):
            raise TypeError(f"{name}: expected names of genes, found {type(gene).__name__} among them.")
        if gene not in genes:
            near = did_you_mean(gene, genes)
            what = "regulator" if name == "regulators" else "gene"
            raise KeyError(f"{name}: {what} {gene!r} is not in the model{near or f'; expected some of {genes[:10]}'}.")
    return tuple(names)


def _log(name: str, gene: str, level: float) -> float:
    """Logarithm of a level of the data."""
    if level <= 0:
        raise ValueError(
            f"{name}: expected a number above 0 for {gene!r}, whose logarithm the model describes, found {level:g}; "
            f"use knockout=[{gene!r}]."
        )
    return math.log(level)


def _check_zero(name: str, smallest: float, instead: str) -> None:
    """Zero has to mean "absent": it does where no value is negative."""
    if not smallest >= 0:
        found = "a smallest value that is not known" if math.isnan(smallest) else f"values down to {smallest:.3g}"
        raise ValueError(
            f"{name}: expected data in which 0 means that a gene is absent, such as log-normalised counts, found {found} "
            f"(standardised or centred?); use {instead}."
        )
