"""Structure, targets and effects under activity interventions, alone or beside shifts (layer `_core`; not from the paper).

With ``intervention="auto"`` each drug may shift some genes and change the activity of others; the likelihood weighs the
two kinds. A shift moves one gene's mean; a change of activity moves the slopes and the means of all its children.
"""

from copy import copy
from dataclasses import replace
from typing import Any, NamedTuple

import numpy as np

from scgim._core.arrays import as_log_odds, log_odds_of_any
from scgim._core.design import Design
from scgim._core.effects import SMALLEST, Effects, KindFit, strongest
from scgim._core.fit import Fit, Graph
from scgim._core.kinds.activity import ActiveScore, Children
from scgim._core.kinds.joint import ACTIVITY
from scgim._core.learn.active_curves import along_curves
from scgim._core.learn.active_fit import N_UPDATES, SHIFT, ActiveFit
from scgim._core.learn.assemble import Structure, assemble, assemble_mechanisms
from scgim._core.learn.base import Task
from scgim._core.learn.order import Searched, learn_structure
from scgim._core.moments.moments import Moments
from scgim._core.posterior.drift import Drift, fit_drift
from scgim._core.posterior.effects.curves import Curves, DoseCurves
from scgim._core.posterior.effects.hill import hill
from scgim._core.posterior.effects.levels import Levels
from scgim._core.posterior.evidence import Evidence
from scgim._core.posterior.odds import Support
from scgim._core.posterior.regulation.regulators import RegulatorFit
from scgim._core.posterior.shifts import linear_effects
from scgim._core.structure.edges import edge_probabilities
from scgim._core.structure.learn_prior import evidence_given, learn_prior
from scgim._core.structure.order import FEW_GENES, OrderSearch
from scgim._core.structure.parents import Parents
from scgim._core.structure.prior import Prior
from scgim._core.structure.score import ShiftScore

N_ROUNDS = 4
N_STRICT = 2  # last rounds, where changes of activity have to raise the score of the graph
N_MORE = 3  # rounds from the order that the search for shifts has found
MOST_BEHIND = 200.0  # nats that a round makes up for: those of benchmarks gained 100 to 300
LEAST_GAIN = 1.0  # nats of a round with other slopes
START_BACKGROUND = 0.2  # at first, small drifts of children are not taken for targets
BY_SHIFTS = "new_dose_weight", "new_dose_error", "new_dose_baseline", "new_group", "new_combination", "combination"
"""Settings that begin so weigh predictions by shifts against simple baselines."""


class Ended(NamedTuple):
    """Where an alternation ended."""

    run: ActiveFit
    score: ActiveScore
    chooser: Parents
    state: OrderSearch
    evidence: Evidence
    history: list[dict[str, Any]]

    @property
    def worth(self) -> float:
        """Score of the graph under its changes of activity, less what these cost: comparable between starts."""
        return float(self.evidence.score.sum()) - self.run.price


