"""What a user asks to be predicted: rows of registered columns, checked and encoded (layer `model`)."""

from __future__ import annotations

import re
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd

from scgim._checks import did_you_mean
from scgim._keys import RESULTS
from scgim._warnings import warn_user
from scgim.model._reading.cells import Adjustment
from scgim.model._reading.columns import Source, read_numbers, table_of
from scgim.model._study.contexts import as_labels, as_registered, encode_rows
from scgim.model._study.features import Features, drug_table, numeric_table

if TYPE_CHECKING:
    from scgim._core.design import Design
    from scgim.model._reading.spec import Spec
    from scgim.model._study.study import Study


FAR = 10.0
"""Times outside the measured doses of a drug from which on a dose is extrapolated far, or in another unit."""

ASKED = table_of("perturbations")


@dataclass(frozen=True)
class Request:
    """Perturbations to predict, m rows."""

    table: pd.DataFrame  # registered columns as asked for; covariate columns that were left out are missing
    drugs: tuple[str, ...]  # the fitted drugs, then unknown ones
    dose: np.ndarray  # (m, D') doses of all those drugs
    group: np.ndarray  # (m, C) weight of each baseline group, 1 for one group unless covariates were left out
    offset: np.ndarray | None  # (m, G) effect of continuous covariates, or None
    size: np.ndarray | None = None  # (m,) size factors of the cells to predict, or None
    source: Source = ASKED  # where the rows are from, which errors name

    def rows(self, index: np.ndarray | slice) -> Request:
        """Some of the rows."""
        offset = None if self.offset is None else self.offset[index]
        size = None if self.size is None else self.size[index]
        return replace(
            self,
            table=self.table.iloc[index],
            dose=self.dose[index],
            group=self.group[index],
            offset=offset,
            size=size,
        )


def _group_weights(frame: pd.DataFrame, data: Study, source: Source) -> np.ndarray:
    """Weights ``(m, C)`` of the groups that agree with the given covariates, by their numbers of training cells."""
    groups, design = data.groups, data.design
    size = np.bincount(design.group, weights=design.n_cells, minlength=len(design.group_names))
    agree = np.ones((len(frame), len(size)), bool)
    for column in data.spec.covariates:
        if column not in frame:
            continue
        labels, known = as_labels(frame[column], data.spec.arguments[column], source), groups[column].to_numpy()
        unknown = sorted(set(labels) - set(known))
        if unknown:
            raise ValueError(
                f"{source.argument}: {column!r} is {unknown[0]!r}, which the model has no baseline for; "
                f"choose from {sorted(set(known))}."
            )
        agree &= labels[:, None] == known[None, :]
    empty = ~agree.any(axis=1)
    if empty.any():
        row = (
            frame.loc[:, [c for c in data.spec.covariates if c in frame]].iloc[int(np.flatnonzero(empty)[0])].to_dict()
        )
        raise ValueError(
            f"{source.argument}: no training cells have {row} together; choose from {list(design.group_names)[:20]}."
        )
    weight = agree * size
    return weight / weight.sum(axis=1, keepdims=True)


