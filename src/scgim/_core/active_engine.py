"""Structure, targets and effects under activity interventions (layer `_core`; not from the paper)."""

from __future__ import annotations

from typing import Any

import numpy as np

from scgim._core.activity import ActiveScore, Children, child_evidence, fit_activity
from scgim._core.design import Design
from scgim._core.edges import edge_probabilities
from scgim._core.engine import BACKGROUNDS, Progress, assemble_mechanisms, gene_fits, update_hyper
from scgim._core.fit import Fit
from scgim._core.moments import Moments
from scgim._core.posterior import Curves, fit_dose_curves
from scgim._core.score import GeneFit, Hyper
from scgim._core.search import OrderSearch, Parents, screen, search

N_ROUNDS = 4
START_SD = 0.7  # of psi, before its size is learned


def all_children(
    moments: Moments, design: Design, parents: dict[int, tuple[int, ...]], fits: list[GeneFit]
) -> list[Children]:
    """Evidence of every gene on the activities of its parents."""
    out = []
    for j in range(moments.n_genes):
        pa = np.array(parents[j], dtype=int)
        if len(pa):
            out.append(child_evidence(moments, np.asarray(design.group), j, pa, fits[j]))
        else:
            out.append(Children(pa, np.zeros((len(moments.n), 0)), np.zeros((len(moments.n), 0, 0))))
    return out


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


def fit_active(
    moments: Moments,
    design: Design,
    hyper: Hyper,
    *,
    genes: tuple[str, ...],
    n_kicks: int,
    background: float | str,
    known_targets: np.ndarray | None,
    rng: np.random.Generator,
    progress: Progress | None = None,
) -> Fit:
    """Alternates between the graph on scaled parents and the activities given the graph."""
    K, G, D = len(moments.n), moments.n_genes, len(design.drugs)
    activity, order = np.zeros((K, G)), None
    curves = Curves(np.zeros(D), np.ones(D), START_SD, 0.2 * START_SD)
    p_target, omega = float(hyper.p_target[0]), 0.0
    history: list[dict[str, Any]] = []
    for round_ in range(N_ROUNDS):
        score = ActiveScore(moments, design.unit, design.group, hyper, activity)
        allowed = [c[np.isfinite(hyper.edge_price[c, j])] for j, c in enumerate(screen(score, 40))]
        chooser = Parents(score, allowed)
        last = round_ == N_ROUNDS - 1
        state: OrderSearch = search(chooser, rng=rng, order=order, n_kicks=n_kicks if last else 0)
        order = np.array(state.order)
        history.append({"stage": f"search {round_ + 1}", "score": state.total})
        if progress is not None:
            progress(f"search {round_ + 1}", state.total)
        fits = gene_fits(score, state.parents)
        children = all_children(moments, design, state.parents, fits)
        for _ in range(2):
            targets, estimate, variance = fit_activity(
                children, design, curves, np.full(G, p_target), np.full(G, omega), known=known_targets
            )
            curves = fit_dose_curves(estimate, variance + omega**2, targets.context_probability > 0.5, design)
            curves.slab_sd = max(curves.slab_sd, 0.3)
            informed = np.array([variance[design.dose[:, d] > 0].min(axis=0) < START_SD**2 for d in range(D)])  # (D, G)
            found = targets.probability[informed].sum()
            p_target = float(np.clip((found + 1) / (informed.sum() + G / 2), 0.2 / G, 0.5))
            if background == "auto":
                omega = activity_background(estimate, variance, design, curves, p_target)
        activity = np.where(targets.context_probability > 0.5, targets.context_effect, 0.0)
        if not last:
            hyper = update_hyper(score, fits, background=background)
    settings = {"p_target": p_target, "slab_sd": curves.slab_sd, "curve_deviation_sd": curves.deviation_sd}
    mechanisms = assemble_mechanisms(score, state, fits)
    return Fit(
        genes,
        tuple(design.drugs),
        moments.mechanism,
        "activity",
        mechanisms,
        mechanisms.strength,
        edge_probabilities(chooser, state, rng=rng),
        targets.probability,
        targets.amplitude,
        targets.amplitude_sd,
        curves.ec50,
        curves.slope,
        targets.context_probability,
        targets.context_effect,
        targets.context_effect_sd,
        np.full(G, omega),
        np.full((D, G), "activity"),
        history,
        settings,
    )
