"""Simple scores of how much a drug moves each gene: the mean shift, Welch's t, and the shift given all other genes."""

from __future__ import annotations

import numpy as np
from _screens import Screen

SHRINKAGE = 0.05  # of the pooled correlations towards none: "slightly", so that the inverse exists with few wells


def shifts(screen: Screen) -> tuple[list[str], np.ndarray, np.ndarray]:
    """Shift of each drug from the control within strata, and its squared standard error, (D, G) each.

    Strata are weighted as in a two-way table, by n_drug n_control / (n_drug + n_control); the cells of all doses of a drug are
    taken together.
    """
    x, drug, stratum = screen.expression, screen.drug, screen.stratum
    control = screen.keys["control"]
    names = sorted(set(drug) - {control})
    shift, error = np.zeros((len(names), x.shape[1])), np.zeros((len(names), x.shape[1]))
    for d, name in enumerate(names):
        total = 0.0
        for s in sorted(set(stratum[drug == name])):
            one, other = x[(drug == name) & (stratum == s)], x[(drug == control) & (stratum == s)]
            if len(one) < 2 or len(other) < 2:
                continue
            weight = len(one) * len(other) / (len(one) + len(other))
            shift[d] += weight * (one.mean(0) - other.mean(0))
            error[d] += weight**2 * (one.var(0, ddof=1) / len(one) + other.var(0, ddof=1) / len(other))
            total += weight
        shift[d] /= total
        error[d] /= total**2
    return names, shift, error


def pooled_covariance(screen: Screen) -> np.ndarray:
    """Covariance of cells within drug, dose and stratum, (G, G)."""
    x = screen.expression
    context = np.unique(screen.context, return_inverse=True)[1]
    n = np.bincount(context)
    mean = np.stack([np.bincount(context, weights=column, minlength=len(n)) for column in x.T], 1) / n[:, None]
    within = x - mean[context]
    return within.T @ within / (len(x) - len(n))


def scores(screen: Screen) -> dict[str, tuple[list[str], np.ndarray]]:
    """Drugs and the score of each gene, (D, G), by name of the score."""
    names, shift, error = shifts(screen)
    covariance = pooled_covariance(screen)
    sd = np.sqrt(np.maximum(np.diag(covariance), 1e-12))
    correlation = covariance / np.outer(sd, sd)
    precision = np.linalg.inv((1 - SHRINKAGE) * correlation + SHRINKAGE * np.eye(len(sd)))
    in_sd = shift / sd
    return {
        "mean_shift": (names, np.abs(in_sd)),
        "welch": (names, np.abs(shift) / np.sqrt(np.maximum(error, 1e-12))),
        "precision": (names, np.abs(in_sd @ precision) / np.sqrt(np.diag(precision))),
    }