def make_request(perturbations: Any, data: Study, adjustment: Adjustment | None, source: Source = ASKED) -> Request:
    """Encode a table of perturbations.

    Parameters
    ----------
    perturbations
        DataFrame with the registered perturbation and dose columns; columns of covariates may be left out, which pools
        over their training values; further columns are ignored, with a warning where one of these is left out.
    data
        What was registered.
    adjustment
        Effect of continuous covariates; those left out are at their mean.
    source
        Where the rows are from, which errors name.

    Raises
    ------
    TypeError, KeyError, ValueError
    """
    spec = data.spec
    if not isinstance(perturbations, pd.DataFrame):
        example = ", ".join(f"{c!r}: [...]" for c in spec.perturbation + spec.dose)
        raise TypeError(
            f"{source.argument}: expected a DataFrame, found {type(perturbations).__name__}; "
            f"for example pandas.DataFrame({{{example}}})."
        )
    if len(perturbations) == 0:
        raise ValueError(f"{source.argument}: expected at least one row, found none.")
    for column in spec.perturbation + spec.dose:
        if column not in perturbations:
            raise KeyError(
                f"{source.argument}: column {column!r} is missing; the model needs {list(spec.perturbation + spec.dose)} "
                f"and found {list(perturbations.columns)}. Put {spec.control!r} where there is no drug."
            )
    _warn_of_ignored(perturbations, spec, source)
    frame = as_registered(perturbations.reset_index(drop=True), data.types)
    rows = encode_rows(frame, spec, data.design.drugs, source=source)
    group = _group_weights(frame, data, source)
    given = [c for c in spec.continuous if c in frame]
    offset = None
    if adjustment is not None and given:
        values = np.tile(adjustment.mean, (len(frame), 1))
        for column in given:
            values[:, spec.continuous.index(column)] = read_numbers(frame[column], spec.arguments[column], source)
        if not np.isfinite(values).all():
            raise ValueError(
                f"{source.argument}: columns {given} hold missing or infinite values; give finite ones, or leave the columns out."
            )
        offset = adjustment.effect(values)
    table, sizes = _asked(frame, data, source), _sizes(frame, data, source)
    return Request(table, rows.drugs, rows.matrix(), group, offset, sizes, source)


def _warn_of_ignored(perturbations: pd.DataFrame, spec: Spec, source: Source) -> None:
    """Name columns that are not registered and spelled like one that could have been given and is not there."""
    known = {*spec.arguments, *RESULTS}
    strange = [str(column) for column in perturbations if column not in known]
    absent = [column for column in (*spec.covariates, *spec.continuous) if column not in perturbations]
    near = next(filter(None, (did_you_mean(column, absent) for column in strange)), "")
    if near:
        warn_user(
            f"{source.argument}: column(s) {strange[:5]} are not of the fit and are ignored{near}; column(s) "
            f"{absent} are left out, so predictions are means over their training values."
        )
    doses = [column for column in strange if "dose" in column.casefold()]
    if doses and not spec.dose:
        warn_user(
            f"{source.argument}: column {doses[0]!r} is ignored, as the model was fitted without doses; to predict doses, fit with dose_key."
        )


def warn_of_far_doses(request: Request, design: Design) -> None:
    """Name a dose that lies far outside those measured of its drug, as in another unit."""
    if not design.has_dose:
        return
    for drug, asked, measured in zip(design.drugs, request.dose.T, design.dose.T, strict=False):
        low, high = measured[measured > 0].min(), measured.max()
        far = asked[(asked > FAR * high) | ((asked > 0) & (FAR * asked < low))]
        if len(far):
            warn_user(
                f"{request.source.argument}: dose {far[0]:g} of {drug!r} is more than {FAR:g} times outside those measured, {low:g} to {high:g}. Is it in "
                "the unit of the fit? Predictions far outside are guesses."
            )
            return


def _sizes(frame: pd.DataFrame, data: Study, source: Source) -> np.ndarray | None:
    """Size factors ``(m,)`` that were asked for, under the registered name."""
    column = data.spec.size_factor
    if column is None or column not in frame:
        return None
    values = read_numbers(frame[column], data.spec.arguments[column], source)
    if not (np.isfinite(values) & (values > 0)).all():
        raise ValueError(
            f"{source.argument}: expected positive size factors in column {column!r}, found others; leave it out "
            "to draw those of control cells."
        )
    return values


