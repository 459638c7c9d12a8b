"""Effects of single drugs as linear contrasts of contexts (layer `_core`; not from the paper).

The amplitude of a drug's curve is a weighted difference between its contexts and the controls of the same baseline
group. Weights are the same for all genes, so that the error of a contrast is exact, that of shared controls included.
Baseline groups (batches, patients, lines) are replicates: where they differ by more than sampling, the contrast knows
it.
"""

from dataclasses import dataclass

import numpy as np

from scgim._core.design import Design
from scgim._core.moments.moments import Plates

TRIMMED = 0.9  # share of the pairs of drug and gene from which differences between contexts are learned: those of targets are large
PRIOR_FREEDOM = 4.0  # degrees of freedom that what all pairs say counts for
SINGULAR = 1e-6  # singular value, relative to one, below which drugs cannot be told apart


@dataclass(frozen=True)
class DrugContexts:
    """The contexts of one drug in one baseline group: estimates of the amplitude are ``weight @ means``."""

    weight: np.ndarray  # (K,) of all contexts; minus the controls
    rows: np.ndarray  # (L,) contexts of the drug
    height: np.ndarray  # (L,) fraction of the full effect there


@dataclass(frozen=True)
class Contrasts:
    """Amplitudes of drugs at levels of a covariate, as weighted sums of the means of contexts; R rows."""

    weight: np.ndarray  # (R, K) weights of the contexts
    # (R,) drug and level of each row
    drug: np.ndarray
    level: np.ndarray
    # (R, G) variance that differences between contexts, and between baseline groups, add
    scatter: np.ndarray
    between: np.ndarray
    offset: np.ndarray  # (R, G) the part of `scatter` that is what is left of offsets of plates
    identified: np.ndarray  # (D,) bool; False for drugs that no context tells apart from others
    alike: np.ndarray  # (D,) class of each drug: those measured only together share one
    # (D, G) and (D,); baseline groups whose own estimate has the sign of the drug's, and all groups
    agree: np.ndarray
    n_groups: np.ndarray
    # standard deviations between contexts and between baseline groups that all pairs share
    context_sd: float
    group_sd: float


def references(design: Design) -> np.ndarray:
    """Weights ``(C, K)`` of the contexts that a baseline group is compared with: its controls, else all its contexts."""
    n_groups = int(design.group.max(initial=0)) + 1
    member = design.group == np.arange(n_groups)[:, None]  # (C, K)
    control = member & design.control
    used = np.where(control.any(axis=1)[:, None], control, member)
    weight = used * np.maximum(design.n_cells, 1.0)
    return np.asarray(weight / np.maximum(weight.sum(axis=1, keepdims=True), 1e-12))


def _part(
    rows: np.ndarray, height: np.ndarray, n: np.ndarray, reference: np.ndarray, scatter2: float, offset2: float
) -> DrugContexts:
    """Least squares of an amplitude from contexts of one drug in one group, which scatter and share an offset."""
    precision = 1 / (1 / np.maximum(n[rows], 1.0) + scatter2)  # (L,)
    solved = precision * height
    solved = solved - precision * (offset2 * solved.sum() / (1 + offset2 * precision.sum()))  # rank one
    own = solved / max(float(solved @ height), 1e-12)
    weight = -own.sum() * reference
    weight[rows] += own
    return DrugContexts(weight, rows, height)


def lack_of_fit(
    value: np.ndarray, error: np.ndarray, height: np.ndarray, own: np.ndarray, shared: np.ndarray | float = 0.0
) -> np.ndarray:
    """Unbiased estimate of the variance of values around a line through zero, beyond their known errors.

    With ``R = I - height own'`` and ``q = |R value|^2``, ``E q = sum_l a_l (error_l + sd^2) + b shared`` where
    ``a_l = sum_k R_kl^2``.

    Parameters
    ----------
    value, error
        ``(L, G)``; values and their variances.
    height, own
        ``(L,)``; slope of each value, and weights with ``own @ height = 1``.
    shared
        ``(G,)``; variance of an error that is subtracted from all values alike.
    """
    left = np.eye(len(height)) - np.outer(height, own)  # (L, L)
    q = ((left @ value) ** 2).sum(axis=0)  # (G,)
    a, b = (left**2).sum(axis=0), float((left.sum(axis=1) ** 2).sum())
    return np.asarray((q - a @ error - b * shared) / max(float(a.sum()), 1e-12))


