"""Structure, targets and effects under activity interventions, alone or beside shifts (layer `_core`; not from the paper).

With ``intervention="auto"`` each drug may shift some genes and change the activity of others; the likelihood weighs the
two kinds. A shift moves one gene's mean; a change of activity moves the slopes and the means of all its children.
"""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np

from scgim._core.activity import ActiveScore, Children, child_evidence, fit_activity
from scgim._core.design import Design
from scgim._core.edges import edge_probabilities
from scgim._core.engine import BACKGROUNDS, MOST_TARGETS, Progress, assemble_mechanisms, gene_fits, update_hyper
from scgim._core.fit import Fit
from scgim._core.moments import Moments
from scgim._core.posterior import Curves, Targets, fit_dose_curves, fit_targets
from scgim._core.score import GeneFit, Hyper
from scgim._core.search import OrderSearch, Parents, screen, search

N_ROUNDS = 4
START_SD = 0.7  # of psi, before its size is learned
START_BACKGROUND = 0.2  # at first, small drifts of children are not taken for targets


@dataclass
class Kind:
    """What is known of one kind of intervention: its prior, dose curves, and posterior."""

    curves: Curves
    p_target: float
    background: float = 0.0
    targets: Targets | None = None
    history: list[float] = field(default_factory=list)


def all_children(
    moments: Moments, design: Design, parents: dict[int, tuple[int, ...]], fits: list[GeneFit]
) -> list[Children]:
    """Evidence of every gene on the activities of its parents, with mechanisms at full activity."""
    return [
        child_evidence(moments, np.asarray(design.group), j, np.array(parents[j], dtype=int), fits[j])
        for j in range(moments.n_genes)
    ]


def activity_background(estimate: np.ndarray, variance: np.ndarray, design: Design, curves: Curves, p: float) -> float:
    """Standard deviation of psi where no drug acts, by the likelihood of all contexts and genes on a grid."""
    perturbed = ~design.control
    square, v = estimate[perturbed] ** 2, variance[perturbed]
    values = []
    for omega in BACKGROUNDS:
        e = v + omega**2
        off = np.log1p(-p) - 0.5 * (np.log(e) + square / e)
        wide = e + curves.slab_sd**2
        on = np.log(p) - 0.5 * (np.log(wide) + square / wide)
        values.append(np.logaddexp(off, on).sum())
    return float(BACKGROUNDS[int(np.argmax(values))])


class ActiveFit:
    """State of the alternation between graph, shifts and activities.

    Parameters
    ----------
    shifts
        Whether drugs may shift genes too; otherwise differences of means that no activity explains are background.
    """

    def __init__(
        self, moments: Moments, design: Design, hyper: Hyper, *, shifts: bool, background: float | str, known: Any
    ) -> None:
        self.moments, self.design, self.hyper = moments, design, hyper
        self.shifts, self.background, self.known = shifts, background, known
        D = len(design.drugs)
        flat = Curves(np.zeros(D), np.ones(D), START_SD, 0.2 * START_SD)
        self.activity = Kind(flat, float(hyper.p_target[0]))
        self.shift = Kind(flat, float(hyper.p_target[0]))
        shape = (len(moments.n), moments.n_genes)
        self.psi, self.shifted = np.zeros(shape), np.zeros(shape)

    def update_activity(self, children: list[Children]) -> None:
        """Posterior of activities given the graph and the shifts, and the size of psi."""
        design, kind, G = self.design, self.activity, self.moments.n_genes
        for _ in range(2):
            targets, estimate, variance = fit_activity(
                children,
                design,
                kind.curves,
                np.full(G, kind.p_target),
                np.full(G, kind.background),
                start=self.psi,
                shifted=self.shifted,
                shift_sd=float(self.hyper.slab_sd[0]),
                known=self.known,
            )
            kind.targets = targets
            on = targets.context_probability > 0.5
            kind.curves = fit_dose_curves(estimate, variance + kind.background**2, on, design)
            kind.curves.slab_sd = float(np.clip(kind.curves.slab_sd, 0.3, 1.0))  # psi = -1 is full inhibition
            seen = [
                variance[np.asarray(design.dose)[:, d] > 0].min(axis=0, initial=np.inf)
                for d in range(len(design.drugs))
            ]
            informed = np.array(seen) < START_SD**2  # (D, G)
            found = float(targets.probability[informed].sum())
            kind.p_target = float(np.clip((found + 1) / (informed.sum() + G / 2), 0.2 / G, MOST_TARGETS / G))
            if self.background == "auto":
                kind.background = activity_background(estimate, variance, design, kind.curves, kind.p_target)
        self.psi = np.where(on, targets.context_effect, 0.0)

    def update_shifts(self, fits: list[GeneFit]) -> None:
        """Posterior of shifts given the graph and the activities."""
        residual = np.stack([f.residual for f in fits], axis=1)
        error = np.stack([f.error for f in fits], axis=1)
        odds = np.stack([f.log_odds for f in fits], axis=1)
        on = np.zeros(residual.shape, dtype=bool)
        perturbed = self.design.unit >= 0
        on[perturbed] = odds[self.design.unit[perturbed]] > 0
        self.shift.curves = fit_dose_curves(residual, error, on, self.design)
        self.shift.targets = fit_targets(
            residual, error, self.design, self.shift.curves, self.hyper.p_target, known=self.known
        )
        self.shifted = self.shift.targets.context_probability

    def round(self, order: np.ndarray | None, n_kicks: int, rng: np.random.Generator) -> tuple[Any, ...]:
        """Graph given the activities, then shifts and activities given the graph."""
        m, design = self.moments, self.design
        score = ActiveScore(m, design.unit, design.group, self.hyper, self.psi)
        allowed = [c[np.isfinite(self.hyper.edge_price[c, j])] for j, c in enumerate(screen(score, 40))]
        chooser = Parents(score, allowed)
        state: OrderSearch = search(chooser, rng=rng, order=order, n_kicks=n_kicks)
        for _ in range(3 if self.shifts else 1):
            fits = gene_fits(score, state.parents)
            if self.shifts:
                self.update_shifts(fits)
            self.update_activity(all_children(m, design, state.parents, fits))
            score = ActiveScore(m, design.unit, design.group, self.hyper, self.psi)
        fits = gene_fits(score, state.parents)
        if self.shifts:
            self.update_shifts(fits)
        return score, chooser, state, fits


