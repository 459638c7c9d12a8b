"""Designs that no model can mend: drugs that were only measured together, and drugs that share a batch with nothing."""

from __future__ import annotations

import re
from collections import defaultdict
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
import pandas as pd

from scgim._warnings import warn_user
from scgim.get._tables import as_list
from scgim.model._reading.columns import read_columns
from scgim.model._reading.spec import Spec

BATCH_WORDS = frozenset(
    "batch plate replicate rep donor patient individual subject ind animal mouse run lane gem gemgroup sample library chip date "
    "experiment well time timepoint hour hours day days".split()
)
"""A column whose name holds one of these as a word is taken for a batch also where it was not registered."""
SURE_WORDS = frozenset("batch plate donor patient individual subject".split())
"""Names of batches even where none of them holds both controls and drugs, which samples and libraries need not."""
DOSE_WORDS = frozenset("dose doses conc concentration".split())
NAMED = 5
"""Drugs that a warning names; the table names all."""


@dataclass(frozen=True)
class Finding:
    """One problem of a design."""

    problem: str  # what it is
    column: str  # column of `.obs` in which it is seen
    registered: bool  # whether the fit knows the column, so that each of its levels has a baseline of its own
    drugs: tuple[str, ...]  # drugs that are concerned
    advice: str  # what to do
    doubtless: bool = True  # whether the column can hardly be anything but a batch

    @property
    def serious(self) -> bool:
        """Whether a fit takes something else for a target: what was registered is taken off by the batch's controls."""
        if self.problem == UNUSED:
            return self.doubtless
        return not self.registered or self.problem == TOGETHER

    def __str__(self) -> str:
        more = f" and {len(self.drugs) - NAMED} more" if len(self.drugs) > NAMED else ""
        return f"{self.column}: {self.problem}: {', '.join(self.drugs[:NAMED])}{more}. {self.advice}"


TOGETHER, ONE_BATCH = "measured only together", "in one batch only"
DOSES = "at several doses, which were not registered"
UNUSED = "not registered, and beside controls in several levels"
EACH_ITS_OWN, NO_CONTROL = "each in a batch of its own", "no control in its batches"


def labels_of(data: Any, spec: Spec) -> pd.DataFrame:
    """``.obs``; of a MuData with the columns that only its modalities have, and what was registered under its own name."""
    if not hasattr(data, "mod"):
        return data.obs
    obs = data.obs.copy()
    for modality in spec.layers:
        for column, values in data.mod[modality].obs.items():
            if column not in obs and f"{modality}:{column}" not in obs:
                obs[column] = values.array
    registered = read_columns(data, spec)
    for column in registered:
        obs[column] = registered[column].array
    return obs


def find_confounded(
    obs: pd.DataFrame,
    *,
    perturbation_key: str | Sequence[str],
    control: str,
    dose_key: str | Sequence[str] | None = None,
    batch_key: str | None = None,
    categorical_covariate_keys: str | Sequence[str] | None = None,
    **_: Any,
) -> list[Finding]:
    """Confounded drugs of a screen, from its labels alone (not from the paper).

    Parameters
    ----------
    obs
        One row a cell, as of :func:`labels_of`.
    perturbation_key, control, dose_key, batch_key, categorical_covariate_keys
        As in :func:`scgim.tl.fit`, whose other arguments may be there and are not looked at.

    Returns
    -------
    Findings. `measured only together`: no cell has one of the drugs without the others. `in one batch only`: the controls
    are in several levels of a column, the drug in one. `each in a batch of its own`: the same, and no level has two drugs.
    `no control in its batches`: of a column that was not registered. `not registered, and beside controls in several
    levels`: of a column that looks like a batch or a time, where no other was registered. `at several doses, which were not
    registered`: the same drug has several values in a column that looks like doses, and ``dose_key`` is None.
    """
    keys = as_list(perturbation_key)
    cells_of = _cells_of_drugs(obs[keys], str(control))
    untreated = (obs[keys].astype(str) == str(control)).all(axis=1).to_numpy()
    findings = _together(cells_of, " and ".join(keys))
    given = (*as_list(batch_key), *as_list(categorical_covariate_keys))
    if dose_key is None and len(keys) == 1:  # of combinations nobody knows which dose is whose
        findings += _doses(obs, cells_of, untreated, {*keys, *given})
    registered = [c for c in given if c in obs]  # of a MuData they may be in its modalities alone
    for column in [*dict.fromkeys(registered), *batch_columns(obs, untreated, {*keys, *as_list(dose_key), *given})]:
        levels = obs[column].astype(str).to_numpy()
        found = _in_batches(levels, cells_of, untreated, column, registered=column in registered)
        findings += found or ([] if given else _unused(levels, cells_of, untreated, column))
    return findings


