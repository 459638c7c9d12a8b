"""The kind of intervention where the user does not name one (layer `model`; not from the paper)."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from scgim._core.mechanisms import MECHANISMS

if TYPE_CHECKING:
    from scgim.model._study.study import Study

MAX_WEIGHED = 2e7  # second moments of all contexts up to which kinds are weighed: 160 MB


def default_kind(mechanism: str, noise: str, structure: str, effects_by: str | None, data: Study) -> str:
    """``"auto"`` where every drug was measured in one context and has no features, else ``"shift"``.

    With one context a drug the question is where each drug acts, and a shift alone misses drugs that inhibit. With several
    doses, batches or features the model also predicts, and there mechanisms that are only approximately right are
    better met by shifts. ``"auto"`` also needs a closed form: linear or additive mechanisms, gaussian noise, the search over
    orders, and second moments of all contexts that are not too many numbers.
    """
    closed = MECHANISMS[mechanism].closed_form and noise == "gaussian" and structure == "search" and effects_by is None
    present = np.asarray(data.design.dose) > 0  # (K, D)
    if not closed or data.features is not None or (present.sum(axis=0) > 1).any():
        return "shift"
    numbers = len(present) * float(len(data.genes) * MECHANISMS[mechanism].basis.n_functions) ** 2
    return "auto" if numbers <= MAX_WEIGHED else "shift"


def check_published(kind: str, **unused: Any) -> None:
    """The published estimator knows this kind of intervention, and none of the other settings is given.

    Raises
    ------
    ValueError
    """
    if kind not in ("shift", "hard"):
        raise ValueError(
            f"structure: 'gradient' needs intervention='shift' or 'hard', found {kind!r}; use structure='search'."
        )
    for name, value in unused.items():
        if value is not None and not (isinstance(value, int) and value == 0):
            raise ValueError(f"{name}: structure='gradient' does not use it; leave it out, or use structure='search'.")
