"""What a user registered: the arguments of `setup_anndata` and `setup_mudata`, checked for form (layer `model`)."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from scgim._keys import RESULTS, beside


def _names(argument: str, value: Any) -> tuple[str, ...]:
    """One column name or several, as a tuple without repeats."""
    if value is None:
        return ()
    if isinstance(value, str):
        return (value,)
    if not isinstance(value, Iterable) or isinstance(value, Mapping):
        raise TypeError(f"{argument}: expected a column name or a list of them, found {type(value).__name__}.")
    names = tuple(value)
    if not all(isinstance(name, str) for name in names):
        raise TypeError(f"{argument}: expected column names (str), found {names!r}.")
    repeated = sorted({name for name in names if names.count(name) > 1})
    if repeated:
        raise ValueError(f"{argument}: {repeated} named more than once; name each column once.")
    return names


def _optional_name(argument: str, value: Any) -> str | None:
    if value is not None and not isinstance(value, str):
        raise TypeError(f"{argument}: expected one key (str) or None, found {type(value).__name__}.")
    return value


@dataclass(frozen=True)
class Spec:
    """Registered columns and keys."""

    perturbation: tuple[str, ...]  # the P columns that name drugs; several for combinations
    control: str  # the label of "no drug"
    dose: tuple[str, ...] = ()  # their P dose columns, or empty
    covariates: tuple[str, ...] = ()  # batch and categorical covariates: contexts of equal values share a baseline
    continuous: tuple[str, ...] = ()  # continuous covariates
    # single keys or None
    batch: str | None = None
    size_factor: str | None = None
    features: str | None = None
    # layer of each modality; `{None: layer}` for AnnData
    layers: Mapping[str | None, str | None] = field(default_factory=lambda: {None: None})
    # for MuData: modality of the columns of an argument, where it was given
    modalities: Mapping[str, str] = field(default_factory=dict)

    @property
    def columns(self) -> tuple[str, ...]:
        """Columns that tell contexts apart, in the order of the contexts table."""
        return self.perturbation + self.dose + self.covariates

    @property
    def arguments(self) -> dict[str, str]:
        """Argument through which each column was registered."""
        where = dict.fromkeys(self.perturbation, "perturbation_key") | dict.fromkeys(self.dose, "dose_key")
        where |= {c: "batch_key" if c == self.batch else "categorical_covariate_keys" for c in self.covariates}
        where |= dict.fromkeys(self.continuous, "continuous_covariate_keys")
        return where | ({self.size_factor: "size_factor_key"} if self.size_factor else {})


def make_spec(
    *,
    perturbation_key: Any,
    control: Any,
    dose_key: Any = None,
    features_key: Any = None,
    batch_key: Any = None,
    categorical_covariate_keys: Any = None,
    continuous_covariate_keys: Any = None,
    size_factor_key: Any = None,
    layers: Mapping[str | None, str | None] | None = None,
    modalities: Mapping[str, str] | None = None,
) -> Spec:
    """A `Spec` from the arguments of a set-up call.

    Raises
    ------
    TypeError, ValueError
        An argument has a wrong type, a column has two roles, or the numbers of columns do not fit.
    """
    perturbation = _names("perturbation_key", perturbation_key)
    if not perturbation:
        raise ValueError("perturbation_key: expected the column of .obs that names the drug, found none.")
    if not isinstance(control, (str, bool, int, float, np.generic)):
        raise TypeError(
            f"control: expected the label of untreated cells in {perturbation[0]!r}, found {type(control).__name__}. "
            "Where several labels mean control, give them one name in adata.obs first."
        )
    dose = _names("dose_key", dose_key)
    if dose and len(dose) != len(perturbation):
        raise ValueError(
            f"dose_key: expected {len(perturbation)} column(s), one for each of perturbation_key={list(perturbation)}, "
            f"found {len(dose)}: {list(dose)}."
        )
    batch = _optional_name("batch_key", batch_key)
    covariates = _names("categorical_covariate_keys", categorical_covariate_keys)
    if batch is not None:
        covariates = (batch, *(c for c in covariates if c != batch))
    spec = Spec(
        perturbation=perturbation,
        control=str(control),
        dose=dose,
        covariates=covariates,
        continuous=_names("continuous_covariate_keys", continuous_covariate_keys),
        batch=batch,
        size_factor=_optional_name("size_factor_key", size_factor_key),
        features=_optional_name("features_key", features_key),
        layers=dict(layers or {None: None}),
        modalities=dict(modalities or {}),
    )
    used = [*spec.columns, *spec.continuous]
    twice = sorted({c for c in used if used.count(c) > 1})
    if twice:
        raise ValueError(
            f"{spec.arguments[twice[0]]}: column(s) {twice} registered in two roles; give each column one."
        )
    return spec


def refuse_taken(spec: Spec) -> None:
    """Raise ValueError where a column has a name of the table of contexts, or one that another has in the table of targets."""
    taken = sorted({"n_cells", *map(beside, RESULTS & set(spec.columns))} & set(spec.columns))
    if taken:
        raise ValueError(
            f"{spec.arguments[taken[0]]}: the column name {taken[0]!r} is taken by the tables of results; rename it: "
            f"adata.obs = adata.obs.rename(columns={{{taken[0]!r}: 'my_{taken[0]}'}})."
        )
