"""Structure, targets and effects under activity interventions, alone or beside shifts (layer `_core`; not from the paper).

With ``intervention="auto"`` each drug may shift some genes and change the activity of others; the likelihood weighs the
two kinds. A shift moves one gene's mean; a change of activity moves the slopes and the means of all its children.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from typing import Any, NamedTuple

import numpy as np
from scipy.special import logit

from scgim._core.arrays import as_log_odds, override
from scgim._core.design import Design
from scgim._core.effects import Effects, KindFit, strongest
from scgim._core.fit import Fit, Graph
from scgim._core.kinds.activity import ActiveScore, Activity, Children, child_evidence, estimates
from scgim._core.kinds.base import Kind
from scgim._core.kinds.joint import Choice, LocalForm, drug_choice, local_form
from scgim._core.kinds.off import learn_off
from scgim._core.kinds.shift import Shift
from scgim._core.learn.assemble import assemble, assemble_mechanisms
from scgim._core.learn.order import learn_structure
from scgim._core.moments.moments import Moments
from scgim._core.posterior.curves import Curves, DoseCurves, fit_dose_curves
from scgim._core.posterior.drift import Drift, fit_drift
from scgim._core.posterior.evidence import Evidence
from scgim._core.posterior.levels import Levels
from scgim._core.posterior.odds import Support
from scgim._core.posterior.regulation.regulators import RegulatorFit
from scgim._core.posterior.targets import by_context
from scgim._core.structure.edges import edge_probabilities
from scgim._core.structure.learn_prior import BACKGROUNDS, MOST_TARGETS, evidence_given, learn_prior
from scgim._core.structure.order import OrderSearch, search
from scgim._core.structure.parents import Parents
from scgim._core.structure.prior import FEWEST_GENES, Prior
from scgim._core.structure.score import ShiftScore
from scgim._core.structure.screening import screen
from scgim._core.structure.watch import Watch

SHIFT, ACTIVITY = Shift(), Activity()
N_ROUNDS = 4
START_SD = 0.7  # of psi, before its size is learned
NEVER = -1e3  # log odds
START_BACKGROUND = 0.2  # at first, small drifts of children are not taken for targets


@dataclass
class Part:
    """What is known of one kind of intervention: its prior, dose curves, and posterior."""

    name: str
    curves: Curves
    p_target: float
    background: float = 0.0
    found: KindFit | None = None
    history: list[float] = field(default_factory=list)


class Expected:
    """Expected effects of every drug in its own contexts, ``(L, V)`` each, and their sums ``(K, V)``."""

    def __init__(self, n_contexts: int, n_drugs: int, n_variables: int) -> None:
        self.total = np.zeros((n_contexts, n_variables))
        self.of_drug: list[np.ndarray | None] = [None] * n_drugs

    def set(self, d: int, rows: np.ndarray, effect: np.ndarray) -> None:
        """Exchanges what drug d does in its contexts."""
        self.total[rows] = self.of_others(d, rows) + effect
        self.of_drug[d] = effect

    def of_others(self, d: int, rows: np.ndarray) -> np.ndarray:
        """What the other drugs do in the contexts of drug d, ``(L, V)``."""
        own = self.of_drug[d]
        return self.total[rows] if own is None else self.total[rows] - own


def all_children(
    moments: Moments, design: Design, parents: dict[int, tuple[int, ...]], evidence: Evidence, off: np.ndarray
) -> list[Children]:
    """Evidence of every gene on the activities of its parents, with mechanisms at full activity."""
    return [
        child_evidence(moments, design.group, j, np.array(parents[j], dtype=int), evidence.gene(j), off)
        for j in range(moments.n_genes)
    ]


class ActiveFit:
    """State of the alternation between graph, shifts and activities.

    Parameters
    ----------
    shifts
        Whether drugs may shift genes too; otherwise differences of means that no activity explains are background.
    """

    def __init__(
        self, moments: Moments, design: Design, prior: Prior, *, shifts: bool, background: float | str, known: Any
    ) -> None:
        self.moments, self.design, self.prior = moments, design, prior
        self.shifts, self.background, self.known = shifts, background, known
        D = len(design.drugs)
        flat = Curves(np.zeros(D), np.ones(D), START_SD, 0.2 * START_SD)
        self.activity = Part(ACTIVITY.name, flat, float(prior.p_target[0]))
        self.shift = Part(SHIFT.name, flat, float(prior.p_target[0]))
        shape = (len(moments.n), moments.n_genes)
        self.psi, self.shifted, self.active = np.zeros(shape), np.zeros(shape), np.zeros(shape)
        self.kinds = (self.activity, self.shift)
        self.most = MOST_TARGETS / (1 + shifts)  # activities a drug; beside shifts there are half as many
        self.parents: dict[int, tuple[int, ...]] = {}
        self.off: np.ndarray | None = (
            None  # (G,) standardised expression at which genes do nothing; None before it is learned
        )

    def prior_odds(self) -> tuple[np.ndarray, np.ndarray]:
        """Prior log odds ``(D, 2G)`` of activities, then of shifts, and prior variances ``(2G,)``."""
        G, D = self.moments.n_genes, len(self.design.drugs)
        a, s = self.activity, self.shift.curves
        p = np.append(np.full(G, a.p_target), self.prior.p_target)
        odds = np.tile(logit(p), (D, 1))
        if self.known is not None:
            odds = override(odds, np.tile(self.known, (1, 2)))
        heard = np.zeros(G, dtype=bool)
        heard[[i for pa in self.parents.values() for i in pa]] = True
        odds[:, :G][:, ~heard] = NEVER  # without children there is nothing whose activity could change
        if not self.shifts:
            odds[:, G:] = NEVER
        variance = np.full(2 * G, a.curves.effect_sd**2)
        variance[G:] = s.effect_sd**2 + (0 if self.design.has_dose else s.deviation_sd**2)
        return odds, variance

    def factors(self) -> np.ndarray:
        """Part of the full effect in each context, for activities and shifts, ``(K, D, 2)``."""
        dose = self.design.dose
        return np.stack([self.activity.curves.fraction(dose), self.shift.curves.fraction(dose)], axis=2)

    def forms(self, children: list[Children], edge_sd: float) -> list[LocalForm]:
        """What every gene tells, with the given background of single effects; doses may leave the curve of a target."""
        m, G = self.moments, self.moments.n_genes
        perturbed = (~self.design.control).astype(float)
        most = self.factors().max(axis=1) if len(self.design.drugs) else np.zeros((len(m.n), 2))  # (K, 2)
        off = [k.curves.deviation_sd * self.design.has_dose * most[:, i] for i, k in enumerate(self.kinds)]
        out = []
        for j, child in enumerate(children):
            own = (self.prior.background_sd[j] ** 2 + self.shifted[:, j] * off[1] ** 2) * perturbed
            edges = [(edge_sd**2 + self.active[:, i] * off[0] ** 2) * perturbed for i in child.parents]
            out.append(local_form(child, j, G, np.column_stack([*edges, own])))
        return out

    def choices(
        self, forms: list[LocalForm], expected: Expected
    ) -> Iterator[tuple[int, np.ndarray, np.ndarray, Choice]]:
        """Each drug with its contexts ``(L,)``, part of the full effect there ``(L, 2G)``, and what they tell, given the effects of all."""
        odds, variance = self.prior_odds()
        fractions = self.factors()
        for d in range(len(self.design.drugs)):
            rows = self.design.of(d)
            factor = np.repeat(fractions[rows, d], self.moments.n_genes, axis=1)
            yield d, rows, factor, drug_choice(forms, rows, factor, expected.of_others(d, rows), variance, odds[d])

    def update(self, evidence: Evidence, rng: np.random.Generator) -> None:
        """Posterior of shifts and activities given the graph, their sizes, and the background of effects."""
        m, design, kind = self.moments, self.design, self.activity
        children = self.children(evidence)
        self.update_curves(children, evidence)
        combined = design.combined
        expected = Expected(len(m.n), len(design.drugs), 2 * m.n_genes)
        for _ in range(2):
            forms = self.forms(children, kind.background)
            for _ in range(5 if combined else 1):
                found = [
                    np.zeros((len(design.drugs), 2 * m.n_genes)) for _ in range(3)
                ]  # probability, mean, sd: (D, 2G)
                for d, rows, factor, choice in self.choices(forms, expected):
                    for out, value in zip(found, choice.sample(rng), strict=True):
                        out[d] = value
                    expected.set(d, rows, factor * found[0][d] * found[1][d])
            self.take(*found)
            self.update_prior(forms, found[0][:, : m.n_genes])
            if self.background == "auto":
                kind.background = self.edge_background(children, expected, found[0] > 0.5)

    def children(self, evidence: Evidence) -> list[Children]:
        """What every gene tells of the activities of its parents."""
        return all_children(self.moments, self.design, dict(self.parents), evidence, self.where_off)

    @property
    def controls(self) -> np.ndarray:
        """Means of the controls ``(G,)``, standardised."""
        return self.design.control_mean(self.moments.mean[:, :, 0])

    @property
    def where_off(self) -> np.ndarray:
        """Standardised expression ``(G,)`` at which genes are off: where the controls are, before it is learned."""
        return self.controls if self.off is None else self.off

    def find_off(self, evidence: Evidence) -> None:
        """Where genes are off, given the changes of activity found so far."""
        found = self.moments, self.design.group, self.parents, evidence, self.psi
        self.off = learn_off(*found, self.controls, self.where_off)

    def update_curves(self, children: list[Children], evidence: Evidence) -> None:
        """Dose curves and sizes of both kinds, from estimates given the present interventions."""
        design, kind = self.design, self.activity
        self.shift.curves = fit_dose_curves(evidence.residual, evidence.error, evidence.on(design), design)
        estimate, variance = estimates(children, self.psi, self.shifted, float(self.prior.effect_sd[0]))
        if (self.active > 0.5).any():
            kind.curves = fit_dose_curves(estimate, variance + kind.background**2, self.active > 0.5, design)
            kind.curves.effect_sd = float(np.clip(kind.curves.effect_sd, 0.3, 1.0))  # psi = -1 is full inhibition

    def take(self, probability: np.ndarray, mean: np.ndarray, sd: np.ndarray) -> None:
        """Keeps the posterior ``(D, 2G)`` of both kinds."""
        G, dose = self.moments.n_genes, self.design.dose
        rows = [self.design.of(d) for d in range(len(self.design.drugs))]
        for i, kind in enumerate(self.kinds):
            at, h = slice(i * G, (i + 1) * G), self.factors()[:, :, i]
            pieces = [(h[r, d, None] * mean[d, at], h[r, d, None] * sd[d, at]) for d, r in enumerate(rows)]
            of_drug = Effects(probability[:, at], mean[:, at], sd[:, at])
            of_context = by_context(of_drug.probability, rows, pieces, len(dose))
            kind.found = KindFit.shared(kind.name, of_drug, of_context)
            if kind is self.activity:
                self.active = of_context.probability
                self.psi = np.where(self.active > 0.5, of_context.mean, 0.0)
            else:
                self.shifted = of_context.probability

    def update_prior(self, forms: list[LocalForm], probability: np.ndarray) -> None:
        """Prior of activities, from their probabilities ``(D, G)`` at genes that have children that can tell."""
        G, kind, design = self.moments.n_genes, self.activity, self.design
        told = np.zeros((len(self.moments.n), G))
        for form in forms:
            diagonal = np.einsum("kpp->kp", form.square)
            told[:, form.variables[:-1]] += diagonal[:, :-1]
        seen = np.array([told[design.of(d)].max(axis=0, initial=0.0) for d in range(len(design.drugs))])
        informed = seen > 1 / START_SD**2  # (D, G)
        found = float(probability[informed].sum())
        kind.p_target = float(
            np.clip((found + 1) / (informed.sum() + G / 2), 0.2 / G, self.most / max(G, FEWEST_GENES))
        )

    def edge_background(self, children: list[Children], expected: Expected, on: np.ndarray) -> float:
        """Standard deviation of the change of single effects where no drug acts, by evidence on a grid."""
        values = []
        for omega in BACKGROUNDS:
            forms = self.forms(children, float(omega))
            value = sum(float(f.evidence[~self.design.control].sum()) for f in forms)
            values.append(value + sum(choice.evidence(on[d]) for d, _, _, choice in self.choices(forms, expected)))
        return float(BACKGROUNDS[int(np.argmax(values))])

    def round(self, order: np.ndarray | None, n_kicks: int, rng: np.random.Generator, watch: Watch) -> tuple[Any, ...]:
        """Graph given the activities, then shifts and activities given the graph."""
        m, design = self.moments, self.design
        score = ActiveScore(m, design.drug_set, design.group, self.prior, self.psi, self.where_off)
        allowed = [c[np.isfinite(self.prior.edge_price[c, j])] for j, c in enumerate(screen(score, 40))]
        chooser = Parents(score, allowed)
        state: OrderSearch = search(chooser, rng=rng, order=order, n_kicks=n_kicks, watch=watch)
        self.parents = dict(state.parents)  # the search goes on to draw orders
        for _ in range(2):
            evidence = evidence_given(score, state.parents)
            self.update(evidence, rng)
            self.find_off(evidence)
            score = ActiveScore(m, design.drug_set, design.group, self.prior, self.psi, self.where_off)
        evidence = evidence_given(score, state.parents)
        return score, chooser, state, evidence


def fit_active(
    moments: Moments,
    design: Design,
    prior: Prior,
    *,
    genes: tuple[str, ...],
    kinds: tuple[Kind, ...],
    n_kicks: int,
    background: float | str,
    known_targets: np.ndarray | None,
    rng: np.random.Generator,
    watch: Watch,
) -> Fit:
    """Alternates between the graph on scaled parents and the interventions given the graph.

    Where shifts are weighed too they come first; where they leave no change of activity that is probable, they stand.
    """
    beside_shifts = len(kinds) > 1
    if beside_shifts:
        shifts = learn_structure(moments, design, prior, rng=rng, background=background, n_kicks=n_kicks, watch=watch)
        fit = assemble_shifts(moments, design, shifts, genes, known_targets, background, rng, watch)
        if fit is not None:
            return fit
    run = ActiveFit(moments, design, prior, shifts=beside_shifts, background=background, known=known_targets)
    if background == "auto":
        run.prior = replace(prior, background_sd=np.full(moments.n_genes, START_BACKGROUND))
    order: np.ndarray | None = None
    history: list[dict[str, Any]] = []
    for round_ in range(N_ROUNDS):
        last = round_ == N_ROUNDS - 1
        score, chooser, state, evidence = run.round(order, n_kicks if last else 0, rng, watch)
        order = np.array(state.order)
        history.append({"stage": f"search {round_ + 1}", "score": state.total})
        watch.tell(f"search {round_ + 1}", state.total)
        if watch.over():
            break
        if not last:
            run.prior = learn_prior(score, evidence, background=background)
    mechanisms = assemble_mechanisms(score, state.order, state.parents, evidence)
    mechanisms = replace(mechanisms, off=moments.loc + moments.scale * run.where_off)
    found = combine(run, run.children(evidence))
    return Fit(
        genes=genes,
        drugs=tuple(design.drugs),
        settings=found.settings,
        graph=Graph(mechanisms.strength, edge_probabilities(chooser, state, rng=rng)),
        mechanisms=mechanisms,
        kinds=found.kinds,
        curves=found.curves,
        drift=found.drift,
        support=found.support,
        levels=Levels.of(design, np.zeros(len(genes))),
        history=history,
        regulators=RegulatorFit.none(len(design.drugs), len(genes)),
    ).to_expression(moments.scale)


def assemble_shifts(
    moments: Moments,
    design: Design,
    found: tuple[ShiftScore, Parents, OrderSearch, list[dict[str, Any]]],
    genes: tuple[str, ...],
    known_targets: np.ndarray | None,
    background: float | str,
    rng: np.random.Generator,
    watch: Watch,
) -> Fit | None:
    """The fit by shifts alone, from a learned structure; None where a change of activity is probable beside them.

    Where the search has to end, shifts stand in any case.
    """
    score, chooser, state, history = found
    run = ActiveFit(moments, design, score.prior, shifts=True, background=background, known=known_targets)
    run.parents = dict(state.parents)
    evidence = evidence_given(score, state.parents)
    run.update(evidence, rng)
    if (run.active > 0.5).any() and not watch.over():
        return None
    probability = edge_probabilities(chooser, state, rng=rng)
    fit = assemble(
        score, SHIFT, design, state.order, state.parents, evidence, probability, genes, known_targets, history
    )
    settings = {"p_activity": run.activity.p_target, "activity_background_sd": run.activity.background}
    return replace(fit, settings=fit.settings | settings)


class Combined(NamedTuple):
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


def combine(run: ActiveFit, children: list[Children]) -> Combined:
    """Both kinds; the dose curve of a drug is that of the kind by which it has more targets."""
    activity, shift = run.activity.found, run.shift.found
    if activity is None or shift is None:
        raise RuntimeError("no round was run")
    settings = {
        "p_activity": run.activity.p_target,
        "activity_sd": run.activity.curves.effect_sd,
        "activity_background_sd": run.activity.background,
        "p_target": float(run.prior.p_target[0]),
        "effect_sd": float(run.prior.effect_sd[0]),
    }
    curves, other = run.activity.curves, run.shift.curves
    ec50, hill, kinds = curves.ec50, curves.slope, [activity]
    if run.shifts:
        a, s = activity.of_drug.probability, shift.of_drug.probability
        active = ((a > s) & (a > 0.5)).sum(axis=1) > ((a <= s) & (s > 0.5)).sum(axis=1)  # (D,)
        ec50, hill = np.where(active, ec50, other.ec50), np.where(active, hill, other.slope)
        kinds = [shift, activity]
    probability = strongest([kind.of_context for kind in kinds])[0].probability  # (K, G)
    support = Support.not_compared(as_log_odds(probability), run.design.identified)
    known = DoseCurves.known(ec50, hill, len(children))
    return Combined(tuple(kinds), known, left_over(run, children), support, settings)
