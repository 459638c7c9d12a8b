"""How cells are observed: one file a noise model, and `OBSERVATIONS` with all of them by name."""

from __future__ import annotations

from typing import Any

import numpy as np

from scgim._core.observation.base import Observation, to_state
from scgim._core.observation.gaussian import Gaussian
from scgim._core.observation.poisson_lognormal import PoissonLognormal
from scgim._core.observation.zero_inflated import ZeroInflatedLognormal

OBSERVATIONS: dict[str, type[Any]] = {o.name: o for o in (Gaussian, ZeroInflatedLognormal, PoissonLognormal)}

__all__ = [
    "OBSERVATIONS",
    "Gaussian",
    "Observation",
    "PoissonLognormal",
    "ZeroInflatedLognormal",
    "from_state",
    "to_state",
]


def from_state(state: dict[str, Any]) -> Observation:
    """Inverse of `to_state`."""
    values = {k: np.asarray(v) if isinstance(v, list) else v for k, v in state.items() if k != "noise"}
    return OBSERVATIONS[state["noise"]](**values)
