"""Structure, targets and effects by exact score and order search: which learner does what (layer `_core`; not from the paper)."""

from __future__ import annotations

from typing import Any

import numpy as np

from scgim._core.design import Design
from scgim._core.learn.alternate import fit_active
from scgim._core.learn.assemble import assemble
from scgim._core.learn.cyclic import fit_cyclic
from scgim._core.learn.fit import Fit
from scgim._core.learn.order import Progress, learn_structure
from scgim._core.moments.moments import Moments
from scgim._core.structure.edges import edge_probabilities
from scgim._core.structure.learn_prior import evidence_given
from scgim._core.structure.prior import Prior


def fit_search(
    moments: Moments,
    design: Design,
    *,
    genes: tuple[str, ...] | list[str],
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
        Of the cells; those of the functions of linear or additive mechanisms.
    design
        Drugs and doses of the contexts; with levels of a covariate, effects of shifts and hard interventions may differ
        between these.
    genes
        Names of the G genes.
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
    prior = Prior.default(G, graph_prior)
    kicks = (20 if G <= 50 else 3 if G <= 150 else 1) if n_kicks is None else n_kicks
    shared: dict[str, Any] = {"n_kicks": kicks, "background": background, "rng": rng, "progress": progress}
    named: dict[str, Any] = {"genes": tuple(genes), "known_targets": known_targets}
    if intervention in ("activity", "auto"):
        return fit_active(moments, design, prior, intervention=intervention, **named, **shared)
    if cyclic:
        return fit_cyclic(moments, design, prior, **named, **shared)
    score, chooser, state, history = learn_structure(moments, design, prior, intervention=intervention, **shared)
    evidence = evidence_given(score, state.parents)
    probability = edge_probabilities(chooser, state, rng=rng)
    return assemble(
        score,
        design,
        state.order,
        state.parents,
        evidence,
        probability,
        tuple(genes),
        intervention,
        known_targets,
        history,
    )
