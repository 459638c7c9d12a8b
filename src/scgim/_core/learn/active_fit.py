"""State of the alternation between graph, shifts and activities (layer `_core`; not from the paper)."""

from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from typing import Any, NamedTuple

import numpy as np
from scipy.special import logit

from scgim._core.arrays import override
from scgim._core.design import Design
from scgim._core.effects import Effects, KindFit
from scgim._core.kinds.activity import ActiveScore, Activity, Children, child_evidence, estimates
from scgim._core.kinds.compiled.joint import evidence as evidence_of
from scgim._core.kinds.joint import ACTIVITY as BOUNDS
from scgim._core.kinds.joint import DrugChoice, LocalForm, drug_choice, local_form, log_mass, packed
from scgim._core.kinds.off import learn_off
from scgim._core.kinds.shift import Shift
from scgim._core.kinds.worth import ActivityChange, worth
from scgim._core.moments.moments import Moments
from scgim._core.posterior.effects.curves import Curves, fit_dose_curves
from scgim._core.posterior.effects.targets import by_context
from scgim._core.posterior.evidence import Evidence
from scgim._core.structure.learn_prior import BACKGROUNDS, MOST_TARGETS, evidence_given
from scgim._core.structure.order import FEW_GENES, OrderSearch, search
from scgim._core.structure.parents import Parents
from scgim._core.structure.prior import FEWEST_GENES, Prior
from scgim._core.structure.screening import screen
from scgim._core.structure.watch import Watch

SHIFT, ACTIVITY = Shift(), Activity()
START_SD = 0.7  # of psi, before its size is learned
NEARLY_FULL = (0.25, 4.0)  # ec50 relative to an only dose, and slope: changes there have the bounds of full ones
SURE = 3.0  # standard deviations from none of a change in the controls
NO_CHANGE = 0.2  # of activity from the usual one, at first
NEVER = -1e3  # log odds
N_PASSES, MOST_PASSES = 2, 4  # over the drugs in an update; more than two where activities were given up
FOUND = ("activity", "shift", "kinds", "psi", "shifted", "active", "price", "off")
"""State of the interventions, without what is the same in all updates."""
N_UPDATES = 2  # of interventions and of where genes are off in turn, after a thorough search


@dataclass
class KindState:
    """What is known of one kind of intervention: its prior, dose curves, and posterior."""

    name: str
    curves: Curves
    p_target: float
    background: float = 0.0
    found: KindFit | None = None
    history: list[float] = field(default_factory=list)


