"""Contexts predicted from the others: new doses, new baseline groups, new combinations (layer `_core`; not from the paper).

Rules mix what is added to the genes, beyond what the graph passes on; errors are compared in mean changes of all genes.
The model's rule is the plain estimate of the full effect from the other contexts, times what the fit keeps of the plain
estimate from all (in groups: of estimates of that size), times the fraction at the dose, and what this misses at other
doses. Graph, curves and shrinkage stay as they are.
"""

from typing import NamedTuple

import numpy as np
from scipy.sparse import csc_array
from scipy.sparse.linalg import splu

from scgim._core.design import Design
from scgim._core.posterior.weighing.departures import Departures
from scgim._core.posterior.weighing.weight import FEWEST, Weighed, learn_weight

TINY = 1e-12
FEWEST_DOSES = 3  # of a drug: without one of them two are left to lie between


class Plain(NamedTuple):
    """What single drugs add to the genes, as measured and as the fit has it."""

    seen: np.ndarray  # (K, G) of contexts, from their baselines
    change: np.ndarray  # (D, G) of drugs at full effect, targets and drift
    fraction: np.ndarray  # (K, D) of the full effect
    departures: Departures | None = None  # what is missed at doses nearby
    error: np.ndarray | None = None  # (K, G) variances of the errors of what was seen
    effects: np.ndarray | None = None  # (G, G) of parents (rows) on genes; None to compare what is added

    def missed(self, drug: int, others: np.ndarray, full: np.ndarray, at: float) -> np.ndarray:
        """What a full effect ``(G,)`` misses at a fraction of it, by the other contexts of the drug, ``(G,)``."""
        if self.departures is None or self.error is None or not self.departures.walks:
            return np.zeros(len(full))
        height = self.fraction[others, drug]
        along = self.departures.coefficients(height, self.seen[others] - height[:, None] * full, self.error[others])
        return np.asarray(np.minimum(height, at) @ along)


def between_doses(dose: float, doses: np.ndarray, values: np.ndarray) -> dict[str, np.ndarray]:
    """What other doses ``(n,)`` with values ``(n, G)`` say of a dose, ``(G,)`` by each rule.

    The nearest one on a logarithmic scale; interpolation on that scale; interpolation on the scale of doses, from
    nothing at none. Beyond the largest dose it is that of the largest.
    """
    distinct, which = np.unique(doses, return_inverse=True)
    mean = np.zeros((len(distinct), values.shape[1]))
    np.add.at(mean, which, values)
    mean /= np.bincount(which)[:, None]
    log = np.log(distinct)
    nearest = mean[int(np.abs(log - np.log(dose)).argmin())]
    return {
        "nearest dose": nearest,
        "between doses": _interpolated(np.log(dose), log, mean),
        "linear in dose": _interpolated(dose, np.append(0.0, distinct), np.vstack([0 * mean[:1], mean])),
    }


def _interpolated(at: float, points: np.ndarray, values: np.ndarray) -> np.ndarray:
    right = int(np.clip(np.searchsorted(points, at), 1, max(len(points) - 1, 1)))
    if len(points) == 1 or at >= points[-1]:
        return np.asarray(values[-1])
    left = right - 1
    share = float(np.clip((at - points[left]) / (points[right] - points[left]), 0.0, 1.0))
    return np.asarray((1 - share) * values[left] + share * values[right])


def _kept(change: np.ndarray, plain: np.ndarray) -> np.ndarray:
    """What the fit keeps of a plain estimate, between nothing and all."""
    return np.clip(np.where(np.abs(plain) > TINY, change / np.where(plain == 0, 1.0, plain), 0.0), 0.0, 1.0)


def _amplitude(found: Plain, drug: int, rows: np.ndarray) -> np.ndarray:
    """Plain estimate of the full effect from contexts of one drug, ``(G,)``."""
    height = found.fraction[rows, drug]
    return np.asarray(height @ found.seen[rows] / max(float(height @ height), TINY))


