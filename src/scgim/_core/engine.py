"""Structure, targets and effects by exact score and order search (layer `_core`; not from the paper)."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from scgim._core.design import Design
from scgim._core.diffuse import diffuse_fields
from scgim._core.edges import edge_probabilities
from scgim._core.elimination import eliminate
from scgim._core.fit import Fit
from scgim._core.hard import HardScore
from scgim._core.levels import level_fields
from scgim._core.mechanisms import Mechanisms, from_standardised
from scgim._core.moments import Moments
from scgim._core.posterior import Curves, Targets, fit_dose_curves, fit_targets, fit_values
from scgim._core.score import GeneFit, Hyper, ShiftScore
from scgim._core.screening import screen, widen
from scgim._core.search import OrderSearch, Parents, search

SCORES: dict[str, type[ShiftScore]] = {"shift": ShiftScore, "hard": HardScore}
BACKGROUNDS = np.array([0.0, 0.02, 0.05, 0.1, 0.15, 0.2, 0.3, 0.4, 0.5, 0.7])
MOST_TARGETS = 3.0  # targets a drug that the prior allows for, at the most: sparse mechanism shifts
Progress = Callable[[str, float], None]


def gene_fits(score: ShiftScore, parents: dict[int, tuple[int, ...]]) -> list[GeneFit]:
    """The fit of every gene given its parents."""
    return [score.gene(j, parents[j]) for j in range(score.n_genes)]


def update_hyper(score: ShiftScore, fits: list[GeneFit], *, background: float | str) -> Hyper:
    """Empirical Bayes: prior of targets, size of effects, and background variance per gene, given residuals."""
    residual = np.stack([f.residual for f in fits], axis=1)[score.sorted][score.n_control :]  # (K', G)
    error = np.stack([f.error for f in fits], axis=1)[score.sorted][score.n_control :]
    rho = 1 / (1 + np.exp(-np.clip(np.stack([f.log_odds for f in fits], axis=1), -500, 500)))  # (U, G)
    G = score.n_genes
    p = float(np.clip((rho.sum() + 1.0) / (rho.size + G / 2.0), 0.2 / G, MOST_TARGETS / G))
    rho_k = np.repeat(rho, score.sizes, axis=0)
    size = score.effects(residual, error)
    slab2 = (rho_k * np.maximum(size, 0)).sum() / max(rho_k.sum(), 1e-9)
    slab = np.full(G, np.sqrt(np.clip(slab2, 0.05, 25.0))) if rho_k.sum() > 1 else score.hyper.slab_sd
    hyper = Hyper(np.full(G, p), slab, score.hyper.background_sd, score.hyper.edge_price)
    hyper.background_sd = (
        _background(score, hyper, residual, error) if background == "auto" else np.full(G, float(background))
    )
    return hyper


def _background(score: ShiftScore, hyper: Hyper, residual: np.ndarray, error: np.ndarray) -> np.ndarray:
    """Background standard deviation of each gene on a grid, drawn towards that of all genes."""
    base = error - score.hyper.background_sd**2  # sampling variance alone
    loglik = np.zeros((len(BACKGROUNDS), score.n_genes))
    old = score.hyper
    score.hyper = hyper
    for k, omega in enumerate(BACKGROUNDS):
        for j in range(score.n_genes):
            off, on = score.branches(residual[None, :, j] ** 2, base[None, :, j] + omega**2, j)
            loglik[k, j] = np.logaddexp(off, on).sum()
    score.hyper = old
    pooled = loglik.mean(axis=1, keepdims=True) * 5.0
    return BACKGROUNDS[(loglik + pooled).argmax(axis=0)]


def _report(progress: Progress | None, stage: str, history: list[dict[str, Any]]) -> Callable[[float], None]:
    def report(value: float) -> None:
        history.append({"stage": stage, "score": value})
        if progress is not None:
            progress(stage, value)

    return report


def learn_structure(
    moments: Moments,
    design: Design,
    hyper: Hyper,
    *,
    rng: np.random.Generator,
    intervention: str = "shift",
    background: float | str = "auto",
    n_kicks: int = 20,
    n_candidates: int = 40,
    max_parents: int = 20,
    progress: Progress | None = None,
) -> tuple[ShiftScore, Parents, OrderSearch, list[dict[str, Any]]]:
    """Order and parents under priors that are learned along the way."""
    history: list[dict[str, Any]] = []
    few = moments.n_genes <= 50
    kind = SCORES[intervention]
    score = kind(moments, design.unit, design.group, hyper)
    order, likely = eliminate(score)
    candidates = [np.union1d(*lists) for lists in zip(screen(score, n_candidates), likely, strict=True)]
    candidates = [c[np.isfinite(hyper.edge_price[c, j])] for j, c in enumerate(candidates)]
    for round_ in range(3):
        chooser = Parents(score, candidates, max_parents)
        report = _report(progress, f"search {round_ + 1}", history)
        last = round_ == 2
        state = search(
            chooser, rng=rng, order=order, n_kicks=n_kicks if last else 0, thorough=last or few, progress=report
        )
        report(state.total)
        order = np.array(state.order)
        if round_ < 2:
            new = update_hyper(score, gene_fits(score, state.parents), background=background)
            score = kind(moments, design.unit, design.group, new)
            if not few:
                candidates = widen(score, candidates, state.parents)
    return score, chooser, state, history


def fit_search(
    moments: Moments,
    design: Design,
    *,
    genes: tuple[str, ...] | list[str],
    mechanism: str = "linear",
    intervention: str = "shift",
    graph_prior: np.ndarray | None = None,
    known_targets: np.ndarray | None = None,
    background: float | str = "auto",
    n_kicks: int | None = None,
    cyclic: bool = False,
    rng: np.random.Generator | int = 0,
    progress: Progress | None = None,
) -> Fit:
    """Fits graph, mechanisms, targets and effects from moments.

    Parameters
    ----------
    moments
        Of the cells, with the basis of `mechanism`.
    design
        Drugs and doses of the contexts; with levels of a covariate, effects of shifts and hard interventions may differ
        between these.
    genes
        Names of the G genes.
    mechanism
        ``"linear"`` or ``"additive"``.
    intervention
        ``"shift"``, ``"hard"``, which needs moments with the scatter of each unit, or ``"activity"`` and
        ``"auto"`` (shifts and changes of activity, weighed by likelihood), which need that of each context.
    graph_prior
        ``(G, G)``; prior probability of each edge, 0 where it is forbidden.
    known_targets
        ``(D, G)``; 1 for known targets, 0 for known others, NaN where nothing is known.
    background
        Standard deviation, in standard deviations of the gene, of differences between contexts that no drug made;
        ``"auto"`` learns it.
    n_kicks
        Restarts that must bring nothing before the search stops.
    cyclic
        Whether genes may act on each other in cycles; linear mechanisms and shift interventions only.
    rng
        Random generator or seed.
    progress
        Called with the stage and its score.
    """
    rng = np.random.default_rng(rng)
    G = moments.n_genes
    hyper = Hyper.default(G, graph_prior)
    kicks = (20 if G <= 50 else 3 if G <= 150 else 1) if n_kicks is None else n_kicks
    shared: dict[str, Any] = {"n_kicks": kicks, "background": background, "rng": rng, "progress": progress}
    named: dict[str, Any] = {"genes": tuple(genes), "known_targets": known_targets}
    if intervention in ("activity", "auto"):
        from scgim._core.active_engine import fit_active  # it stands on this file

        return fit_active(moments, design, hyper, intervention=intervention, **named, **shared)
    if cyclic:
        from scgim._core.cyclic_engine import fit_cyclic

        return fit_cyclic(moments, design, hyper, **named, **shared)
    score, chooser, state, history = learn_structure(moments, design, hyper, intervention=intervention, **shared)
    fits = gene_fits(score, state.parents)
    probability = edge_probabilities(chooser, state, rng=rng)
    return assemble(score, design, state, fits, probability, tuple(genes), intervention, known_targets, history)


def assemble_mechanisms(score: ShiftScore, state: OrderSearch, fits: list[GeneFit]) -> Mechanisms:
    """Mechanisms on the expression scale."""
    m = score.moments
    return from_standardised(
        m.mechanism,
        np.array(state.order),
        [np.array(state.parents[j], dtype=int) for j in range(len(fits))],
        [f.coef.reshape(-1, m.n_functions) for f in fits],
        np.stack([f.baseline for f in fits], axis=1),
        np.array([f.variance for f in fits]),
        m.loc,
        m.scale,
        m.slope,
        m.within,
    )


def assemble(
    score: ShiftScore,
    design: Design,
    state: OrderSearch,
    fits: list[GeneFit],
    edge_probability: np.ndarray,
    genes: tuple[str, ...],
    intervention: str,
    known_targets: np.ndarray | None,
    history: list[dict[str, Any]],
) -> Fit:
    """Posterior of targets and effects, and everything on the expression scale."""
    m = score.moments
    residual = np.stack([f.residual for f in fits], axis=1)  # (K, G)
    error = np.stack([f.error for f in fits], axis=1)
    odds = np.stack([f.log_odds for f in fits], axis=1)  # (U, G)
    on = np.zeros(residual.shape, dtype=bool)
    perturbed = design.unit >= 0
    on[perturbed] = odds[design.unit[perturbed]] > 0
    small: dict[str, np.ndarray] = {}
    if intervention == "hard":
        targets, curves = _hard_targets(score, design, error, on, odds, known_targets)
    else:
        curves = fit_dose_curves(residual, error, on, design, p_target=score.hyper.p_target)
        targets = fit_targets(residual, error, design, curves, score.hyper.p_target, known=known_targets)
        fraction = curves.fraction(np.asarray(design.dose))
        small = diffuse_fields(
            residual, error, score.hyper.background_sd, design, fraction, targets.probability, m.scale
        )
    mechanisms = assemble_mechanisms(score, state, fits)
    settings = {
        "p_target": float(score.hyper.p_target[0]),
        "slab_sd": float(score.hyper.slab_sd[0]),
        "curve_slab_sd": curves.slab_sd,
        "curve_deviation_sd": curves.deviation_sd,
    }
    return Fit(
        genes,
        tuple(design.drugs),
        m.mechanism,
        intervention,
        mechanisms,
        mechanisms.strength,
        edge_probability,
        targets.probability,
        targets.amplitude * m.scale,
        targets.amplitude_sd * m.scale,
        curves.ec50,
        curves.slope,
        targets.context_probability,
        targets.context_effect * m.scale,
        targets.context_effect_sd * m.scale,
        score.hyper.background_sd * m.scale,
        np.full((len(design.drugs), len(genes)), intervention),
        history,
        settings,
        curves.axes,
        None if targets.amplitude_axes is None else targets.amplitude_axes * m.scale,
        curves.deviation_sd * m.scale,
        **small,
        **level_fields(targets.levels, design, curves.between_sd, m.scale),
    )


def _hard_targets(
    score: ShiftScore,
    design: Design,
    error: np.ndarray,
    on: np.ndarray,
    odds: np.ndarray,
    known_targets: np.ndarray | None,
) -> tuple[Targets, Curves]:
    """Targets and values under hard interventions: the value of a hit gene is its mean, on the expression scale."""
    m = score.moments
    value = m.mean[:, :, 0] + m.loc / m.scale  # (K, G) standard deviations from an expression of zero
    curves = fit_dose_curves(value, error, on, design)
    D, G = len(design.drugs), m.n_genes
    known = np.full((D, G), np.nan) if known_targets is None else np.array(known_targets, dtype=float)
    present = np.asarray(design.dose) > 0  # (K, D)
    log_prior = np.zeros((D, G))
    for d in range(D):
        alone = np.flatnonzero(present[:, d] & (present.sum(axis=1) == 1))
        rows = alone if len(alone) else np.flatnonzero(present[:, d])
        log_prior[d] = odds[np.unique(design.unit[rows])].mean(axis=0)
    log_prior = np.where(np.isnan(known), log_prior, np.where(known == 1, 30.0, -30.0))
    return fit_values(value, error, design, curves, log_prior), curves
