"""Cross-validation of the feature maps over drugs (layer `_core`; not from the paper)."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import NamedTuple

import numpy as np

from scgim._core.effects import Effects
from scgim._core.features.backward import Beliefs
from scgim._core.features.backward_map import learn_backward
from scgim._core.features.choose import dependence, folds
from scgim._core.features.forward import forward_dependence, learn_forward
from scgim._core.features.prior import PopulationPrior, learn_prior
from scgim._core.features.rows import Description, Reader, Rows, compress, make_reader, slopes, split_columns

EFFORT = 0.5  # of the sampler in each fold
MOST_INFLATION = 100.0  # of variances


@dataclass(frozen=True)
class TrainingDrugs:
    """What maps are learned from: rows of each block, a description a drug, and fitted interventions of D drugs."""

    rows: list[Rows]
    x: Description
    beliefs: Beliefs
    ec50: np.ndarray
    hill: np.ndarray
    axes: np.ndarray | None = None
    doses: np.ndarray | None = None

    def of(self, drugs: np.ndarray) -> TrainingDrugs:
        """Some of the drugs."""
        return TrainingDrugs(
            [r.of(drugs) for r in self.rows],
            self.x.of(drugs),
            Beliefs(*(getattr(self.beliefs, k)[drugs] for k in ("probability", "mean", "variance"))),
            self.ec50[drugs],
            self.hill[drugs],
            None if self.axes is None else self.axes[:, drugs],
            self.doses,
        )

    @property
    def shift(self) -> np.ndarray:
        """(D, G) expected saturating effects."""
        return self.beliefs.probability * self.beliefs.mean

    def prior(self) -> PopulationPrior:
        """The population that these drugs are a sample of."""
        b = self.beliefs
        return learn_prior(
            b.probability, b.mean, np.sqrt(b.variance), self.ec50, self.hill, axes=self.axes, doses=self.doses
        )


@dataclass(frozen=True)
class Held:
    """Held-out posteriors of all drugs by map, the backward map's inflation, and p values of independence by map."""

    posterior: dict[str, Effects]
    inflation: float
    p_value: dict[str, float]


class _Fold(NamedTuple):
    """Drugs that were held out, and what was learned without them."""

    out: np.ndarray  # (m,)
    train: TrainingDrugs
    test: TrainingDrugs
    prior: PopulationPrior

    @classmethod
    def of(cls, data: TrainingDrugs, out: np.ndarray, again: Table | None) -> _Fold:
        """With bends that are learned without these drugs, where a table is given."""
        rest = np.setdiff1d(np.arange(len(data.ec50)), out)
        if again is not None:
            _, rows, x = again.read(rest)
            data = replace(data, rows=rows, x=x)
        train = data.of(rest)
        return cls(out, train, data.of(out), train.prior() if len(train.ec50) else data.prior())


def cross_validate(data: TrainingDrugs, rng: np.random.Generator, *, usable: bool, again: Table | None = None) -> Held:
    """Predict every drug from the others; with a table, bends are learned from these, too."""
    parts = [_Fold.of(data, out, again) for out in folds(len(data.ec50), rng)]
    found = {"none": [repeat(fold.prior, len(fold.out)) for fold in parts]}
    inflation, p_value = 1.0, {"forward": 1.0, "backward": 1.0}
    if usable:
        found["forward"] = [
            learn_forward(train.x, train.beliefs.probability, train.shift, prior)(test.x, prior)
            for _, train, test, prior in parts
        ]
        maps = [learn_backward(fold.train.rows, fold.train.beliefs, rng, effort=EFFORT)[0] for fold in parts]
        likelihoods = [
            learned.likelihood(test.rows, len(out), test.beliefs, prior)
            for learned, (out, _, test, prior) in zip(maps, parts, strict=True)
        ]
        p_value["backward"] = dependence([log for log, _ in likelihoods], rng)
        p_value["forward"] = forward_dependence(data.x, data.shift, rng)
        misfit = np.concatenate([np.diag(each) for _, each in likelihoods])
        inflation = float(np.clip(np.median(misfit), 1.0, MOST_INFLATION))
        found["backward"] = [
            replace(learned, inflation=inflation).decode(test.rows, len(out), prior, quick=True)
            for learned, (out, _, test, prior) in zip(maps, parts, strict=True)
        ]
    order = np.argsort(np.concatenate([fold.out for fold in parts]))
    return Held({name: Effects.join(each)[order] for name, each in found.items()}, inflation, p_value)


