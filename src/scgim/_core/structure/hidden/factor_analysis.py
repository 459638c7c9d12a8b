"""Factor analysis of a correlation matrix (layer `_core`)."""

import numpy as np

MOST_STEPS = 100
LEAST_CHANGE = 1e-6  # of variances in a step, by which it goes on
SMALLEST_UNIQUE = 0.02  # share of a gene's noise that is its own


class _Step:
    """Loadings given variances ``(G,)``, and variances given these; `misfit` is minus twice the log likelihood a cell."""

    def __init__(self, correlation: np.ndarray, unique: np.ndarray, n: int) -> None:
        sd = np.sqrt(unique)
        value, vector = np.linalg.eigh(correlation / (sd[:, None] * sd))
        self.loading = sd[:, None] * vector[:, -n:] * np.sqrt(np.maximum(value[-n:] - 1, 0))
        self.unique = np.maximum(correlation.diagonal() - (self.loading**2).sum(axis=1), SMALLEST_UNIQUE)
        rest = np.append(value[:-n], np.minimum(value[-n:], 1.0))
        self.misfit = float((rest - np.log(np.maximum(rest, 1e-300)) - 1).sum())


def factor_analysis(correlation: np.ndarray, n: int) -> tuple[np.ndarray, np.ndarray]:
    """Loadings ``(G, n)`` and variances ``(G,)`` of what is left, by maximum likelihood: eigenvectors in turn with variances.

    Steps that shrink by nearly the same factor are slow where a factor is weak: every second one is gone on with to
    where the two lead (squared extrapolation :cite:p:`varadhan2008`), unless the likelihood is lower there.
    """
    unique = (1 - 0.5 * n / len(correlation)) / np.diag(np.linalg.inv(correlation))
    plain, least = unique, np.inf
    for _ in range(MOST_STEPS // 2):
        first = _Step(correlation, unique, n)
        if first.misfit > least:
            unique, first = plain, _Step(correlation, plain, n)
        least, second = first.misfit, _Step(correlation, first.unique, n)
        if np.abs(second.unique - first.unique).max() < LEAST_CHANGE:
            break
        once, twice = first.unique - unique, second.unique - 2 * first.unique + unique
        far = max(1.0, float(np.linalg.norm(once)) / max(float(np.linalg.norm(twice)), 1e-300))
        plain, unique = second.unique, unique + 2 * far * once + far**2 * twice
        unique = np.clip(unique, SMALLEST_UNIQUE, correlation.diagonal())
    return second.loading, second.unique
