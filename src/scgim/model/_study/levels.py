"""The covariate by which effects differ (layer `model`)."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from scgim._core.design import Design
    from scgim.model._study.study import Study


def level_names(effects_by: str, data: Study) -> list[str]:
    """Levels of the covariate by which effects differ, checked.

    Raises
    ------
    KeyError, ValueError
        `effects_by` is not registered, or has one level.
    """
    if effects_by not in data.spec.covariates:
        raise KeyError(
            f"effects_by: column {effects_by!r} is not a registered covariate, found {list(data.spec.covariates)}. "
            "Name it in batch_key or categorical_covariate_keys, too."
        )
    names = sorted(set(data.groups[effects_by]))
    if len(names) < 2:
        raise ValueError(
            f"effects_by: expected a column with at least two levels, found {names} in {effects_by!r}; leave it out."
        )
    return names


def with_levels(data: Study, effects_by: str | None) -> Design:
    """The design of the contexts, with their levels of the covariate by which effects differ."""
    design = data.design
    if effects_by is None:
        return design
    of_group = np.unique(data.groups[effects_by].to_numpy().astype(str), return_inverse=True)[1]
    return replace(design, level=of_group[design.group])