def _asked(frame: pd.DataFrame, data: Study, source: Source) -> pd.DataFrame:
    """The registered columns of the request: drugs and covariates as str, doses as float and 0 for control."""
    spec, out = data.spec, pd.DataFrame(index=frame.index)
    for column in spec.perturbation:
        out[column] = as_labels(frame[column], spec.arguments[column], source, drugs=True)
    for column, name in zip(spec.dose, spec.perturbation, strict=False):
        out[column] = np.where(
            out[name] == spec.control, 0.0, read_numbers(frame[column], spec.arguments[column], source)
        )
    for column in spec.covariates:
        if column in frame:
            out[column] = as_labels(frame[column], spec.arguments[column], source)
    for column in spec.continuous:
        if column in frame:
            out[column] = frame[column].to_numpy(dtype=float)
    return out


def _aligned(features: Any, registered: Features, n_rows: int) -> np.ndarray:
    """Features of each requested row ``(m, Q)``."""
    if isinstance(features, pd.DataFrame):
        if set(registered.names) <= set(map(str, features.columns)):
            features = features.set_axis(features.columns.astype(str), axis=1)[list(registered.names)]
        values = numeric_table(features, "features")
    else:
        values = np.asarray(features)
        if values.dtype.kind not in "fiub":
            raise TypeError(f"features: expected numbers, found {type(features).__name__} of dtype {values.dtype}.")
        values = np.atleast_2d(values.astype(float))
    if values.shape != (n_rows, len(registered.names)):
        raise ValueError(
            f"features: the model was set up with .obsm features, so they have to be aligned with perturbations: expected "
            f"shape {(n_rows, len(registered.names))}, found {values.shape}."
        )
    if not np.isfinite(values).all():
        raise ValueError(
            "features: expected finite numbers, found NaN or infinite ones; fill them, or drop their rows."
        )
    return values


def _of_drugs(features: Any, registered: Features, unknown: tuple[str, ...]) -> np.ndarray:
    """Features of unknown drugs ``(U, Q)``, from the argument or from the registered table."""
    table = registered
    if features is not None:
        given = drug_table(features, "features")
        absent = [name for name in registered.names if name not in given.names]
        if absent:
            raise KeyError(
                f"features: column(s) {absent[:5]} are missing; the model was set up with {len(registered.names)}."
            )
        column = [given.names.index(name) for name in registered.names]
        values = np.vstack([given.values[:, column], registered.values])
        keep = [i for i, name in enumerate(registered.rows) if name not in given.rows]
        rows = given.rows + tuple(registered.rows[i] for i in keep)
        index = [*range(len(given.rows)), *(len(given.rows) + i for i in keep)]
        table = Features("drug", rows, registered.names, values[index])
    return table.of_drugs(unknown)


def read_new_features(features: Any, data: Study, request: Request) -> np.ndarray | None:
    """Features that the request needs: of unknown drugs ``(U, Q)``, or of all rows ``(m, Q)`` for `.obsm` features.

    Returns
    -------
    None where all drugs are known; features of rows, where they were given, also for known drugs.

    Raises
    ------
    KeyError
        An unknown drug has no features; the message names it.
    TypeError, ValueError
        Wrong type or shape, or features for a model that was set up without.
    """
    known = data.design.drugs
    unknown = request.drugs[len(known) :]
    if data.features is None:
        if unknown:
            raise KeyError(
                f"{request.source.argument}: drug {unknown[0]!r} was not in the training data, and the model was set up without "
                f"features{did_you_mean(unknown[0], known)}. Known drugs: {list(known)[:10]}. "
                + (
                    "A combination takes several columns, see scgim.pp.split_combinations."
                    if set(re.split(r"\s*[+,;/|]\s*", unknown[0])) <= set(known)
                    else "To predict new drugs, set up with features_key."
                )
            )
        if features is not None:
            raise ValueError("features: the model was set up without features_key; leave features out.")
        return None
    if data.features.rows_are == "context":
        values = None if features is None else _aligned(features, data.features, len(request.table))
        if unknown and values is None:
            raise KeyError(
                f"features: drug {unknown[0]!r} was not in the training data; pass features with one row for each row "
                "of perturbations."
            )
        return values
    if not unknown:
        return None
    return _of_drugs(features, data.features, unknown)
