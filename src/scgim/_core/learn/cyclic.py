"""Fits of linear systems with cycles (layer `_core`; not from the paper)."""

from __future__ import annotations

from dataclasses import replace
from typing import cast

import numpy as np
from scipy.special import expit

from scgim._core.fit import Fit
from scgim._core.kinds.shift import Shift
from scgim._core.learn.assemble import Structure, assemble
from scgim._core.learn.base import Task
from scgim._core.learn.order import learn_structure
from scgim._core.mechanisms.additive import Mechanisms
from scgim._core.structure.cycles.cyclic import CyclicScore, CyclicSearch
from scgim._core.structure.learn_prior import evidence_given, learn_prior
from scgim._core.structure.screening import screen

N_STARTS = 5
"""Starts that must bring nothing before the search stops, under the first prior."""


def causal_order(parents: dict[int, tuple[int, ...]]) -> tuple[list[int], bool]:
    """Genes, causes first as far as cycles allow, and whether there is a cycle."""
    left, out, cyclic = list(parents), [], False
    while left:
        waiting = [len(set(parents[g]) & set(left)) for g in left]
        cyclic |= min(waiting) > 0
        out.append(left.pop(int(np.argmin(waiting))))
    return out, cyclic


def edge_probabilities(search: CyclicSearch) -> np.ndarray:
    """Probability of every edge given all others, ``(G, G)``; zero for genes that are no candidates."""
    out = np.zeros_like(search.weight)
    search._look()
    for j, now in search.parents.items():
        base = search._values(j, [now])[0]
        new = [int(i) for i in search.candidates[j] if i not in now and i != j]
        if new:
            added = search._values(j, [(*now, i) for i in new])
            out[new, j] = expit(added - base)
        for i in now:
            without = search._values(j, [tuple(p for p in now if p != i)])[0]
            out[i, j] = expit(base - without)
    return out


def fit_cyclic(task: Task, rng: np.random.Generator) -> Fit:
    """Starts from the order search, then lets cycles in wherever the likelihood pays for them.

    For linear mechanisms and shift interventions.
    """
    moments, design, prior, genes, watch = task.moments, task.design, task.prior, task.genes, task.watch
    plain, _, state, history = learn_structure(
        moments, design, prior, rng=rng, background=task.background, n_kicks=task.kicks, watch=watch
    )
    candidates = [c[np.isfinite(prior.edge_price[c, j])] for j, c in enumerate(screen(plain, 40))]
    sparse = np.minimum(plain.prior.p_target, 1.0 / len(genes))  # without cycles, feedback looks like targets
    prior, parents = replace(plain.prior, p_target=sparse), dict(state.parents)
    for round_ in range(3):
        score = CyclicScore(moments, design.drug_set, design.group, prior)
        search = CyclicSearch(score, candidates, parents, watch)
        total = search.search(rng, 0 if round_ else N_STARTS)
        parents = search.parents
        history.append({"stage": f"cycles {round_ + 1}", "score": total})
        watch.tell(f"cycles {round_ + 1}", total)
        if watch.over():
            break
        if round_ < 2:
            prior = learn_prior(score, evidence_given(score, parents), background=task.background)
    order, cyclic = causal_order(parents)
    evidence = evidence_given(score, parents)
    probability = edge_probabilities(search)
    fit = assemble(Structure(score, order, parents, evidence, probability, history), Shift(), task)
    return replace(
        fit,
        mechanisms=replace(cast("Mechanisms", fit.mechanisms), cyclic=cyclic),  # those of moments
        settings={**fit.settings, "structure": "cyclic", "cyclic": cyclic},
    )