def fit_active(task: Task, rng: np.random.Generator) -> Fit:
    """Alternates between the graph on scaled parents and the interventions given the graph.

    Where shifts are weighed too they come first; where they leave no change of activity that is probable, they stand. Graph and
    interventions are found in turn, and where that ends depends on where it begins: small systems begin anew and again from what
    the search for shifts has found. The last round, whose kicks take most of the time, has the better end alone; from where it
    ends interventions are found anew. The end that is worth most is kept, which may be that of the shifts.

    From more than `FEW_GENES` genes on, the order and the interventions that were found are gone on from as soon as a change of
    activity is probable, with the trust in covariances within contexts that was learned beside them
    (`scgim._core.structure.misfit`).
    """
    run = new_run(task)
    if not run.shifts:
        ended = alternate(task, begun_anew(task), None, rng)
        return assemble_active(task, with_other_slopes(task, ended, rng), rng)
    shifts = search_shifts(task, run, rng)
    score, _, state, _ = shifts
    order, trusted = np.array(state.order), score.prior.misfit_cells
    if run.changes and not task.watch.over():  # in large systems alone
        return assemble_active(task, alternate(task, begun_anew(task, run, trusted), order, rng, further=True), rng)
    evidence = evidence_given(score, state.parents)
    beside = weigh_beside_shifts(task, shifts, evidence, rng)
    if not beside.changes or task.watch.over():
        return assemble_shifts(task, shifts, evidence, beside, rng)
    few = task.moments.n_genes <= FEW_GENES
    ends = [alternate(task, begun_anew(task, trusted=trusted), None, rng, whole=not few)]
    if few and not task.watch.over():
        again = new_run(task)
        again.prior = score.prior
        ends.append(alternate(task, again, order, rng, whole=False))
    for go_on in (finished, begun_again) if few else ():
        if not task.watch.over():
            ends.append(go_on(task, max(ends, key=lambda end: end.worth), rng))
    best = max(ends, key=lambda end: end.worth)
    if few and evidence.score.sum() >= best.worth:
        return assemble_shifts(task, shifts, evidence, beside, rng)
    return assemble_active(task, best, rng)


def alternate(
    task: Task,
    run: ActiveFit,
    order: np.ndarray | None,
    rng: np.random.Generator,
    *,
    further: bool = False,
    whole: bool = True,
) -> Ended:
    """Graph and interventions in turn, from an order or from none; all rounds but the last, with its kicks, unless `whole`.

    From an order rounds are fewer, and where the search for shifts is gone on from (`further`) only the last one is thorough.
    In the last two rounds changes of activity have to raise the score of the graph. Before, they do not: under the first graphs a
    true one may not raise it, and the graphs that go with it would never be seen.
    """
    history: list[dict[str, Any]] = []
    n_rounds = N_ROUNDS if order is None else N_MORE
    for round_ in range(n_rounds - (not whole)):
        last = round_ == n_rounds - 1
        kicks, strict = task.kicks if last else 0, run.shifts and round_ >= n_rounds - N_STRICT
        score, chooser, state, evidence = run.round(
            order, kicks, rng, task.watch, thorough=last or not further, strict=strict
        )
        order = np.array(state.order)
        history.append({"stage": f"search {round_ + 1}", "score": state.total})
        task.watch.tell(f"search {round_ + 1}", state.total)
        if task.watch.over():
            break
        if not last:
            run.prior = learn_prior(score, evidence, background=task.background)
    return Ended(run, score, chooser, state, evidence, history)


def finished(task: Task, ended: Ended, rng: np.random.Generator) -> Ended:
    """The last round of an alternation, with kicks."""
    return gone_on(task, ended, ended.run, task.kicks, f"search {len(ended.history) + 1}", rng)


def gone_on(task: Task, ended: Ended, run: ActiveFit, n_kicks: int, stage: str, rng: np.random.Generator) -> Ended:
    """A round of `run` from the graph of an alternation."""
    order = np.array(ended.state.order)
    score, chooser, state, evidence = run.round(order, n_kicks, rng, task.watch, strict=run.shifts)
    task.watch.tell(stage, state.total)
    return Ended(run, score, chooser, state, evidence, [*ended.history, {"stage": stage, "score": state.total}])


def begun_again(task: Task, ended: Ended, rng: np.random.Generator) -> Ended:
    """A round from the graph of an alternation, with changes of activity found anew: others may suit it than on the way.

    Where these are worth far less, no round makes up for it, and the end stays.
    """
    run = new_run(task)
    run.prior, run.parents = ended.run.prior, ended.run.parents
    if run.best_of(run.score_now(), rng, N_UPDATES, strict=True).worth < ended.worth - MOST_BEHIND:
        return ended
    return gone_on(task, ended, run, 0, "search again", rng)


