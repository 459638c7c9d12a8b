"""Interventions and cells of requested perturbations (layer `model`).

A fitted context keeps its own posterior. Otherwise the drugs of a row superpose: a known drug follows its dose curve, an
unknown one is read from its features. Each predicted cell gets its own draw of targets and effects from the posterior.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from functools import cached_property, partial
from typing import TYPE_CHECKING, Any, cast

import numpy as np

from scgim._core.kinds.cells import Atomic, mean_cells, propagate, sample_cells
from scgim._core.learn.fit import Fit
from scgim._core.observation import Gaussian, Observation
from scgim._core.posterior.hill import hill
from scgim.model._prediction.components import KINDS, Components, Posterior, compose, key_of, nothing
from scgim.model._prediction.request import Request
from scgim.model._published.maps import AmortisedMaps

if TYPE_CHECKING:
    from scgim.model._study.features import Features
    from scgim.model._study.study import Study

BLOCK_VALUES = 2_000_000
"""Values of predicted expression held at once."""
SMALLEST_PROBABILITY = 1e-4
"""Targets less probable than this do not enter means of observed data."""
MEAN_DRAWS = 256
"""Cells averaged where the mean has no closed form."""


@dataclass
class Predictor:
    """Prediction from a fit, without the data and without a torch module.

    Attributes
    ----------
    fit
        The fitted model.
    data
        What was registered.
    feature_model
        Map from features to interventions, or None.
    observation
        From the causal layer to the data.
    """

    fit: Fit
    data: Study
    feature_model: Any = None
    observation: Observation = field(default_factory=Gaussian)
    _kinds: np.ndarray = field(init=False)

    def __post_init__(self) -> None:
        kind = np.asarray(self.fit.kind, dtype=str)
        self._kinds = np.zeros(kind.shape, np.int8)
        for code, name in enumerate(KINDS):
            self._kinds[kind == name] = code

    @property
    def n_genes(self) -> int:
        """Number of genes G."""
        return len(self.fit.genes)

    @cached_property
    def _fitted(self) -> dict[tuple, np.ndarray]:
        """Contexts of each combination of drugs and doses."""
        table: dict[tuple, list[int]] = {}
        for k, dose in enumerate(self.data.design.dose):
            table.setdefault(key_of(dose), []).append(k)
        return {key: np.array(ks) for key, ks in table.items()}

    def _context(self, key: tuple, group: np.ndarray) -> tuple[np.ndarray, ...] | None:
        """Posterior of a fitted context; that of the row's group, else over the groups in which it was measured.

        None where it was not measured, at the row's level if effects differ between levels.
        """
        contexts = self._fitted.get(key)
        if contexts is not None and self.fit.by_level:
            level = self._level(group)
            contexts = contexts[self._levels[self.data.design.group[contexts]] == level]
        if contexts is None or len(contexts) == 0:
            return None
        own = contexts[group[self.data.design.group[contexts]] > 0]
        contexts = own if len(own) else contexts
        sd = self.fit.context_effect_sd[contexts]
        weight = 1 / (sd**2 + 1e-12)
        total = weight.sum(axis=0)
        effect = (weight * self.fit.context_effect[contexts]).sum(axis=0) / total
        drugs = [d for d, _ in key]
        kind = self._kinds[drugs][self.fit.probability[drugs].argmax(axis=0), np.arange(self.n_genes)]
        probability = self.fit.context_probability[contexts].mean(axis=0)
        if self.fit.own_probability is not None:
            probability = 1 - np.prod(1 - self.fit.own_probability[drugs], axis=0)
        return probability, effect, np.sqrt(1 / total), kind

    @property
    def _between(self) -> np.ndarray:
        """Standard deviation ``(G,)`` of full effects between levels, 0 where they do not differ."""
        return np.zeros(self.n_genes) if self.fit.between_sd is None else self.fit.between_sd

    @cached_property
    def _levels(self) -> np.ndarray:
        """Level ``(C,)`` of each baseline group; -1 where effects do not differ."""
        groups = len(self.data.design.group_names)
        return np.full(groups, -1) if self.fit.group_level is None else np.asarray(self.fit.group_level)

    def _level(self, group: np.ndarray) -> int | None:
        """Level of a row with the weights ``(C,)`` of groups; None if effects do not differ, or it is not known."""
        levels = np.unique(self._levels[group > 0])
        return int(levels[0]) if self.fit.by_level and len(levels) == 1 else None

    @cached_property
    def _at_levels(self) -> set[tuple[int, int]]:
        """Drugs and levels that were measured together."""
        context, drug = np.nonzero(self.data.design.dose)
        level = self._levels[self.data.design.group[context]]
        return set(zip(drug.tolist(), level.tolist(), strict=True))

    def _measured(self, key: tuple, group: np.ndarray) -> bool:
        """Whether the drugs and doses were measured in the baseline groups of the row."""
        return bool((group[self.data.design.group[self._fitted[key]]] > 0).any())

    def _drug(self, d: int, dose: float, level: int | None) -> tuple[np.ndarray, ...]:
        """Posterior of a known drug at any dose; with what its features say, where these are informative.

        At a level where it was measured, its effects there stand as they are.
        """
        fit, known = self.fit, getattr(self.feature_model, "known", None)
        probability = (fit if known is None else known).probability[d]
        if fit.own_probability is not None:
            probability = fit.own_probability[d]
        level = level if level is not None and (d, level) in self._at_levels else None
        own = None
        if known is not None and level is None:
            own = known.amplitude[d], np.hypot(known.amplitude_sd[d], self._between)
        if self.data.design.has_dose:
            effect, variance = fit.effect_of(d, np.array([dose]), *(own or ()), level=level)
            return probability, effect[0], np.sqrt(variance[0]), self._kinds[d]
        amplitude, sd = own or fit.amplitudes(d, level)[:2]
        return probability, amplitude, sd, self._kinds[d]

    def _second(self, d: int, dose: float) -> list[Posterior]:
        """What a known drug does by the kind that is less probable at each gene; none where there is one kind."""
        fit = self.fit
        if fit.other_probability is None or fit.other_amplitude is None or fit.other_amplitude_sd is None:
            return []
        h = float(hill(np.array(dose), fit.ec50[d], fit.hill[d])) if self.data.design.has_dose else 1.0
        shift, activity = KINDS.index("shift"), KINDS.index("activity")
        kind = np.where(self._kinds[d] == activity, shift, activity).astype(np.int8)
        return [(fit.other_probability[d], h * fit.other_amplitude[d], h * fit.other_amplitude_sd[d], kind)]

    def _small(self, d: int, dose: float, *, measured: bool) -> tuple[np.ndarray, ...]:
        """What a known drug does beyond its targets; `measured`: without the differences of a context of its own."""
        fit, one, shift = self.fit, np.ones(self.n_genes), np.zeros(self.n_genes, np.int8)
        if fit.diffuse is None or fit.diffuse_sd is None or fit.context_sd is None:
            return one, np.zeros(self.n_genes), np.zeros(self.n_genes), shift
        fraction = float(hill(np.array(dose), fit.ec50[d], fit.hill[d])) if self.data.design.has_dose else 1.0
        off = 1 - fit.probability[d]
        if fit.own_probability is not None or (self._kinds[d] == KINDS.index("activity")).all():
            off = one  # beside activities, what is left over at targets is kept too
        context = 0.0 if measured else fit.context_sd
        return one, off * fraction * fit.diffuse[d], off * np.hypot(fraction * fit.diffuse_sd[d], context), shift

    def components(self, request: Request, features: np.ndarray | None) -> Components:
        """Interventions of each row of a request.

        Parameters
        ----------
        features
            ``(U, Q)`` of the unknown drugs, or ``(m, Q)`` of the rows, see `read_new_features`.
        """
        n_known = len(self.fit.drugs)
        found: list[tuple[int, Posterior]] = []
        asked: list[tuple[int, int, float, int]] = []  # row, row of features, dose, label of the drug
        by_row = self.data.features is not None and self.data.features.level == "context"
        labels: dict[tuple, int] = {}
        small: list[tuple[int, Posterior]] = []
        second: list[tuple[int, Posterior]] = []
        mapped: list[int] = []
        for r, dose in enumerate(request.dose):
            key = key_of(dose)
            if not key:
                continue
            new = [d for d, _ in key if d >= n_known]
            second += [(r, one) for d, v in key if d < n_known for one in self._second(d, v)]
            context = None if new else self._context(key, request.group[r])
            if context is not None:
                found.append((r, context))
                own = self._measured(key, request.group[r])
                small += [(r, self._small(d, v, measured=own or i > 0)) for i, (d, v) in enumerate(key)]
            elif self._maps is not None and (not by_row or features is not None):
                mapped.append(r)
            elif new and by_row:  # features of the row describe all of its drugs together
                label = labels.setdefault(tuple(d for d, _ in key), len(labels))
                asked.append((r, r, max(v for _, v in key), label))
            else:
                level = self._level(request.group[r])
                found += [(r, self._drug(d, v, level)) for d, v in key if d < n_known]
                old = [(d, v) for d, v in key if d < n_known]
                small += [(r, self._small(d, v, measured=i > 0)) for i, (d, v) in enumerate(old)]
                asked += [(r, d - n_known, v, d) for d, v in key if d >= n_known]
        if asked:
            found += self._decode(asked, features)
        if mapped:
            found += self._amortised(np.array(mapped), request, features)
        if not any(field is not None and field.any() for field in (self.fit.diffuse, self.fit.context_sd)):
            small = []
        empty, every = np.zeros((0, self.n_genes)), found + second + small
        probability, effect, sd, kind = (np.stack([f[1][i] for f in every]) if every else empty for i in range(4))
        part = np.repeat([0, 1, 2], [len(found), len(second), len(small)])
        row = np.array([f[0] for f in every], dtype=int)
        return Components(row, probability, effect, sd, kind, part == 2, part == 1)

    def _decode(
        self, asked: list[tuple[int, int, float, int]], features: np.ndarray | None
    ) -> list[tuple[int, Posterior]]:
        """Interventions of unknown drugs from their features."""
        if self.feature_model is None or features is None:
            raise RuntimeError("model: no map from features was fitted; run train() first.")
        row, source, dose, label = (np.array(column) for column in zip(*asked, strict=True))
        probability, effect, effect_sd = self.feature_model.decode(features[source], dose, label)
        if self.fit.by_level:
            effect_sd = np.hypot(effect_sd, self.feature_model.fraction(dose)[:, None] * self._between)
        kind = self._usual_kind()
        return [(int(r), (probability[i], effect[i], effect_sd[i], kind)) for i, r in enumerate(row)]

    def _usual_kind(self) -> np.ndarray:
        """The most frequent kind, for every gene ``(G,)``."""
        names, counts = np.unique(self._kinds, return_counts=True)
        return np.full(self.n_genes, names[counts.argmax()], np.int8)

    @property
    def _maps(self) -> AmortisedMaps | None:
        """The maps of the published estimator, or None."""
        return self.feature_model if isinstance(self.feature_model, AmortisedMaps) else None

    def _amortised(
        self, rows: np.ndarray, request: Request, features: np.ndarray | None
    ) -> list[tuple[int, Posterior]]:
        """Interventions of rows by the maps of the published estimator, all drugs of a row together."""
        maps, of = cast("AmortisedMaps", self._maps), cast("Features", self.data.features)
        if of.level == "context":
            table = cast("np.ndarray", features)[rows]
        else:
            known = of.of_drugs(self.data.design.drugs)
            table = known if features is None else np.vstack([known, features])
        probability, effect, sd = maps.interventions(request.dose[rows], table)
        kind = self._usual_kind()
        return [(int(r), (probability[i], effect[i], sd[i], kind)) for i, r in enumerate(rows)]

    def marginal(self, components: Components, n_rows: int) -> tuple[np.ndarray, ...]:
        """Superposed interventions of each row.

        Returns
        -------
        Probability that the gene is a target, effect given that, its standard deviation, and kind, ``(m, G)`` each.
        """
        own = np.flatnonzero(~components.diffuse & ~components.second)
        p, e, s = components.probability[own], components.effect[own], components.effect_sd[own]
        at, kinds = components.row[own], components.kind[own]
        none, mean, square = (np.full((n_rows, self.n_genes), v) for v in (1.0, 0.0, 0.0))
        np.multiply.at(none, at, 1 - p)
        np.add.at(mean, at, p * e)
        np.add.at(square, at, p * s**2)
        safe = np.maximum(1 - none, 1e-300)
        np.multiply.at(none, components.row[components.second], 1 - components.probability[components.second])
        any_ = 1 - none
        strongest = np.full((n_rows, self.n_genes), -1.0)
        kind = np.zeros((n_rows, self.n_genes), np.int8)
        for c, r in enumerate(at):
            better = p[c] > strongest[r]
            strongest[r][better], kind[r][better] = p[c][better], kinds[c][better]
        return any_, mean / safe, np.sqrt(square / safe), np.array(KINDS)[kind]

    def draw(self, components: Components, slots: np.ndarray, row: np.ndarray, rng: np.random.Generator) -> Atomic:
        """Interventions of n cells, drawn from the posterior; `row` ``(n,)`` is the row of each cell."""
        atomic = nothing(len(row), self.n_genes, set(np.unique(components.kind)))
        if not len(components.row):  # controls alone
            return atomic
        for slot in slots.T:
            component = slot[row]
            there = np.flatnonzero((component >= 0) & components.diffuse[component])
            if len(there):  # every gene, so no search for targets
                c = component[there]
                noise = rng.standard_normal((len(c), self.n_genes))
                atomic.shift[there] += components.effect[c] + components.effect_sd[c] * noise
            there = (component >= 0) & ~components.diffuse[component]
            if not there.any():
                continue
            c = component[there]
            cell, gene = np.nonzero(rng.random((len(c), self.n_genes), dtype=np.float32) < components.probability[c])
            source, cell = c[cell], np.flatnonzero(there)[cell]
            effect = components.effect[source, gene] + components.effect_sd[source, gene] * rng.standard_normal(
                len(gene)
            )
            compose(atomic, (cell, gene), effect, components.kind[source, gene])
        return atomic

    def sample(
        self, request: Request, components: Components, n_cells: int, rng: np.random.Generator
    ) -> Iterator[tuple[np.ndarray, np.ndarray, np.ndarray]]:
        """Blocks of ``(cells (n, G), row (n,), group (n,))``; all cells of a row before those of the next."""
        slots = components.slots(len(request.table))
        total, size = n_cells * len(request.table), max(1, BLOCK_VALUES // self.n_genes)
        cumulative = request.group.cumsum(axis=1)
        for start in range(0, total, size):
            row = np.arange(start, min(start + size, total)) // n_cells
            group = (rng.random((len(row), 1)) >= cumulative[row]).sum(axis=1).clip(max=request.group.shape[1] - 1)
            atomic = self.draw(components, slots, row, rng)
            x = sample_cells(self.fit.mechanisms, atomic, group, rng)
            depth = None if request.size is None else request.size[row]
            x = self.observation.draw(x, partial(mean_cells, self.fit.mechanisms, atomic, group), group, depth, rng)
            yield (x if request.offset is None else x + request.offset[row]), row, group

    def mean(self, request: Request, components: Components) -> np.ndarray:
        """Mean cell of each row ``(m, G)``: exact for shifts of linear mechanisms, else an average over draws."""
        row, group = np.nonzero(request.group)
        size = None if request.size is None else request.size[row]
        means = self.observation.expect(PredictedLayer(self, components, len(request.table), row, group), group, size)
        out = np.zeros((len(request.table), self.n_genes))
        np.add.at(out, row, request.group[row, group][:, None] * means)
        return out if request.offset is None else out + request.offset

    def average(self, components: Components, slots: np.ndarray, row: int, group: int) -> np.ndarray:
        """Mean of cells with the same random numbers for every row, so that differences between rows are smooth."""
        rng = np.random.default_rng(0)
        half = rng.standard_normal((MEAN_DRAWS // 2, self.n_genes))
        noise = np.concatenate([half, -half])
        rows = np.full(len(noise), row)
        atomic = self.draw(components, slots, rows, rng)
        return propagate(self.fit.mechanisms, atomic, np.full(len(noise), group), noise).mean(axis=0)


@dataclass(frozen=True)
class PredictedLayer:
    """The causal layer of rows in baseline groups, for a noise model to take to the data.

    Attributes
    ----------
    predictor, components
        The model, and the interventions of the rows of a request.
    n_rows
        Rows of the request, m.
    row, group
        ``(r,)`` each; row of the request and baseline group.
    """

    predictor: Predictor
    components: Components
    n_rows: int
    row: np.ndarray
    group: np.ndarray

    def mean(self) -> np.ndarray:
        """Means ``(r, G)``: exact for shifts of linear mechanisms, else an average over draws."""
        components, mechanisms = self.components, self.predictor.fit.mechanisms
        if mechanisms.mechanism.linear and not components.kind.any():
            atomic = nothing(self.n_rows, self.predictor.n_genes, set())
            np.add.at(atomic.shift, components.row, components.probability * components.effect)
            return mean_cells(mechanisms, atomic.rows(self.row), self.group)
        slots, pairs = components.slots(self.n_rows), zip(self.row, self.group, strict=True)
        return np.stack([self.predictor.average(components, slots, int(r), int(g)) for r, g in pairs])

    def log_mean(self) -> tuple[np.ndarray, np.ndarray]:
        """Means, and logarithms of the means of the exponential, ``(r, G)`` each, the interventions integrated out.

        Mechanisms are linear and interventions shifts. A shift of gene i moves the logarithm of gene j by its total effect;
        targets are independent of each other.
        """
        components, mechanisms, n_genes = self.components, self.predictor.fit.mechanisms, self.predictor.n_genes
        p = components.probability
        total = np.linalg.inv(np.eye(n_genes) - mechanisms.weights())  # (G, G), row causes column
        atomic = nothing(self.n_rows, n_genes, set())
        baseline = mean_cells(mechanisms, atomic.rows(self.row), self.group)
        mean, log_mean = np.zeros((2, self.n_rows, n_genes))
        for c, r in enumerate(components.row):
            hit = np.flatnonzero(p[c] > SMALLEST_PROBABILITY)
            move = (
                total[hit] * components.effect[c, hit, None]
                + 0.5 * (total[hit] * components.effect_sd[c, hit, None]) ** 2
            )
            log_mean[r] += np.log1p(p[c, hit, None] * np.expm1(np.clip(move, -50, 50))).sum(axis=0)
            mean[r] += (p[c, hit] * components.effect[c, hit]) @ total[hit]
        noise = 0.5 * (mechanisms.noise_sd**2) @ total**2
        return baseline + mean[self.row], baseline + log_mean[self.row] + noise