class End(NamedTuple):
    """Interventions given a graph: the score under these, what it leaves, their state, and what they are worth."""

    score: ActiveScore
    evidence: Evidence
    state: dict[str, Any]
    worth: float


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
        self, moments: Moments, design: Design, prior: Prior, *, shifts: bool, background: float | None, known: Any
    ) -> None:
        self.moments, self.design, self.prior = moments, design, prior
        self.shifts, self.background, self.known = shifts, background, known
        D = len(design.drugs)
        self.rows = [design.of(d) for d in range(D)]  # (L,) contexts of each drug
        self._factors: tuple[Curves, Curves, np.ndarray] | None = None  # of these curves
        flat = Curves(np.zeros(D), np.ones(D), START_SD, 0.2 * START_SD)
        self.activity = KindState(ACTIVITY.name, flat, float(prior.p_target[0]))
        self.shift = KindState(SHIFT.name, flat, float(prior.p_target[0]))
        shape = (len(moments.n), moments.n_genes)
        self.psi, self.shifted, self.active = np.zeros(shape), np.zeros(shape), np.zeros(shape)
        self.kinds = (self.activity, self.shift)
        self.most = MOST_TARGETS / (1 + shifts)  # activities a drug; beside shifts there are half as many
        self.parents: dict[int, tuple[int, ...]] = {}
        self.refused = np.zeros((D, moments.n_genes), dtype=bool)  # activities that were given up, see `settle`
        self.price = 0.0  # of all probable changes of activity
        self.off: np.ndarray | None = None  # (G,), standardised; None before it is learned
        none = np.zeros((D, 2 * moments.n_genes))
        self.take(none, none, np.full(none.shape, START_SD))  # which may be what is worth most

    def prior_odds(self, known: Any) -> tuple[np.ndarray, np.ndarray]:
        """Prior log odds ``(D, 2G)`` of activities, then of shifts, and prior variances ``(2G,)``, with these known targets or None."""
        G, D = self.moments.n_genes, len(self.design.drugs)
        a, s = self.activity, self.shift.curves
        p = np.append(np.full(G, a.p_target), self.prior.p_target)
        odds = np.tile(logit(p), (D, 1))
        if known is not None:
            odds = override(odds, np.tile(known, (1, 2)))
        heard = np.zeros(G, dtype=bool)
        heard[[i for pa in self.parents.values() for i in pa]] = True
        odds[:, :G][:, ~heard] = NEVER  # without children there is nothing whose activity could change
        odds[:, :G][self.refused] = NEVER
        if not self.shifts:
            odds[:, G:] = NEVER
        variance = np.full(2 * G, a.curves.effect_sd**2)
        variance[G:] = s.effect_sd**2 + (0 if self.design.has_dose else s.deviation_sd**2)
        return odds, variance

    def factors(self) -> np.ndarray:
        """Part of the full effect in each context, for activities and shifts, ``(K, D, 2)``."""
        dose, a, s = self.design.dose, self.activity.curves, self.shift.curves
        if self._factors is None or self._factors[0] is not a or self._factors[1] is not s:
            self._factors = a, s, np.stack([a.fraction(dose), s.fraction(dose)], axis=2)
        return self._factors[2]

    def forms(self, children: list[Children], edge_sd: float) -> list[LocalForm]:
        """What every gene tells, with the given background of single effects; doses may leave the curve of a target."""
        m, perturbed = self.moments, (~self.design.control).astype(float)[:, None]  # (K, 1)
        most = self.factors().max(axis=1) if len(self.design.drugs) else np.zeros((len(m.n), 2))  # (K, 2)
        off = [k.curves.deviation_sd * self.design.has_dose * most[:, i] for i, k in enumerate(self.kinds)]
        edges = (edge_sd**2 + self.active * off[0][:, None] ** 2) * perturbed  # (K, G)
        own = (self.prior.background_sd**2 + self.shifted * off[1][:, None] ** 2) * perturbed
        return [local_form(child, j, edges, own) for j, child in enumerate(children)]

    def choices(
        self, forms: list[LocalForm], expected: Expected, which: np.ndarray | None = None
    ) -> Iterator[tuple[int, np.ndarray, np.ndarray, DrugChoice]]:
        """Drugs, or `which` of them, with their contexts ``(L,)``, part of the full effect there ``(L, 2G)``, and what they tell.

        Given the effects of all.
        """
        odds, variance = self.prior_odds(self.known)
        fractions, G = self.factors(), self.moments.n_genes
        whole, told = log_mass(np.zeros(G), variance[:G], *BOUNDS), packed(forms)
        for d in range(len(self.rows)) if which is None else which.tolist():
            rows = self.rows[d]
            factor, others = np.repeat(fractions[rows, d], G, axis=1), expected.of_others(d, rows)
            yield d, rows, factor, drug_choice(told, rows, factor, others, variance, odds[d], whole)

    def update(self, evidence: Evidence, rng: np.random.Generator, *, strict: bool = False) -> None:
        """Posterior of shifts and activities given the graph, their sizes, and the background of effects."""
        m, design, kind = self.moments, self.design, self.activity
        children = self.children(evidence)
        self.update_curves(children, evidence)
        combined = design.combined
        expected = Expected(len(m.n), len(design.drugs), 2 * m.n_genes)
        self.refused[:] = False
        told: dict[float, list[LocalForm]] = {}
        for pass_ in range(MOST_PASSES):
            forms = told.pop(kind.background, None) or self.forms(children, kind.background)
            for _ in range(5 if combined else 1):
                found = [
                    np.zeros((len(design.drugs), 2 * m.n_genes)) for _ in range(3)
                ]  # probability, mean, sd: (D, 2G)
                for d, rows, factor, choice in self.choices(forms, expected):
                    for out, value in zip(found, choice.sample(rng), strict=True):
                        out[d] = value
                    expected.set(d, rows, factor * found[0][d] * found[1][d])
            again = self.settle(*found, strict=strict)
            self.take(*found)
            self.update_prior(forms, found[0][:, : m.n_genes])
            if self.background is None:
                kind.background = self.edge_background(children, expected, found[0] > 0.5, told)
            if pass_ + 1 >= N_PASSES and not again:
                break

    def probable(
        self, probability: np.ndarray, mean: np.ndarray, sd: np.ndarray
    ) -> tuple[np.ndarray, list[ActivityChange]]:
        """Drug and gene ``(C, 2)`` of changes of activity that are more probable than none, by the posterior ``(D, 2G)``, and these.

        That a target is known does not say by which kind, so that it makes neither cheaper.
        """
        G, fraction = self.moments.n_genes, self.factors()[:, :, 0]  # (K, D)
        odds, variance = self.prior_odds(None)
        at, changes = np.argwhere(probability[:, :G] > 0.5), []
        for d, i in at.tolist():
            rows = self.rows[d]
            occam = np.log(sd[d, i] / np.sqrt(variance[i])) - 0.5 * mean[d, i] ** 2 / variance[i]
            changes.append(ActivityChange(i, rows, fraction[rows, d] * mean[d, i], -float(odds[d, i] + occam)))
        return at, changes

    def settle(self, probability: np.ndarray, mean: np.ndarray, sd: np.ndarray, *, strict: bool) -> bool:
        """Adds up what changes of activity cost; where `strict`, gives up those that the score of the graph does not pay for.

        Of the posterior ``(D, 2G)``, whose probabilities of these become zero, in place. Returns whether any was given up.
        """
        at, changes = self.probable(probability, mean, sd)
        taken = np.ones(len(changes), dtype=bool)
        if strict and changes:
            score = ActiveScore(self.moments, self.design.drug_set, self.design.group, self.prior)
            taken = worth(score, self.where_off, self.parents, changes)
        self.price = float(sum(change.price for change, kept in zip(changes, taken, strict=True) if kept))
        refused = at[~taken]
        self.refused[refused[:, 0], refused[:, 1]] = True
        probability[refused[:, 0], refused[:, 1]] = 0.0
        return bool(len(refused))

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

    @property
    def changes(self) -> bool:
        """Whether some change of activity is more probable than none."""
        return bool((self.active > 0.5).any())

    def count_from_usual(self, evidence: Evidence, which: int) -> bool:
        """Counts changes from usual ones, so that slopes are those under these; small changes are given up.

        Usual ones are those of the controls, where there are none, or the medians over the drugs (`which` is 0 or 1). Returns
        whether there are any.
        """
        control = self.design.control
        usual = np.median(self.psi[~control], axis=0)  # (G,)
        if which == 0:
            estimate, variance = estimates(self.children(evidence), self.psi, self.shifted, self.prior.effect_sd)
            known = (1 / variance[control]).sum(axis=0)
            mean = (estimate / variance)[control].sum(axis=0) / known
            usual = np.where((mean**2 * known > SURE**2) & self.psi.any(axis=0), mean, 0.0)
        at = (usual != 0) & ~control[:, None]
        psi = np.where(at, (1 + self.psi) / np.maximum(1 + usual, NO_CHANGE) - 1, self.psi)
        self.psi = np.clip(np.where(at & (np.abs(psi) < NO_CHANGE), 0.0, psi), *BOUNDS)
        self.active = np.where(at, self.psi != 0, self.active)
        return bool(usual.any())

    def find_off(self, evidence: Evidence) -> None:
        """Where genes are off, given the changes of activity found so far."""
        found = self.moments, self.design.group, self.parents, evidence, self.psi
        self.off = learn_off(*found, self.controls, self.where_off)

    def update_curves(self, children: list[Children], evidence: Evidence) -> None:
        """Dose curves and sizes of both kinds, from estimates given the present interventions."""
        design, kind = self.design, self.activity
        self.shift.curves = fit_dose_curves(evidence.residual, evidence.error, evidence.on(design), design)
        estimate, variance = estimates(children, self.psi, self.shifted, self.prior.effect_sd)
        if (self.active > 0.5).any():
            known = estimate, variance + kind.background**2, self.active > 0.5
            kind.curves = fit_dose_curves(*known, design, one_dose=NEARLY_FULL)
            kind.curves.effect_sd = float(np.clip(kind.curves.effect_sd, 0.3, 1.0))  # psi = -1 is full inhibition

    def take(self, probability: np.ndarray, mean: np.ndarray, sd: np.ndarray) -> None:
        """Keeps the posterior ``(D, 2G)`` of both kinds."""
        G, dose = self.moments.n_genes, self.design.dose
        rows = self.rows
        for i, kind in enumerate(self.kinds):
            at, h = slice(i * G, (i + 1) * G), self.factors()[:, :, i]
            pieces = [(h[r, d, None] * mean[d, at], h[r, d, None] * sd[d, at]) for d, r in enumerate(rows)]
            of_drug = Effects(probability[:, at], mean[:, at], sd[:, at])
            together = (ACTIVITY if kind is self.activity else SHIFT).together
            of_context = by_context(of_drug.probability, rows, pieces, len(dose), together)
            kind.found = KindFit.shared(kind.name, of_drug, of_context)
            if kind is self.activity:
                self.active = of_context.probability
                self.psi = np.where(self.active > 0.5, of_context.mean, 0.0)
            else:
                self.shifted = of_context.probability

    def update_prior(self, forms: list[LocalForm], probability: np.ndarray) -> None:
        """Prior of activities, from their probabilities ``(D, G)`` at genes that have children that can tell."""
        G, kind = self.moments.n_genes, self.activity
        told = np.zeros((len(self.moments.n), G))
        for form in forms:
            diagonal = np.einsum("kpp->kp", form.square)
            told[:, form.variables[:-1]] += diagonal[:, :-1]
        seen = np.array([told[rows].max(axis=0, initial=0.0) for rows in self.rows])
        informed = seen > 1 / START_SD**2  # (D, G)
        found = float(probability[informed].sum())
        kind.p_target = float(
            np.clip((found + 1) / (informed.sum() + G / 2), 0.2 / G, self.most / max(G, FEWEST_GENES))
        )

    def edge_background(
        self, children: list[Children], expected: Expected, on: np.ndarray, told: dict[float, list[LocalForm]]
    ) -> float:
        """Standard deviation of the change of single effects where no drug acts, by evidence.

        On a grid, upwards from the present value while the evidence rises, and else downwards. `told` keeps what genes
        tell with the best.
        """
        known: dict[int, float] = {}
        chosen = np.flatnonzero(on.any(axis=1))  # other drugs add nothing to the evidence

        def evidence(at: int) -> float:
            if at not in known:
                forms = self.forms(children, float(BACKGROUNDS[at]))
                value = sum(float(f.evidence[~self.design.control].sum()) for f in forms)
                drugs = self.choices(forms, expected, chosen)
                known[at] = value + sum(evidence_of(on[d], choice.arrays()) for d, _, _, choice in drugs)
                if known[at] >= max(known.values()):
                    told.clear()
                    told[float(BACKGROUNDS[at])] = forms
            return known[at]

        best = int(np.abs(BACKGROUNDS - self.activity.background).argmin())
        for step in (1, -1):
            while 0 <= best + step < len(BACKGROUNDS) and evidence(best + step) > evidence(best):
                best += step
        return float(BACKGROUNDS[best])

    def round(
        self,
        order: np.ndarray | None,
        n_kicks: int,
        rng: np.random.Generator,
        watch: Watch,
        *,
        thorough: bool = True,
        strict: bool = False,
    ) -> tuple[Any, ...]:
        """Graph given the activities, then shifts and activities given the graph."""
        score = self.score_now()
        allowed = [c[np.isfinite(self.prior.edge_price[c, j])] for j, c in enumerate(screen(score, 40))]
        chooser = Parents(score, allowed)
        dense = self.shifts and self.moments.n_genes <= FEW_GENES  # where covariances are trusted
        state: OrderSearch = search(
            chooser, rng=rng, order=order, n_kicks=n_kicks, thorough=thorough, dense=dense, watch=watch
        )
        self.parents = dict(state.parents)  # the search goes on to draw orders
        best = self.best_of(score, rng, N_UPDATES if thorough else 1, strict=strict)
        return best.score, chooser, state, best.evidence

    def score_now(self) -> ActiveScore:
        """Score of graphs under the present changes of activity."""
        m, design = self.moments, self.design
        return ActiveScore(m, design.drug_set, design.group, self.prior, self.psi, self.where_off)

    def best_of(self, score: ActiveScore, rng: np.random.Generator, n_updates: int, *, strict: bool) -> End:
        """Updates of the interventions: the last of them, or where `strict` the best, which may be what stood before."""
        ends = [self.end(score)]
        for _ in range(n_updates):
            self.update(ends[-1].evidence, rng, strict=strict)
            self.find_off(ends[-1].evidence)
            ends.append(self.end(self.score_now()))
        best = max(ends, key=lambda end: end.worth) if strict else ends[-1]
        vars(self).update(best.state)
        return best

    def end(self, score: ActiveScore) -> End:
        """The present interventions, with a score under these."""
        evidence = evidence_given(score, self.parents)
        state = {name: getattr(self, name) for name in FOUND}
        self.activity, self.shift = replace(self.activity), replace(self.shift)  # which updates change in place
        self.kinds = (self.activity, self.shift)
        return End(score, evidence, state, float(evidence.score.sum()) - self.price)
