"""Contexts of held-out cells, their means and their features."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd

from scgim._warnings import warn_user
from scgim.model._reading.cells import Cells, Transform
from scgim.model._reading.columns import CELLS, read_columns
from scgim.model._reading.expression import gene_names
from scgim.model._study.contexts import as_registered, derive_contexts, encode_rows
from scgim.tl._evaluation.moments import ContextCells, collect

if TYPE_CHECKING:
    from scgim.model import GIM

HELD_OUT = replace(
    CELLS, argument="adata_test", table="adata_test.obs", units=CELLS.units.replace("(adata,", "(adata_test,")
)
"""What errors name of the cells given."""


@dataclass
class Test:
    """Perturbed contexts of the held-out cells, m of them."""

    table: pd.DataFrame  # (m, registered columns and n_cells)
    group: np.ndarray  # (m,), baseline group of the training data
    dose: np.ndarray  # (m, D'), doses of the drugs below
    drugs: tuple[str, ...]  # (D',) fitted drugs, then new ones
    first: np.ndarray  # (m,), a cell of each
    cells: ContextCells

    @property
    def label(self) -> list[str]:
        """One text for each context."""
        return [
            ", ".join(f"{c}={v}" for c, v in row.items())
            for row in self.table.drop(columns="n_cells").to_dict("records")
        ]

    def part(self, keep: np.ndarray) -> Test:
        """Some of the contexts, by a mask ``(m,)``."""
        cells, table = self.cells.part(np.flatnonzero(keep)), self.table[keep].reset_index(drop=True)
        return Test(table, self.group[keep], self.dose[keep], self.drugs, self.first[keep], cells)


def without_unknown(model: GIM, test: Test, features: Any) -> Test:
    """The contexts that can be predicted: those of drugs that were fitted or have features; others are warned about.

    Raises
    ------
    KeyError
        No context is left.
    """
    of = model.study.features
    if of is not None and of.rows_are == "context":
        return test
    known = set(model.drugs)
    if of is not None:
        known |= {str(drug) for drug in of.rows}
        known |= set() if features is None else {str(drug) for drug in features.index}
    unknown = np.array([drug not in known for drug in test.drugs])  # (D',)
    lost = np.asarray((test.dose[:, unknown] > 0).any(axis=1))  # (m,)
    if not lost.any():
        return test
    names = [drug for drug, new in zip(test.drugs, unknown, strict=True) if new]
    what = f"drug(s) {names[:5]}{' and others' if len(names) > 5 else ''} were not fitted and have no features"
    mend = "pass features= with one row a drug, to a model that was fitted with features_key"
    if lost.all():
        raise KeyError(f"adata_test: {what}, so that no condition can be predicted; {mend}.")
    warn_user(f"adata_test: {what}; {int(lost.sum())} of {len(lost)} conditions are left out. To predict them {mend}.")
    return test.part(~lost)


def read_test(
    model: GIM, data: Any, n_cells: int, rng: np.random.Generator, transform: Transform | None = None
) -> Test:
    """The held-out contexts and their cells."""
    study = model.study
    spec = study.spec
    frame = read_columns(data, spec)
    if gene_names(data, spec) != list(study.genes):
        raise ValueError(
            "adata_test: expected the genes of the training data in their order; use adata_test[:, model.genes]."
        )
    contexts = derive_contexts(as_registered(frame, study.types), spec, HELD_OUT)
    adjustment = model.adjustment_
    values = None if adjustment is None else frame[list(spec.continuous)].to_numpy(float)
    held = Cells(data, spec, contexts.index, adjustment, values, transform)
    cells = collect(held, len(contexts.table), n_cells=n_cells, rng=rng)
    perturbed = np.flatnonzero(~contexts.design.control)
    if len(perturbed) == 0:
        raise ValueError("adata_test: found no perturbed cells; it needs cells with another label than the control.")
    table = contexts.table.iloc[perturbed].reset_index(drop=True)
    known = {tuple(row): k for k, row in enumerate(study.groups.astype(str).to_numpy())}
    names = contexts.groups.astype(str).to_numpy()[contexts.design.group[perturbed]]
    absent = sorted({str(tuple(row)) for row in names if tuple(row) not in known})
    if absent:
        raise ValueError(
            f"adata_test: batch or covariates {absent[:5]} were not in the training data; leave their cells out."
        )
    rows = encode_rows(table, spec, study.design.drugs, source=HELD_OUT)
    first = np.unique(contexts.index, return_index=True)[1][perturbed]
    group = np.array([known[tuple(row)] for row in names])
    test = Test(table, group, rows.matrix(), rows.drugs, first, cells.part(perturbed))
    _warn_of_leaks(model, test)
    return test


def _warn_of_leaks(model: GIM, test: Test) -> None:
    columns = [c for c in test.table.columns if c != "n_cells"]
    seen = {tuple(row) for row in model.contexts[columns].astype(str).to_numpy()}
    both = sum(tuple(row) in seen for row in test.table[columns].astype(str).to_numpy())
    if both:
        warn_user(
            f"adata_test: {both} of {len(test.table)} conditions were in the training data, so their scores say nothing "
            "about new conditions. Split by condition with scgim.pp.split_contexts."
        )


def features_of(model: GIM, data: Any, test: Test) -> Any:
    """Features of the held-out contexts under the registered key, as :meth:`scgim.model.GIM.predict` takes them."""
    study = model.study
    key, of = study.spec.features, study.features
    if key is None or of is None:
        return None
    if of.rows_are == "context":
        if key not in data.obsm:
            raise KeyError(f"features: adata_test.obsm[{key!r}] is missing; the model was fitted with it.")
        values = data.obsm[key]
        return np.asarray(values.iloc[test.first] if hasattr(values, "iloc") else values[test.first], dtype=float)
    new = [drug for drug in test.drugs if drug not in of.rows]
    if not new or key not in data.uns:
        return None
    table = data.uns[key]
    return table[table.index.astype(str).isin(new)]
