"""From feature tables to rows per drug (layer `_core`; not from the paper).

Columns that are constant within every drug describe the drug, others its contexts, where they are
``c + I V_I + h psi V_psi`` with the dose factor h. All that a drug's contexts say lies in two rows: their projections
on h and on the part of 1 orthogonal to it.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np

from scgim._core.features.bend import Bend, learn_bend
from scgim._core.state import savable

MOST_COMPONENTS = 60  # principal components of the columns


@savable
@dataclass(frozen=True)
class Reader:
    """How columns are read: which are used, centred, scaled and rotated."""

    describes: str  # "drug" or "context": what the columns describe
    counts: bool  # whether the columns are counts or bits
    columns: np.ndarray  # (Q',) columns used
    # (Q',) centre and (Q', L) scaling and rotation
    loc: np.ndarray
    projection: np.ndarray
    bend: Bend | None = None  # functions that make the columns linear in effects; None where they are as they are

    def centred(self, features: np.ndarray) -> np.ndarray:
        """(n, Q) raw features -> (n, Q') columns, made linear and centred."""
        values = features[:, self.columns]
        return (values if self.bend is None else self.bend(values)) - self.loc

    def __call__(self, features: np.ndarray) -> np.ndarray:
        """(n, Q) raw features -> (n, L)."""
        return self.centred(features) @ self.projection

    def bent(self, features: np.ndarray, drug: np.ndarray, effects: np.ndarray, by: np.ndarray) -> Reader:
        """The same with bends, if evidence asks for them; counts and columns that describe contexts are left as they are.

        Parameters
        ----------
        features
            (n, Q), rows of drugs or contexts.
        drug
            (n,) index of each row's drug.
        effects
            (D, G) effects of the drugs.
        by
            Drugs that the bends are learned from.
        """
        present, first = np.unique(drug, return_index=True)
        known = np.isin(present, by)
        present, values = present[known], features[first[known]][:, self.columns]
        bend = learn_bend(values, effects[present]) if self.describes == "drug" and not self.counts else None
        if bend is None:
            return self
        again = make_reader(bend(values), np.arange(values.shape[1]), "drug", len(values))
        return replace(self, loc=again.loc, projection=again.projection, bend=bend)


@dataclass(frozen=True)
class Description:
    """One vector a drug, for kernels."""

    values: np.ndarray  # (D, Q) features of the drug, and change of the features of its contexts with the dose factor
    block: np.ndarray  # (Q,) block of each column
    counts: np.ndarray | None  # (D, Q') counts of the columns that describe drugs, or None
    zero: bool = False  # whether values of zero stand for no effect

    def of(self, drugs: np.ndarray) -> Description:
        """Some of the drugs."""
        return replace(self, values=self.values[drugs], counts=None if self.counts is None else self.counts[drugs])


def slopes(value: np.ndarray, drug: np.ndarray, factor: np.ndarray, n_drugs: int) -> np.ndarray:
    """Change of features (n, Q) with the dose factor, by least squares for each drug: (D, Q).

    With one dose, the features over the factor: what does not change with the dose cannot be told apart.
    """
    out = np.zeros((n_drugs, value.shape[1]))
    for d in np.unique(drug):
        h, x = factor[drug == d], value[drug == d]
        centred = h - h.mean()
        square = (centred**2).sum()
        if square > 1e-6 * (h**2).sum():
            out[d] = centred @ x / square
        else:
            out[d] = h @ x / max(float((h**2).sum()), 1e-12)
    return out


def split_columns(features: np.ndarray, drug: np.ndarray, dose: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Columns that describe the drug and columns that describe the context; constant and dose-only ones are in neither.

    Parameters
    ----------
    features
        (n, Q), rows are contexts with one drug.
    drug, dose
        (n,) index and dose of the drug.
    """
    centred = features - features.mean(0)
    total = (centred**2).sum(0)
    useful = total > 1e-12 * np.maximum((features**2).sum(0), 1e-300)
    if len(np.unique(drug)) == len(drug):  # one context a drug: nothing tells the two kinds apart
        return np.zeros(0, int), np.flatnonzero(useful)
    within = ((features - _group_means(features, drug)) ** 2).sum(0)
    around_dose = ((features - _group_means(features, np.unique(dose, return_inverse=True)[1])) ** 2).sum(0)
    by_drug = useful & (within <= 1e-10 * total)
    by_context = useful & ~by_drug & (around_dose > 1e-8 * total)
    return np.flatnonzero(by_drug), np.flatnonzero(by_context)


def _group_means(values: np.ndarray, group: np.ndarray) -> np.ndarray:
    """(n, Q) mean of each row's group."""
    size = np.bincount(group)
    sums = np.zeros((len(size), values.shape[1]))
    np.add.at(sums, group, values)
    return (sums / np.maximum(size, 1)[:, None])[group]


def make_reader(features: np.ndarray, columns: np.ndarray, describes: str, n_drugs: int) -> Reader:
    """Centre, scale (unless the columns are counts or bits) and, where there are too many, keep principal components."""
    values = features[:, columns]
    loc = values.mean(0)
    counts = bool((values >= 0).all() and (values == np.round(values)).all())
    scale = values.std(0)
    scale[counts | (scale <= 1e-6 * np.abs(values).max(0))] = 1.0  # a column may be constant in some drugs
    keep = min(len(columns), MOST_COMPONENTS, max(2, n_drugs - 2))
    standard = (values - loc) / scale
    _, s, vt = np.linalg.svd(standard, full_matrices=False)
    rank = int((s > 1e-8 * s[0]).sum())
    keep = min(keep, rank)
    if keep < len(columns):
        projection = vt[:keep].T / scale[:, None]
        projection /= s[0] / np.sqrt(len(values)) if counts else 1.0
    else:
        projection = np.diag(1 / scale)
    return Reader(describes, counts, columns, loc, projection)


@dataclass(frozen=True)
class Rows:
    """What one block of features says of each drug: value = on * (I V_I) + by * (psi V_psi) + noise."""

    value: np.ndarray  # (n, L)
    drug: np.ndarray  # (n,) index of the drug
    # (n,) loadings of the target indicators and of the saturating effects
    on: np.ndarray
    by: np.ndarray

    def of(self, drugs: np.ndarray) -> Rows:
        """The rows of some drugs, which are renumbered in the given order."""
        order = {int(d): i for i, d in enumerate(drugs)}
        keep = np.array([i for i, d in enumerate(self.drug) if int(d) in order], int)
        new = np.array([order[int(d)] for d in self.drug[keep]], int)
        return Rows(self.value[keep], new, self.on[keep], self.by[keep])


def compress(value: np.ndarray, drug: np.ndarray, factor: np.ndarray) -> Rows:
    """Reduce the contexts of each drug to the projections on (h, 1) that hold all they say of its intervention.

    Parameters
    ----------
    value
        (n, L) features less what does not depend on the intervention.
    drug
        (n,) index of the drug.
    factor
        (n,) dose factor h.
    """
    out, of, on, by = [], [], [], []
    for d in np.unique(drug):
        own = drug == d
        h, x = factor[own], value[own]
        length = np.sqrt((h**2).sum())
        first = h / length if length > 1e-6 else np.zeros(len(h))
        left = 1 - first * first.sum()
        rest = np.sqrt((left**2).sum())
        for direction, loading in ((first, length), (left / max(rest, 1e-12), 0.0)):
            if (direction**2).sum() > 0.5 and (loading > 0 or rest > 1e-6):
                out.append(direction @ x)
                of.append(d)
                on.append(direction.sum())
                by.append(loading)
    return Rows(np.array(out).reshape(-1, value.shape[1]), np.array(of, int), np.array(on), np.array(by))