def weigh_doses(found: Plain, design: Design, more: np.ndarray) -> tuple[Weighed, bool]:
    """Share of the model at doses that were not measured, and whether what it misses at doses nearby is to be a part of it.

    `more` ``(D, C, G)`` is what drugs do more in baseline groups.
    """
    seen, model, missed, unit = [], [], [], []
    base: dict[str, list[np.ndarray]] = {}
    for d in range(len(design.drugs)):
        for c in np.unique(design.group[design.alone(d)]):
            rows = design.alone(d)[design.group[design.alone(d)] == c]
            dose = design.dose[rows, d]
            if len(np.unique(dose)) < FEWEST_DOSES:
                continue
            kept = _kept(found.change[d] + more[d, c], _amplitude(found, d, rows))
            for k, at in zip(rows, dose, strict=True):
                others = rows[dose != at]
                for name, value in between_doses(at, design.dose[others, d], found.seen[others]).items():
                    base.setdefault(name, []).append(value)
                full = kept * _amplitude(found, d, others)
                seen.append(found.seen[k])
                model.append(found.fraction[k, d] * full)
                missed.append(found.missed(d, others, full, found.fraction[k, d]))
                unit.append((d, k))
    alone = _weighed(seen, model, base, unit, found.effects)
    if found.departures is None or not found.departures.walks or not seen:
        return alone, False
    whole = [m + more for m, more in zip(model, missed, strict=True)]
    both = _weighed(seen, whole, base, unit, found.effects)
    better = both.error_of_model < alone.error_of_model
    return (both, True) if better else (alone, False)


def _kept_of(change: np.ndarray, plain: np.ndarray, others: np.ndarray) -> np.ndarray:
    """What the fit keeps of estimates that are as large as those of others; what it keeps of the gene knows what is left out."""
    size, kept = np.abs(plain), _kept(change, plain)
    order = np.argsort(size)
    return np.interp(np.abs(others), size[order], kept[order])


def weigh_groups(found: Plain, design: Design) -> Weighed:
    """Share of the model in baseline groups where a drug was not measured, beside its mean change in others."""
    seen, model, unit = [], [], []
    base: list[np.ndarray] = []
    for d in range(len(design.drugs)):
        rows = design.alone(d)
        whole = _amplitude(found, d, rows)
        for k in rows:
            others = rows[design.group[rows] != design.group[k]]
            same = others[design.dose[others, d] == design.dose[k, d]]
            if not len(same):
                continue
            base.append(found.seen[same].mean(axis=0))
            seen.append(found.seen[k])
            part = _amplitude(found, d, others)
            model.append(found.fraction[k, d] * _kept_of(found.change[d], whole, part) * part)
            unit.append((d, k))
    return _weighed(seen, model, {"mean change": base}, unit, found.effects)


def weigh_combinations(found: Plain, design: Design, at: np.ndarray, summed: np.ndarray) -> tuple[Weighed, np.ndarray]:
    """Share of the model in the sum of drugs, beside their changes as measured, and the mixed sum, of combinations `at`.

    `summed` ``(c, G)`` is the sum by the model.
    """
    measured = np.stack([sum_of_singles(found.seen, design, int(k)) for k in at]) if len(at) else summed
    parts = (_as_changes(part, found.effects) for part in (found.seen[at], summed, measured))
    seen, model, base = parts
    weighed = learn_weight(seen, model, {"sum of drugs": base}, design.drug_set[at])
    return weighed, measured + weighed.weight * (summed - measured)


def sum_of_singles(seen: np.ndarray, design: Design, context: int) -> np.ndarray:
    """Changes ``(G,)`` of the drugs of a context, as measured alone, in its baseline group where they were."""
    out = np.zeros(seen.shape[1])
    for d in np.flatnonzero(design.present[context]).tolist():
        rows = design.alone(d)
        own = rows[design.group[rows] == design.group[context]]
        rows = own if len(own) else rows
        out += between_doses(design.dose[context, d], design.dose[rows, d], seen[rows])["between doses"]
    return out


def _weighed(
    seen: list[np.ndarray],
    model: list[np.ndarray],
    base: dict[str, list[np.ndarray]],
    unit: list[tuple[int, int]],
    effects: np.ndarray | None,
) -> Weighed:
    """The weight, where drugs are left out together if there are enough of them, else contexts."""
    if not seen:
        return learn_weight(np.zeros((0, 1)), np.zeros((0, 1)), {}, np.zeros(0))
    drug, context = np.array(unit).T
    units = drug if len(np.unique(drug)) >= FEWEST else context
    changes = {name: _as_changes(np.stack(v), effects) for name, v in base.items()}
    return learn_weight(_as_changes(np.stack(seen), effects), _as_changes(np.stack(model), effects), changes, units)


def _as_changes(added: np.ndarray, effects: np.ndarray | None) -> np.ndarray:
    """Mean changes ``(n, G)`` by what is added to the genes: ``added (I - effects)^-1``."""
    if effects is None or not added.size:
        return added
    return np.asarray(splu(csc_array(np.eye(len(effects)) - effects.T)).solve(added.T).T)