def batch_columns(obs: pd.DataFrame, untreated: np.ndarray, known: set[str]) -> list[str]:
    """Columns that look like batches by their name, have several levels among controls, and are not `known`.

    A level has to hold several controls, which names of cells do not, and controls and drugs, which samples and guides do not,
    unless the name leaves no doubt.
    """
    found = []
    for column in obs.columns:
        if not known.isdisjoint((column, str(column).partition(":")[2])):  # a MuData has "rna:plate" of the modality's
            continue
        words = _words(column)
        if BATCH_WORDS.isdisjoint(words) or pd.api.types.is_float_dtype(obs[column]):
            continue
        levels = pd.factorize(obs[column])[0]
        n_control = len(set(levels[untreated]))
        mixed = n_control >= 2 and set(levels[untreated]) & set(levels[~untreated])
        if (mixed or not SURE_WORDS.isdisjoint(words)) and n_control < untreated.sum() / 2:
            found.append(str(column))
    return found


def _words(column: Any) -> list[str]:
    return re.split(r"[^a-z]+", re.sub(r"(?<=[a-z])(?=[A-Z])", "_", str(column)).lower())


def confounded_table(findings: Sequence[Finding]) -> pd.DataFrame:
    """One row a finding: ``problem``, ``column``, ``registered``, ``n_drugs``, ``drugs`` (text) and ``advice``."""
    names = ("problem", "column", "registered", "n_drugs", "drugs", "advice")
    rows = [
        asdict(finding) | {"n_drugs": len(finding.drugs), "drugs": ", ".join(finding.drugs)} for finding in findings
    ]
    return pd.DataFrame(rows, columns=list(names))


def warn_confounded(findings: Sequence[Finding]) -> None:
    """One warning for each finding that lets a fit take something else for a target."""
    for finding in findings:
        if finding.serious:
            warn_user(str(finding))


def _cells_of_drugs(labels: pd.DataFrame, control: str) -> dict[str, np.ndarray]:
    """Cells that got each drug, alone or not: places (n_d,)."""
    places: dict[str, list[np.ndarray]] = defaultdict(list)
    for column in labels:
        codes, names = pd.factorize(labels[column].astype(str))
        for place, name in enumerate(names):
            if name != control:
                places[str(name)].append(np.flatnonzero(codes == place))
    return {name: np.unique(np.concatenate(parts)) for name, parts in sorted(places.items())}


def _together(cells_of: dict[str, np.ndarray], column: str) -> list[Finding]:
    """Drugs that were given to exactly the same cells."""
    groups: dict[bytes, list[str]] = defaultdict(list)
    for name, cells in cells_of.items():
        groups[cells.tobytes()].append(name)
    advice = "No data can tell which of them acts where: measure each alone, or give them one name."
    return [Finding(TOGETHER, column, True, tuple(names), advice) for names in groups.values() if len(names) > 1]


def _in_batches(
    levels: np.ndarray, cells_of: dict[str, np.ndarray], untreated: np.ndarray, column: str, *, registered: bool
) -> list[Finding]:
    """What is confounded with one column, whose levels are numbers (n,)."""
    of_control = set(levels[untreated])
    if len(set(levels)) < 2:
        return []
    of_drug = {name: set(levels[cells]) for name, cells in cells_of.items()}
    findings = []
    bare = tuple(name for name, there in of_drug.items() if not there & of_control)
    if bare:
        advice = "Nothing tells the drug from its batch: measure controls beside it."
        findings.append(Finding(NO_CONTROL, column, registered, bare, advice))
    single = {name: next(iter(there)) for name, there in of_drug.items() if len(there) == 1 and name not in bare}
    if not single or len(of_control) < 2:
        return findings
    alone = all(sum(level in there for there in of_drug.values()) == 1 for level in single.values())
    problem = EACH_ITS_OWN if alone and len(single) == len(of_drug) > 1 else ONE_BATCH
    advice = (
        "Controls of the batch are compared with it, but whether the effect returns elsewhere is not known."
        if registered
        else f"Differences between batches look like targets: fit with batch_key={column!r}."
    )
    return [*findings, Finding(problem, column, registered, tuple(single), advice)]


def _unused(levels: np.ndarray, cells_of: dict[str, np.ndarray], untreated: np.ndarray, column: str) -> list[Finding]:
    """Replicates that a fit would compare, were it told of them."""
    of_control = set(levels[untreated])
    shared = tuple(name for name, cells in cells_of.items() if len(of_control & set(levels[cells])) > 1)
    if not shared:
        return []
    advice = f"A change in one of its levels is taken for one in all: fit with batch_key={column!r}."
    in_levels = set.intersection(*(set[str](_words(level)) for level in of_control))
    doubtless = bool(SURE_WORDS & (set(_words(column)) | in_levels))
    return [Finding(UNUSED, column, False, shared, advice, doubtless)]


def _doses(obs: pd.DataFrame, cells_of: dict[str, np.ndarray], untreated: np.ndarray, known: set[str]) -> list[Finding]:
    """Columns that look like doses by their name, in which one drug has several values, and the controls at most one."""
    findings = []
    for column in obs.columns:
        if column in known or DOSE_WORDS.isdisjoint(_words(column)):
            continue
        levels = obs[column].astype(str).to_numpy()
        if len(set(levels[untreated])) > 1:  # such as the concentration of RNA in a well
            continue
        several = tuple(name for name, cells in cells_of.items() if len(set(levels[cells])) > 1)
        if several:
            advice = f"Effects that differ between cells of a drug look like edges: fit with dose_key={str(column)!r}."
            findings.append(Finding(DOSES, str(column), False, several, advice))
    return findings