def pool(raw: np.ndarray, freedom: np.ndarray) -> tuple[float, np.ndarray]:
    """Variance that all pairs of row and gene share, without the largest, and that of each pair drawn towards it.

    Parameters
    ----------
    raw
        ``(R, G)``; unbiased estimates, which may be negative.
    freedom
        ``(R,)``; their degrees of freedom, 0 where there is no estimate.
    """
    known = freedom > 0
    if not known.any():
        return 0.0, np.zeros(raw.shape)
    values = raw[known]
    common = float(max(values[values <= np.quantile(values, TRIMMED)].mean(), 0.0))
    nu = freedom[:, None]
    return common, (PRIOR_FREEDOM * common + nu * np.maximum(raw, 0.0)) / (PRIOR_FREEDOM + nu)


@dataclass
class _Rows:
    """Rows of contrasts while they are built: parts of each, and the drug and the level."""

    parts: list[list[DrugContexts]]
    drug: np.ndarray
    level: np.ndarray


def _rows(design: Design, fraction: np.ndarray, scatter2: float, offset2: float) -> _Rows:
    """Parts of every drug and level; drugs that were measured alone use those contexts only."""
    n, reference = design.n_cells, references(design)
    parts, drug, level = [], [], []
    for d in range(len(design.drugs)):
        rows = design.purest(d)
        rows = rows[fraction[rows, d] > 0]
        for v in np.unique(design.level[rows]):
            at = rows[design.level[rows] == v]
            groups = [at[design.group[at] == c] for c in np.unique(design.group[at])]
            parts.append(
                [_part(g, fraction[g, d], n, reference[design.group[g[0]]], scatter2, offset2) for g in groups]
            )
            drug.append(d)
            level.append(v)
    return _Rows(parts, np.array(drug, dtype=int), np.array(level, dtype=int))


def classes(design: Design) -> np.ndarray:
    """Class ``(D,)`` of each drug; drugs that are in the same contexts, and never alone, share one."""
    patterns: dict[bytes, int] = {}
    out = np.arange(len(design.drugs))
    for d in range(len(out)):
        if len(design.alone(d)) == 0 and len(design.of(d)):
            out[d] = patterns.setdefault(design.present[:, d].tobytes(), d)
    return out


def _sum_parts(
    parts: list[DrugContexts], n: np.ndarray, between2: float, scatter2: float
) -> tuple[np.ndarray, np.ndarray]:
    """Weights ``(P,)`` of the groups, which differ by `between2`, and their sum of contrasts ``(K,)``."""
    size = np.maximum(n, 1.0)
    variance = np.array([(p.weight**2 / size).sum() + scatter2 * (p.weight[p.rows] ** 2).sum() for p in parts])
    share = 1 / (variance + between2)
    share /= share.sum()
    return share, np.einsum("p,pk->k", share, np.array([p.weight for p in parts]))


def _without_others(
    weight: np.ndarray, rows: _Rows, design: Design, fraction: np.ndarray, alike: np.ndarray
) -> tuple[np.ndarray, np.ndarray]:
    """Contrasts ``(R, K)`` less what other drugs of the same contexts do, and whether drugs can be told apart, ``(D,)``.

    A contrast of means holds ``sum_d' (weight @ fraction_d') amplitude_d'``; solving for the amplitudes at each level.
    Classes of drugs that were measured only together are one drug here.
    """
    identified = np.bincount(alike, minlength=len(design.drugs))[alike] == 1
    if not design.combined:
        return weight, identified
    out = weight.copy()
    for v in np.unique(rows.level):
        index = np.flatnonzero(rows.level == v)
        first = index[alike[rows.drug[index]] == rows.drug[index]]  # one of each class
        drugs = rows.drug[first]
        mixed = np.array([[weight[r] @ fraction[:, d] for d in drugs] for r in first])  # (r, r)
        for i, d in enumerate(drugs):
            alone = len(design.alone(d)) > 0
            mixed[i] = np.where(np.arange(len(drugs)) == i, 1.0, 0.0 if alone else mixed[i])
        left, size, right = np.linalg.svd(mixed)
        kept = size > SINGULAR
        out[first] = (right[kept].T / size[kept]) @ left[:, kept].T @ weight[first]
        free = np.abs(right[~kept]).max(axis=0, initial=0.0) > SINGULAR
        identified[drugs[free]] = False
        for r in np.setdiff1d(index, first):
            out[r] = out[first[drugs == alike[rows.drug[r]]][0]]
    return out, identified


