"""From a learned structure to a fit on the expression scale (layer `_core`)."""

from dataclasses import replace
from functools import partial
from typing import Any, NamedTuple

import numpy as np

from scgim._core.fit import Fit, Graph
from scgim._core.kinds import ScoredKind
from scgim._core.learn.base import Task
from scgim._core.mechanisms.additive import Mechanisms, from_standardised
from scgim._core.mechanisms.total import total_effects
from scgim._core.moments.moments import Moments
from scgim._core.posterior.effects.curves import Curves
from scgim._core.posterior.effects.levels import Levels
from scgim._core.posterior.evidence import Evidence
from scgim._core.posterior.regulation.edges import weigh_edges
from scgim._core.posterior.regulation.network import Network
from scgim._core.posterior.regulation.regulators import RegulatorFit
from scgim._core.posterior.shifts import find_shifts, linear_effects
from scgim._core.structure.prior import Prior
from scgim._core.structure.score import ShiftScore

MEDIAN_SQUARE = 0.455  # of a standard normal


def assemble_mechanisms(
    score: ShiftScore, order: list[int], parents: dict[int, tuple[int, ...]], evidence: Evidence
) -> Mechanisms:
    """Mechanisms on the expression scale; what hidden causes do to the cells of a context is noise here.

    So is noise of measurement, as far as what is passed on of it leaves room: variances of cells are those that are
    seen.
    """
    m = score.moments
    noise = evidence.noise if m.hidden is None else evidence.noise + m.hidden.variance
    if m.measured is not None:
        total = total_effects(linear_effects(m, parents, evidence))
        noise = np.maximum(np.linalg.solve((total**2).T, np.diag(m.within) + m.measured), noise)
    return from_standardised(
        m.mechanism,
        np.array(order),
        [np.array(parents[j], dtype=int) for j in range(m.n_genes)],
        [coef.reshape(-1, m.n_functions) for coef in evidence.coef],
        evidence.baseline,
        noise,
        m.loc,
        m.scale,
        m.slope,
        m.within,
    )


def offset_variance(offset: np.ndarray, moments: Moments) -> np.ndarray:
    """Variance ``(K, G)`` of offsets of plates in residual means, relative to that of cells the same for all genes.

    By the median of their squares, for those of targets are known least, and what is not known of them.
    """
    if moments.plates is None:
        return np.zeros(offset.shape)
    has, variance = moments.plates.left > 0, np.diag(moments.within)[:: moments.n_functions]  # (K,), (G,)
    share = np.median(offset[has] ** 2 / variance) / MEDIAN_SQUARE + moments.plates.left[has].mean()
    return np.asarray(has[:, None] * share * variance)


def learned_prior(prior: Prior, curves: Curves) -> dict[str, float]:
    """What was learned of all drugs together, for the settings of a fit; in standard deviations of the genes."""
    return {
        "p_target": float(prior.p_target[0]),
        "effect_sd": float(prior.effect_sd.min()),  # of most genes; larger where `learn_prior.wider` says so
        "curve_effect_sd": curves.effect_sd,
        "curve_deviation_sd": curves.deviation_sd,
    }


def given_back(evidence: Evidence, moments: Moments, effects: np.ndarray) -> Evidence:
    """Evidence that knows the effects of genes on each other ``(G, G)``, and what hidden causes and plates add to residual means."""
    evidence = replace(evidence, effects=effects)
    if moments.hidden is not None:
        evidence = replace(evidence, hidden=moments.hidden.residual(effects))
    if moments.plates is not None:
        offset = moments.plates.offset @ (np.eye(moments.n_genes) - effects)
        evidence = replace(evidence, offset=offset, offset2=offset_variance(offset, moments))
    return evidence


class Structure(NamedTuple):
    """A learned structure, and what it leaves of every gene."""

    score: ShiftScore  # that it was learned with
    order: list[int]
    parents: dict[int, tuple[int, ...]]
    evidence: Evidence
    edge_probability: np.ndarray  # (G, G)
    history: list[dict[str, Any]]  # of the search


def assemble(structure: Structure, kind: ScoredKind, task: Task, *, network: Network | None = None) -> Fit:
    """Posterior of targets and effects of one kind, beside regulators of a network, and everything on the expression scale."""
    score, order, parents, evidence, edge_probability, history = structure
    design, genes, m = task.design, task.genes, score.moments
    effects = linear_effects(m, parents, evidence)
    evidence = given_back(evidence, m, effects)
    own = m.mean[:, :, 0] + m.loc / m.scale  # (K, G)
    network = None if network is None else weigh_edges(network, m, effects)
    found = m, design, parents, evidence, edge_probability
    shifts = partial(find_shifts, *found, network=network, cells=score.within_dof)
    learned = kind.posterior(evidence, own, design, score.prior, task.known_targets, shifts)
    if learned.baseline is not None:
        evidence = replace(evidence, baseline=evidence.baseline + learned.baseline)
    taken_out = {} if m.plates is None else {"plate_sd": m.plates.sd}
    if m.responses is not None:
        taken_out["response_spread"] = float(m.responses.spread[~design.control].mean())
    mechanisms = assemble_mechanisms(score, order, parents, evidence)
    return Fit(
        genes=genes,
        drugs=tuple(design.drugs),
        settings=learned_prior(score.prior, learned.curves) | dict(learned.settings) | taken_out,
        graph=Graph(mechanisms.strength, edge_probability),
        mechanisms=mechanisms,
        kinds=(learned.kind,),
        curves=learned.curves.kept(len(genes)),
        drift=learned.drift,
        levels=Levels.of(design, np.full(len(genes), learned.curves.between_sd)),
        history=history,
        support=learned.support,
        regulators=learned.regulators or RegulatorFit.none(len(design.drugs), len(genes)),
    ).to_expression(m.scale)