def with_other_slopes(task: Task, ended: Ended, rng: np.random.Generator) -> Ended:
    """Rounds that begin with slopes as the controls have them, or as under the usual drug, while one is worth more.

    Slopes that are somewhat wrong are answered by changes of activity by most drugs, and these by the same slopes.
    """
    for which in range(2):
        run = copy(ended.run)
        if task.watch.over() or not run.count_from_usual(ended.evidence, which):
            continue
        other = gone_on(task, ended, run, 0, f"search {len(ended.history) + 1}", rng)
        if other.worth >= ended.worth + LEAST_GAIN:
            return with_other_slopes(task, other, rng)
    return ended


def assemble_active(task: Task, ended: Ended, rng: np.random.Generator) -> Fit:
    """The fit where an alternation ended."""
    moments, design, genes = task.moments, task.design, task.genes
    run, score, chooser, state, evidence, history = ended
    probability = edge_probabilities(chooser, state, rng=rng)
    if run.shifts:
        return assemble_both(task, ended, probability)
    mechanisms = assemble_mechanisms(score, state.order, state.parents, evidence)
    mechanisms = replace(mechanisms, off=moments.loc + moments.scale * run.where_off)
    found = combine(run, run.children(evidence))
    return Fit(
        genes=genes,
        drugs=tuple(design.drugs),
        settings=found.settings,
        graph=Graph(mechanisms.strength, probability),
        mechanisms=mechanisms,
        kinds=found.kinds,
        curves=found.curves,
        drift=found.drift,
        support=found.support,
        levels=Levels.of(design, np.zeros(len(genes))),
        history=history,
        regulators=RegulatorFit.none(len(design.drugs), len(genes)),
    ).to_expression(moments.scale)


def assemble_both(task: Task, ended: Ended, probability: np.ndarray) -> Fit:
    """Shifts beside changes of activity: with these taken out of the means, shifts are weighed as they are alone.

    Along the alternation one background and certain edges hold. The weights of simple baselines are for shifts alone and left out.
    """
    run, score, _, state, evidence, history = ended
    moments, design, known, children = task.moments, task.design, task.known_targets, run.children(evidence)
    activity = along_curves(run, children)
    if known is not None:  # a target that is known acts by either kind
        known = np.where((known > 0) & (activity.of_drug.probability > 0.5), np.nan, known)
    still = copy(score)
    still.moments = without_activity(score.moments, dict(state.parents), evidence, design)
    evidence = replace(evidence, unsure=unsure_of(run.psi, activity.of_context, children))
    structure = Structure(still, state.order, state.parents, evidence, probability, history)
    fit = assemble(structure, SHIFT, replace(task, known_targets=known))
    either = log_odds_of_any(np.stack([fit.support.log_odds, as_log_odds(activity.of_context.probability)]))
    learned = {name: value for name, value in fit.settings.items() if not name.startswith(BY_SHIFTS)}
    return replace(
        along_one_curve(fit, activity, run.activity.curves, design),
        mechanisms=replace(fit.mechanisms, off=moments.loc + moments.scale * run.where_off),
        support=replace(fit.support, log_odds=either),
        settings=learned | activity_settings(run),
    )


def along_one_curve(fit: Fit, activity: KindFit, curves: Curves, design: Design) -> Fit:
    """Both kinds along one dose curve a drug: that of its shifts, or of changes of activity where no shift is probable.

    An effect b along a curve h becomes ``b h.g / g.g`` along the kept one g, by least squares over the doses of the drug.
    """
    shift, found, drift = fit.kinds[0], fit.curves, fit.drift
    shifts, changes = (np.asarray((kind.of_drug.probability > 0.5).any(axis=1)) for kind in (shift, activity))  # (D,)
    active = changes & ~shifts
    ec50, slope = np.where(active, curves.ec50, found.ec50), np.where(active, curves.slope, found.hill)
    g = hill(design.dose, ec50, slope)  # (K, D)
    by, by_active = (
        ((h * g).sum(axis=0) / np.maximum((g * g).sum(axis=0), SMALLEST))[:, None]
        for h in (hill(design.dose, found.ec50, found.hill), curves.fraction(design.dose))
    )  # (D, 1)
    of_drug = activity.of_drug.scale(by_active)
    of_drug = replace(of_drug, mean=np.clip(of_drug.mean, *ACTIVITY))
    kinds = (scaled(shift, shift.of_drug.scale(by), ~active), scaled(activity, of_drug, active))
    drift = replace(drift, of_drug=drift.of_drug.scale(by))
    if drift.pairs is not None and drift.of_pair is not None:
        drift = replace(drift, of_pair=drift.of_pair.scale(by[drift.pairs[:, 0]]))
    axes = np.where(active[:, None], curves.kept(0).axes, found.axes)
    kept = replace(found, ec50=ec50, hill=slope, axes=axes)
    return replace(fit, kinds=kinds, curves=kept, drift=drift)


