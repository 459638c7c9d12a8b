"""The kind of intervention where the user does not name one (layer `model`)."""

from __future__ import annotations

from typing import TYPE_CHECKING

from scgim._core.basis import N_FUNCTIONS

if TYPE_CHECKING:
    from scgim._core.design import Design

MAX_WEIGHED = 2e7  # second moments of all contexts up to which "auto" weighs kinds: 160 MB


def default_kind(
    mechanism: str, noise: str, structure: str, effects_by: str | None, design: Design, n_genes: int
) -> str:
    """``"auto"`` where changes of activity are weighed against shifts in closed form, else ``"shift"``.

    They are not with neural mechanisms, with counts or zero inflation, with another structure than ``"search"``, with
    effects that differ between levels of a covariate, and where the second moments of all contexts are too many numbers.
    """
    closed = mechanism in N_FUNCTIONS and noise == "gaussian" and structure == "search" and effects_by is None
    if not closed:
        return "shift"
    numbers = len(design.dose) * float(n_genes * N_FUNCTIONS[mechanism]) ** 2
    return "auto" if numbers <= MAX_WEIGHED else "shift"
