"""Dose curves of the drugs, with what a table of dose responses is expected to hold."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import pandas as pd

from scgim._checks import MODEL, checked
from scgim._core.posterior.effects.hill import hill
from scgim.tl._evaluation.training import control_means, read_training

if TYPE_CHECKING:
    from scgim.model import GIM

COLUMNS = ("perturbation", "e0", "emax", "slope", "ec50", "ec50_se", "r_squared", "ec50_in_range", "n_doses", "n_cells")
"""Of the table; all but the first and the last two are those of pertpy's ``fit_dose_response``."""
NO_CHANGE = 1e-12  # length of a change below which it has no direction


@checked(model=MODEL)
def dose_curves(model: GIM) -> pd.DataFrame:
    r"""Hill curve of each drug, and how well the observed response follows it.

    The model has one curve for each drug, which all its targets follow, and learns it from all of them at once, drawn towards
    values that the drugs share:

    .. math:: h(x) = \frac{x^n}{x^n + \mathrm{EC}_{50}^n}.

    The response is one number for each context: the observed change from the control, projected on the unit vector of the
    change that is predicted at the drug's highest dose (not from the paper).

    Parameters
    ----------
    model
        A model fitted with doses, with its training data.

    Returns
    -------
    One row for each drug that was measured alone, with the columns of pertpy's ``fit_dose_response``: ``perturbation``;
    ``e0`` (response without the drug, 0 since changes are from control); ``emax`` (response at full effect, by least squares
    given the curve, in units of the data); ``slope`` (Hill exponent n); ``ec50`` in units of dose, between a tenth of the
    lowest and ten times the highest dose of the data, where flat and linear responses end (0 for all, as no dependence on dose,
    where no drug has a target; a drug without one has what the drugs share); ``ec50_se`` (posterior
    standard deviation of log ec50, times ec50; nan where the fit keeps none); ``r_squared`` of the responses around the
    curve, the control at dose 0 among them (nan with fewer than two doses); ``ec50_in_range`` (whether ``ec50`` lies
    between the lowest and the highest dose: else it is an extrapolation); and ``n_doses``, ``n_cells``.

    Raises
    ------
    ValueError
        The model was fitted without doses, or has no training data.

    Examples
    --------
    >>> curves = scgim.tl.dose_curves(model)
    >>> curves.query("ec50_in_range and r_squared > 0.8")
    """
    design, curves = model.design, model.fitted.curves
    if not design.has_dose:
        raise ValueError(
            "model: no dose was registered, expected one; fit with scgim.tl.fit(adata, ..., dose_key=...)."
        )
    train = read_training(model, 0, np.random.default_rng(0))
    control = control_means(model, train)[design.group]  # (K, G)
    log_sd = np.sqrt((curves.axes[:, :, 0] ** 2).sum(axis=0))  # (D,), of log ec50
    rows = []
    for d, drug in enumerate(model.fitted.drugs):
        contexts = design.alone(d)
        if not len(contexts):
            continue
        dose, n_cells, ec50 = design.dose[contexts, d], train.n[contexts], float(curves.ec50[d])
        along = _direction(model, contexts[np.argmax(dose)], control)
        response = (train.mean - control)[contexts] @ along  # (k,)
        height = hill(dose, curves.ec50[d], curves.hill[d])
        emax = response_at_full_effect(response, height, n_cells)
        n_doses = len(np.unique(dose))
        rows.append(
            {
                "perturbation": drug,
                "e0": 0.0,
                "emax": emax,
                "slope": float(curves.hill[d]),
                "ec50": ec50,
                "ec50_se": ec50 * float(log_sd[d]) if log_sd[d] > 0 else np.nan,
                "r_squared": r_squared(response, emax * height) if n_doses > 1 else np.nan,
                "ec50_in_range": float(dose.min()) < ec50 < float(dose.max()),
                "n_doses": n_doses,
                "n_cells": int(n_cells.sum()),
            }
        )
    return pd.DataFrame(rows, columns=list(COLUMNS))


def _direction(model: GIM, context: int, control: np.ndarray) -> np.ndarray:
    """Unit vector ``(G,)`` of the change that is predicted in a context; `control` ``(K, G)`` are the means without a drug."""
    of = model.study.features
    features = of.values[[context]] if of is not None and of.rows_are == "context" else None
    asked = model.contexts.iloc[[context]].drop(columns="n_cells")
    change = model.predict_mean(asked, features=features).to_numpy()[0] - control[context]
    return np.asarray(change / max(float(np.linalg.norm(change)), NO_CHANGE))


def response_at_full_effect(response: np.ndarray, h: np.ndarray, weight: np.ndarray) -> float:
    """Least-squares factor of the curve ``h`` ``(k,)`` in the responses ``(k,)``; 0 where the curve is 0."""
    square = float((weight * h**2).sum())
    return float((weight * h * response).sum()) / square if square > 0 else 0.0


def r_squared(response: np.ndarray, fitted: np.ndarray) -> float:
    """Share of the variation of responses ``(k,)`` and the control's 0 that a curve through 0 explains; nan without any."""
    total = np.append(response, 0.0)
    variation = float(((total - total.mean()) ** 2).sum())
    return 1 - float(((response - fitted) ** 2).sum()) / variation if variation > 0 else float("nan")