def scaled(kind: KindFit, of_drug: Effects, curved: np.ndarray) -> KindFit:
    """With other effects, which move with the curve where it is theirs ``(D,)``."""
    along = kind.along_curve * curved[:, None]
    return replace(
        kind, of_drug=of_drug, at_level=of_drug[:, None], along_curve=along, level_along_curve=along[:, :, None]
    )


def without_activity(
    moments: Moments, parents: dict[int, tuple[int, ...]], evidence: Evidence, design: Design
) -> Moments:
    """Moments whose means are as if no activity had changed: along the graph, from what is left of each gene.

    With baselines b and effects W of genes on each other, ``mean = (b + r) (I - W)^-1``. Means of curves stay.
    """
    if moments.n_functions > 1:
        return moments
    effects = linear_effects(moments, parents, evidence)
    left = evidence.residual + evidence.baseline[design.group]
    mean = np.linalg.solve((np.eye(len(effects)) - effects).T, left.T).T  # (K, G)
    return replace(moments, mean=mean[:, :, None])


def unsure_of(psi: np.ndarray, found: Effects, children: list[Children]) -> np.ndarray:
    """Variance ``(K, G)`` of residual means from which changes of activity psi ``(K, G)`` were taken out, as these are not known.

    A gene i whose activity changes with probability p, by m with standard deviation s, leaves ``(p (s^2 + (m - psi_i)^2) + (1 - p)
    psi_i^2) c_ij^2`` of a child j to which it adds c_ij where it is on.
    """
    p, m, s = found.probability, found.mean, found.sd
    left = p * (s**2 + (m - psi) ** 2) + (1 - p) * psi**2  # (K, G)
    return np.stack([(left[:, child.parents] * child.mean**2).sum(axis=1) for child in children], axis=1)


def begun_anew(task: Task, run: ActiveFit | None = None, trusted: float = np.inf) -> ActiveFit:
    """An alternation with the prior that nothing is learned of yet."""
    run = new_run(task) if run is None else run
    if task.background is None:
        run.prior = replace(task.prior, background_sd=np.full(task.moments.n_genes, START_BACKGROUND))
    run.prior = run.prior.trusting(trusted)
    return run


def new_run(task: Task, prior: Prior | None = None) -> ActiveFit:
    """An alternation that knows of no intervention yet, with the prior of the task by default."""
    given, shifts = (task.moments, task.design, prior or task.prior), len(task.kinds) > 1
    return ActiveFit(*given, shifts=shifts, background=task.background, known=task.known_targets)


def search_shifts(task: Task, run: ActiveFit, rng: np.random.Generator) -> Searched:
    """Structure under shifts alone; in large systems without its last search where `run` then finds a change of activity."""
    many = task.moments.n_genes > FEW_GENES

    def enough(score: ShiftScore, state: OrderSearch) -> bool:
        run.prior, run.parents = score.prior, dict(state.parents)
        run.update(evidence_given(score, state.parents), rng.spawn(1)[0])
        return run.changes

    return learn_structure(
        task.moments,
        task.design,
        task.prior,
        rng=rng,
        background=task.background,
        doubts=many and task.moments.spread is None,
        hidden=False,  # activities are read from cells, out of which causes are not taken
        dense=not many,  # for covariances are trusted
        n_kicks=task.kicks,
        watch=task.watch,
        enough=enough if many else None,
    )