def repeat(prior: PopulationPrior, n_drugs: int, *, shrink: float = 1.0) -> Effects:
    """The population's intervention for each of some drugs, its mean effect shrunk."""
    each = (prior.probability, shrink * prior.mean, np.sqrt(prior.variance))
    return Effects(*(np.repeat(x[None], n_drugs, 0) for x in each))


def make_readers(values: np.ndarray, rows_are: str, drug: np.ndarray, dose: np.ndarray) -> list[Reader]:
    """Readers of the blocks of columns that describe drugs and contexts.

    Parameters
    ----------
    values
        (n, Q), rows are drugs or contexts with one drug.
    rows_are
        "drug" or "context".
    drug, dose
        (n,) index and dose of each row's drug.
    """
    if rows_are == "drug":
        columns = {"drug": split_columns(values, drug, np.zeros(len(drug)))[1]}
    else:
        columns = dict(zip(("drug", "context"), split_columns(values, drug, dose), strict=True))
    n_drugs = len(np.unique(drug))
    return [make_reader(values, c, kind, n_drugs) for kind, c in columns.items() if len(c)]


@dataclass(frozen=True)
class Table:
    """Features of training drugs, or of their contexts."""

    readers: list[Reader]  # of its columns, before bends
    # (n, Q) rows, and (n,) index of the drug and dose factor of each
    values: np.ndarray
    drug: np.ndarray
    factor: np.ndarray
    effects: np.ndarray  # (D, G) expected saturating effects

    @classmethod
    def of(
        cls,
        values: np.ndarray,
        rows_are: str,
        drug: np.ndarray,
        dose: np.ndarray,
        factor: np.ndarray,
        effects: np.ndarray,
    ) -> Table:
        """With readers of all columns; `rows_are` "drug" or "context", `dose` (n,)."""
        return cls(make_readers(values, rows_are, drug, dose), values, drug, factor, effects)

    def read(self, by: np.ndarray) -> tuple[list[Reader], list[Rows], Description]:
        """Readers with bends learned from some drugs, and what they read of all."""
        readers = [reader.bent(self.values, self.drug, self.effects, by) for reader in self.readers]
        return readers, *read_rows(readers, self.values, self.drug, self.factor, len(self.effects))


def read_rows(
    readers: list[Reader], values: np.ndarray, drug: np.ndarray, factor: np.ndarray, n_drugs: int
) -> tuple[list[Rows], Description]:
    """Rows of each block, and one description a drug."""
    rows, counts = [], None
    described = [np.zeros((n_drugs, 0))]
    present, first = np.unique(drug, return_index=True)
    for reader in readers:
        x, plain = reader(values), reader.centred(values)
        if reader.describes == "context":
            rows.append(compress(x, drug, factor))
            described.append(slopes(plain, drug, factor, n_drugs))
            continue
        size = np.bincount(drug, minlength=n_drugs)[present]
        mean = np.zeros((n_drugs, x.shape[1]))
        np.add.at(mean, drug, x)
        rows.append(Rows(mean[present] / size[:, None], present, np.ones(len(present)), np.ones(len(present))))
        described.append(np.zeros((n_drugs, plain.shape[1])))
        described[-1][present] = plain[first]
        if reader.counts:
            counts = np.zeros((n_drugs, len(reader.columns)))
            counts[present] = values[first][:, reader.columns]
    block = np.repeat(np.arange(len(described)), [d.shape[1] for d in described])
    return rows, Description(
        np.concatenate(described, 1), block, counts, zero=all(reader.describes == "context" for reader in readers)
    )