def fit_active(
    moments: Moments,
    design: Design,
    hyper: Hyper,
    *,
    genes: tuple[str, ...],
    intervention: str,
    n_kicks: int,
    background: float | str,
    known_targets: np.ndarray | None,
    rng: np.random.Generator,
    progress: Progress | None = None,
) -> Fit:
    """Alternates between the graph on scaled parents and the interventions given the graph."""
    run = ActiveFit(moments, design, hyper, shifts=intervention == "auto", background=background, known=known_targets)
    if background == "auto":
        run.hyper = replace(hyper, background_sd=np.full(moments.n_genes, START_BACKGROUND))
    order: np.ndarray | None = None
    history: list[dict[str, Any]] = []
    for round_ in range(N_ROUNDS):
        last = round_ == N_ROUNDS - 1
        score, chooser, state, fits = run.round(order, n_kicks if last else 0, rng)
        order = np.array(state.order)
        history.append({"stage": f"search {round_ + 1}", "score": state.total})
        if progress is not None:
            progress(f"search {round_ + 1}", state.total)
        if not last:
            run.hyper = update_hyper(score, fits, background=background)
    mechanisms = assemble_mechanisms(score, state, fits)
    return Fit(
        genes=genes,
        drugs=tuple(design.drugs),
        mechanism=moments.mechanism,
        intervention=intervention,
        mechanisms=mechanisms,
        graph=mechanisms.strength,
        graph_probability=edge_probabilities(chooser, state, rng=rng),
        history=history,
        **_combine(run, moments.scale),
    )


def _combine(run: ActiveFit, scale: np.ndarray) -> dict[str, Any]:
    """Both kinds as one: the probability that either holds, and the effect of the more probable one."""
    activity = run.activity.targets
    if activity is None:
        raise RuntimeError("no round was run")
    curves, settings = (
        run.activity.curves,
        {
            "p_activity": run.activity.p_target,
            "activity_sd": run.activity.curves.slab_sd,
            "activity_background_sd": run.activity.background,
            "p_target": float(run.hyper.p_target[0]),
            "slab_sd": float(run.hyper.slab_sd[0]),
        },
    )
    shift = run.shift.targets
    names = ("amplitude", "amplitude_sd")
    if shift is None:
        drug = {n: getattr(activity, n) for n in ("probability", *names)}
        context = {n: getattr(activity, n) for n in ("context_probability", "context_effect", "context_effect_sd")}
        kind = np.full(activity.probability.shape, "activity")
        background = np.full(len(scale), run.activity.background)
    else:
        scaled = activity.probability > shift.probability  # (D, G)
        drug = {n: np.where(scaled, getattr(activity, n), getattr(shift, n) * scale) for n in names}
        drug["probability"] = 1 - (1 - activity.probability) * (1 - shift.probability)
        more = activity.context_probability > shift.context_probability
        context = {
            n: np.where(more, getattr(activity, n), getattr(shift, n) * scale)
            for n in ("context_effect", "context_effect_sd")
        }
        context["context_probability"] = 1 - (1 - activity.context_probability) * (1 - shift.context_probability)
        kind = np.where(scaled, "activity", "shift")
        background = run.hyper.background_sd * scale
        weight = (scaled & (activity.probability > 0.5)).sum(axis=1) > (~scaled & (shift.probability > 0.5)).sum(axis=1)
        other = run.shift.curves
        curves = Curves(
            np.where(weight, curves.ec50, other.ec50), np.where(weight, curves.slope, other.slope), other.slab_sd, 0.0
        )
    return {
        **drug,
        **context,
        "kind": kind,
        "background_sd": background,
        "ec50": curves.ec50,
        "hill": curves.slope,
        "settings": settings,
    }
