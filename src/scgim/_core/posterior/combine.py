"""How much of the sum of its drugs a combination is, by the combinations that were measured (layer `_core`; not from the paper).

Real combinations often fall short of the sum. Their share of it is found by regression through zero, and used for new
combinations where, learned from the others, it predicts measured ones better than the plain sum by two standard errors.
"""

from dataclasses import dataclass

import numpy as np

from scgim._core.design import Design

FEWEST = 3  # combinations from which a share is learned
CLEAR = 2.0  # standard errors by which the share has to predict better than the sum
LARGEST = 1.5  # share of the sum, at the most; none is the least


@dataclass(frozen=True)
class Combined:
    """What measured combinations say of new ones."""

    # of the sum of the drugs that a new combination is given; 1 unless it predicts clearly better than the plain sum
    share: float
    # root mean squared error of measured combinations, each predicted by the share of the others, and by the plain sum,
    # in standard deviations of the genes; NaN where there are too few
    error: float
    error_of_sum: float
    n_combinations: int  # from which the share was learned

    @property
    def settings(self) -> dict[str, float]:
        """For the settings of a fit; nothing where no combination was measured."""
        if not self.n_combinations:
            return {}
        return {
            "combination_share": self.share,
            "combination_error": self.error,
            "combination_error_of_sum": self.error_of_sum,
            "n_combinations": float(self.n_combinations),
        }


def comparable(design: Design) -> np.ndarray:
    """Contexts ``(c,)`` with several drugs, each of which was measured alone, too."""
    alone = design.present[design.single].any(axis=0)  # (D,)
    return np.flatnonzero((design.present.sum(axis=1) > 1) & ~(design.present & ~alone).any(axis=1))


def learn_share(seen: np.ndarray, summed: np.ndarray, combination: np.ndarray) -> Combined:
    """Share of the sum, with the error of leaving out each combination in turn.

    Parameters
    ----------
    seen, summed
        ``(c, G)``; what combinations add to the genes, and what their drugs do alone, added up.
    combination
        ``(c,)``; the same number for contexts with the same drugs, which are left out together.
    """
    number = np.unique(combination, return_inverse=True)[1]
    count = int(number.max(initial=-1)) + 1
    if count < FEWEST or not summed.any():
        return Combined(1.0, float("nan"), float("nan"), count)
    both, square = (seen * summed).sum(axis=1), (summed**2).sum(axis=1)  # (c,)
    of_own = combination == combination[:, None]  # (c, c)
    others = np.maximum(square.sum() - of_own @ square, np.finfo(float).tiny)
    left_out = np.clip((both.sum() - of_own @ both) / others, 0.0, LARGEST)  # (c,)
    squares = np.stack([((seen - c * summed) ** 2).mean(axis=1) for c in (left_out[:, None], 1.0)])  # (2, c)
    error, error_of_sum = (float(np.sqrt(square.mean())) for square in squares)
    gain = np.bincount(number, squares[1] - squares[0]) / np.bincount(number)  # of each combination
    sure = gain.mean() > CLEAR * gain.std(ddof=1) / np.sqrt(count)
    share = float(np.clip(both.sum() / square.sum(), 0.0, LARGEST)) if sure else 1.0
    return Combined(share, error, error_of_sum, count)