def contrasts(
    design: Design, fraction: np.ndarray, value: np.ndarray, error: np.ndarray, plates: Plates | None = None
) -> Contrasts:
    """Contrasts of every drug and level.

    Parameters
    ----------
    fraction
        ``(K, D)``; fraction of the full effect of each drug.
    value, error
        ``(K, G)``; residual means of the contexts and their sampling variances, from which differences between contexts
        and between baseline groups are learned.
    plates
        Offsets that all doses of a drug in a group share; what is left of them after they were taken out.
    """
    offset2 = 0.0 if plates is None else plates.sd**2
    n, alike = design.n_cells, classes(design)
    of_cells = error * np.maximum(n, 1.0)[:, None]  # (K, G) variance of a cell
    of_gene, usual = np.median(of_cells, axis=0), max(float(np.median(of_cells)), 1e-12)
    context2, per_context = _between_contexts(_rows(design, fraction, 0.0, offset2), value, error)
    rows = _rows(design, fraction, context2 / usual, offset2)
    group2, per_group = _between_groups(rows, value, error, per_context)
    weight = np.zeros((len(rows.drug), len(n)))
    scatter, between, offset = np.zeros((3, len(rows.drug), value.shape[1]))
    for r, parts in enumerate(rows.parts):
        share, weight[r] = _sum_parts(parts, n, group2 / usual, context2 / usual)
        own = sum(s**2 * (p.weight[p.rows] ** 2).sum() for s, p in zip(share, parts, strict=True))
        scatter[r], between[r] = per_context[r] * own, per_group[r] * (share**2).sum()
        if plates is not None:
            left = np.array([plates.left[p.rows[0]] for p in parts])
            shared = float((share**2 * left) @ np.square([p.weight[p.rows].sum() for p in parts]))
            offset[r] = of_gene * shared
            scatter[r] += offset[r]
    agree, n_groups = _agreement(rows, weight, value, len(design.drugs))
    weight, identified = _without_others(weight, rows, design, fraction, alike)
    return Contrasts(
        weight,
        rows.drug,
        rows.level,
        scatter,
        between,
        offset,
        identified,
        alike,
        agree,
        n_groups,
        float(np.sqrt(context2)),
        float(np.sqrt(group2)),
    )


def _agreement(rows: _Rows, weight: np.ndarray, value: np.ndarray, n_drugs: int) -> tuple[np.ndarray, np.ndarray]:
    """Baseline groups whose own estimate has the sign of the drug's ``(D, G)``, and all its groups ``(D,)``."""
    agree, n_groups = np.zeros((n_drugs, value.shape[1])), np.zeros(n_drugs, dtype=int)
    for r, parts in enumerate(rows.parts):
        each = np.array([p.weight @ value for p in parts])  # (P, G)
        agree[rows.drug[r]] += (np.sign(each) == np.sign(weight[r] @ value)).sum(axis=0)
        n_groups[rows.drug[r]] += len(parts)
    return agree, n_groups


def _between_contexts(rows: _Rows, value: np.ndarray, error: np.ndarray) -> tuple[float, np.ndarray]:
    """Variance between the contexts of a drug in one baseline group, around its curve: of all, and ``(R, G)``."""
    raw, freedom = np.zeros((len(rows.parts), value.shape[1])), np.zeros(len(rows.parts))
    for r, parts in enumerate(rows.parts):
        for p in parts:
            if len(p.rows) < 2:
                continue
            reference = p.weight.copy()
            own = p.weight[p.rows]
            reference[p.rows] = 0.0
            reference /= min(reference.sum(), -1e-12)  # weights of the controls
            shared = (reference**2) @ error
            nu = len(p.rows) - 1
            raw[r] += nu * lack_of_fit(value[p.rows] - reference @ value, error[p.rows], p.height, own, shared)
            freedom[r] += nu
    return pool(raw / np.maximum(freedom, 1.0)[:, None], freedom)


def _between_groups(rows: _Rows, value: np.ndarray, error: np.ndarray, scatter: np.ndarray) -> tuple[float, np.ndarray]:
    """Variance of a drug's amplitude between baseline groups: of all pairs, and ``(R, G)``."""
    raw, freedom = np.zeros((len(rows.parts), value.shape[1])), np.zeros(len(rows.parts))
    for r, parts in enumerate(rows.parts):
        if len(parts) < 2:
            continue
        weight = np.array([p.weight for p in parts])  # (P, K)
        own = np.array([(p.weight[p.rows] ** 2).sum() for p in parts])
        variance = weight**2 @ error + own[:, None] * scatter[r]
        equal = np.full(len(parts), 1 / len(parts))
        raw[r], freedom[r] = lack_of_fit(weight @ value, variance, np.ones(len(parts)), equal), len(parts) - 1
    return pool(raw, freedom)
