"""How much of a prediction is the model's, and how much that of a simple baseline (layer `_core`; not from the paper).

Contexts that are left out are predicted by both, and the share of the model follows by regression,
``y - b = w (m - b)``, with w between 0 and 1. Nothing is fitted again.
"""

from dataclasses import dataclass

import numpy as np

FEWEST = 3  # units from which a weight is learned
CLEAR = 1.0  # standard errors by which the mixture has to predict better than the model


@dataclass(frozen=True)
class Weighed:
    """What left-out contexts say of a kind of prediction."""

    weight: float  # share of the model; 1 unless mixing predicts better
    # root mean squared error of contexts that were left out, in standard deviations of the genes; NaN where there are
    # too few
    error: float
    error_of_model: float
    error_of_baseline: float
    n_units: int  # drugs, contexts or combinations that were left out together
    baseline: str  # name of the baseline

    def settings(self, of: str) -> dict[str, float | str]:
        """For the settings of a fit; nothing where too little was measured."""
        if self.n_units < FEWEST:
            return {}
        return {
            f"{of}_weight": self.weight,
            f"{of}_baseline": self.baseline,
            f"{of}_error": self.error,
            f"{of}_error_of_model": self.error_of_model,
            f"{of}_error_of_baseline": self.error_of_baseline,
        }


def learn_weight(seen: np.ndarray, model: np.ndarray, baselines: dict[str, np.ndarray], unit: np.ndarray) -> Weighed:
    """Share of the model, beside the best of some baselines.

    Parameters
    ----------
    seen, model
        ``(n, G)``; what contexts that were left out add to the genes, and what the model says of them.
    baselines
        By name, the same of each baseline.
    unit
        ``(n,)``; the same number for contexts that are left out together when the weight is judged.
    """
    number = np.unique(unit, return_inverse=True)[1]
    count = int(number.max(initial=-1)) + 1
    if count < FEWEST:
        return Weighed(1.0, float("nan"), float("nan"), float("nan"), count, "")
    alone = {name: _squares(seen - base, number) for name, base in baselines.items()}
    best = min(alone, key=lambda name: float(alone[name].mean()))
    base, apart = baselines[best], model - baselines[best]
    both = np.bincount(number, ((seen - base) * apart).sum(axis=1))
    square = np.bincount(number, (apart**2).sum(axis=1))
    others = np.maximum(square.sum() - square, np.finfo(float).tiny)
    left_out = np.clip((both.sum() - both) / others, 0.0, 1.0)  # (U,)
    mixed = _squares(seen - base - left_out[number, None] * apart, number)
    of_model = _squares(seen - model, number)
    gain = of_model - mixed
    sure = gain.mean() > CLEAR * gain.std(ddof=1) / np.sqrt(count)
    weight = float(np.clip(both.sum() / max(square.sum(), np.finfo(float).tiny), 0.0, 1.0)) if sure else 1.0
    error, error_of_model, error_of_baseline = (float(np.sqrt(s.mean())) for s in (mixed, of_model, alone[best]))
    return Weighed(weight, error if sure else error_of_model, error_of_model, error_of_baseline, count, best)


def _squares(error: np.ndarray, number: np.ndarray) -> np.ndarray:
    """Mean squared error of each unit, ``(U,)``."""
    return np.asarray(np.bincount(number, (error**2).mean(axis=1)) / np.bincount(number))