def weigh_beside_shifts(task: Task, found: Searched, evidence: Evidence, rng: np.random.Generator) -> ActiveFit:
    """Changes of activity beside shifts, given the graph that was found for shifts alone."""
    score, _, state, _ = found
    run = new_run(task, score.prior)
    run.parents = dict(state.parents)
    run.update(evidence, rng)
    return run


def assemble_shifts(task: Task, found: Searched, evidence: Evidence, run: ActiveFit, rng: np.random.Generator) -> Fit:
    """The fit by shifts alone, from a learned structure."""
    score, chooser, state, history = found
    probability = edge_probabilities(chooser, state, rng=rng)
    fit = assemble(Structure(score, state.order, state.parents, evidence, probability, history), SHIFT, task)
    settings = {"p_activity": run.activity.p_target, "activity_background_sd": run.activity.background}
    return replace(fit, settings=fit.settings | settings)


def activity_settings(run: ActiveFit) -> dict[str, float]:
    """What was learned of all changes of activity together."""
    return {
        "p_activity": run.activity.p_target,
        "activity_sd": run.activity.curves.effect_sd,
        "activity_background_sd": run.activity.background,
    }


class Alternated(NamedTuple):
    """What the alternation found, in standard deviations of the genes."""

    kinds: tuple[KindFit, ...]
    curves: DoseCurves
    drift: Drift
    support: Support
    settings: dict[str, float]


def left_over(run: ActiveFit, children: list[Children]) -> Drift:
    """What neither kind explains of the mean residuals, as small effects of the drugs and of the contexts.

    The background of single effects takes up differences of means, too, so that genes that are targets have their share.
    """
    design = run.design
    residual = np.stack([c.residual for c in children], axis=1)  # (K, G)
    psi, shift = (
        np.zeros_like(residual) if part.found is None else part.found.of_context.expected
        for part in (run.activity, run.shift)
    )
    for j, child in enumerate(children):
        if len(child.parents):
            residual[:, j] -= (psi[:, child.parents] * child.mean).sum(axis=1)
    error = np.stack([c.sampling for c in children], axis=1)
    fraction = run.factors().max(axis=2)  # (K, D)
    nobody = np.zeros((len(design.drugs), len(children)))
    return replace(fit_drift(residual - shift, error, design, fraction, nobody), background_sd=run.prior.background_sd)


def combine(run: ActiveFit, children: list[Children]) -> Alternated:
    """Both kinds; the dose curve of a drug is that of the kind by which it has more targets."""
    activity, shift = along_curves(run, children), run.shift.found
    of_prior = {"p_target": float(run.prior.p_target[0]), "effect_sd": float(run.prior.effect_sd.min())}
    curves, other = run.activity.curves, run.shift.curves
    kept, kinds = curves.kept(0), [activity]
    if shift is not None and run.shifts:
        a, s = activity.of_drug.probability, shift.of_drug.probability
        active = ((a > s) & (a > 0.5)).sum(axis=1) > ((a <= s) & (s > 0.5)).sum(axis=1)  # (D,)
        ec50, slope = np.where(active, curves.ec50, other.ec50), np.where(active, curves.slope, other.slope)
        kept, kinds = replace(kept, ec50=ec50, hill=slope, axes=kept.axes * active[:, None]), [shift, activity]
    probability = strongest([kind.of_context for kind in kinds])[0].probability  # (K, G)
    support = Support.not_compared(as_log_odds(probability), run.design.identified)
    kept = replace(kept, deviation_sd=np.zeros(len(children)))
    return Alternated(tuple(kinds), kept, left_over(run, children), support, activity_settings(run) | of_prior)
