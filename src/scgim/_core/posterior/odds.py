"""Log odds of targets from shifts and drift, for drugs that the design tells apart and for those it does not (layer `_core`)."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from scipy.special import expit, logit

from scgim._core.arrays import log_odds_of_any, override
from scgim._core.design import Design
from scgim._core.posterior.background import Background, fit_background
from scgim._core.posterior.regulation.regulators import RegulatorFit, fit_regulators
from scgim._core.posterior.shifts import Shifts
from scgim._core.posterior.unseen.followers import weigh_followers
from scgim._core.state import savable

SUREST = 1 - 1e-15  # probability whose log odds are still a number


@savable
@dataclass(frozen=True)
class Support:
    """What the targets of a fit rest on."""

    # (K, G) that any drug of a context has the gene as a target, with all digits where probabilities are 0 or 1; minus
    # infinity for controls
    log_odds: np.ndarray
    identified: np.ndarray  # (D,) bool; False for drugs that no context tells apart from others
    # (D, G) and (D,); baseline groups whose own estimate has the sign of the drug's, and all groups
    agree: np.ndarray
    n_groups: np.ndarray

    @classmethod
    def not_compared(cls, log_odds: np.ndarray, identified: np.ndarray) -> Support:
        """Where estimates of single baseline groups were not looked at: all cells count as one group, which agrees."""
        n_drugs, n_genes = len(identified), log_odds.shape[1]
        return cls(log_odds, identified, np.ones((n_drugs, n_genes)), np.ones(n_drugs, dtype=int))


def odds_of_contexts(log_odds: np.ndarray, design: Design) -> np.ndarray:
    """Log odds ``(K, G)`` that any drug of a context has the gene as a target, from those of the drugs ``(D, G)``."""
    return np.stack([log_odds_of_any(log_odds[drugs]) for drugs in design.present])


@dataclass(frozen=True)
class Odds:
    """Which genes are targets, and what that rests on."""

    log_odds: np.ndarray  # (D, G) of being a target
    error: np.ndarray  # (K, G) variance of residual means of contexts, independent of each other
    shared: np.ndarray  # (D, V, G) variance of full effects that errs in all contexts of a drug and level alike
    # what is behind them
    shifts: Shifts
    background: Background
    regulators: RegulatorFit | None = None  # those whose activity drugs change; None without a network
    # (D, G) probability that a gene, if it is no target, follows one by effects that cells do not show
    follow: np.ndarray | float = 0.0

    def on(self, design: Design) -> np.ndarray:
        """``(K, G)`` bool; contexts and genes where some drug has a target that is more probable than not, or moves a regulator of it."""
        moved = self.log_odds > 0
        if self.regulators is not None:
            moved = moved | self.regulators.moves
        return (design.present.astype(float) @ moved) > 0

    def support(self, design: Design) -> Support:
        """What a fit keeps of it."""
        found = self.shifts.contrasts
        return Support(odds_of_contexts(self.log_odds, design), found.identified, found.agree, found.n_groups)

    @property
    def settings(self) -> dict[str, float]:
        """What was learned of all drugs and genes together, in standard deviations of the genes."""
        contrasts, found = self.shifts.contrasts, self.background
        return {
            "target_prior": found.p_target,
            "target_sd": found.effect_sd,
            "slope_sd": found.slope_sd,
            "graph_share": found.graph_share,
            "drift_sd": float(np.sqrt(np.median(found.scale))) if found.scale.size else 0.0,
            "between_contexts_sd": contrasts.context_sd,
            "between_groups_sd": contrasts.group_sd,
        }


def share(log_odds: np.ndarray, alike: np.ndarray) -> np.ndarray:
    """Log odds ``(D, G)`` of drugs that were measured only together: each has its part of the probability that one is.

    Parameters
    ----------
    log_odds
        ``(D, G)``; the same within a class.
    alike
        ``(D,)``; class of each drug.
    """
    size = np.bincount(alike, minlength=len(alike))[alike]  # (D,)
    out = log_odds.copy()
    several = size > 1
    out[several] = logit(np.minimum(expit(log_odds[several]), SUREST) / size[several, None])
    return out


def learn_odds(shifts: Shifts, design: Design, known: np.ndarray | None) -> Odds:
    """Log odds of targets, with the errors that effects need.

    Parameters
    ----------
    known
        ``(D, G)``; 1 for known targets, 0 for known others, NaN where nothing is known; or None.
    """
    found, D = shifts.contrasts, len(design.drugs)
    background = fit_background(shifts, D)
    followers, regulators = weigh_followers(shifts, background), None
    log_odds = followers.log_odds
    if shifts.network is not None:
        regulators, explained = fit_regulators(shifts, background, shifts.network, D)
        log_odds = log_odds - explained
        regulators = regulators.with_odds(share(regulators.log_odds, found.alike))
    log_odds = override(share(log_odds, found.alike), known)
    error = shifts.error + found.context_sd**2 * ~design.control[:, None]
    own = (found.weight**2 * design.present[:, found.drug].T) @ error  # (R, G) that differs between contexts
    rest = np.maximum(background.variance - own - found.offset, 0.0) + background.beside + shifts.doubt
    shared = np.zeros((D, design.n_levels, error.shape[1]))
    shared[found.drug, found.level] = rest
    return Odds(log_odds, error, shared, shifts, background, regulators, followers.follow)
