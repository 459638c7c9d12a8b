"""`scgim.pp.split_contexts`: hold out whole contexts, so that nothing of a test context is seen in training."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, Literal

import numpy as np
import pandas as pd

from scgim._checks import ANNDATA, COLUMNS, FLAG, KEY, LABEL, NAMES, SEED, TEXT, checked, number, one_of, or_none
from scgim.pp._columns import column, names, perturbations, target

if TYPE_CHECKING:
    import anndata

Treatment = frozenset[tuple[str, float]]  # drugs with their doses; empty: control


WAYS = ("dose", "drug", "combination", "covariate")


def _what(name: str, value: object) -> None:
    """A value, or a list of values or of lists of drugs."""
    if isinstance(value, str | int | float) and not isinstance(value, bool):
        return
    if not isinstance(value, list | tuple | set | frozenset) and getattr(value, "ndim", 0) != 1:
        raise TypeError(f"{name}: expected a value or a list of values to hold out, found {type(value).__name__}.")
    entries = list(value)  # type: ignore[call-overload]
    if len(entries) == 0:
        raise ValueError(
            f"{name}: expected at least one value to hold out, found none; leave it out for a random choice."
        )


@checked(
    adata=ANNDATA,
    perturbation_key=COLUMNS,
    control=LABEL,
    dose_key=or_none(COLUMNS),
    batch_key=or_none(TEXT),
    covariate_key=or_none(TEXT),
    hold_out=or_none(_what),
    drugs=or_none(NAMES),
    fraction=number(0, 1, above=True),
    key_added=KEY,
    rng=SEED,
    copy=FLAG,
)
def split_contexts(
    adata: anndata.AnnData,
    by: Literal["dose", "drug", "combination", "covariate"],
    *,
    perturbation_key: str | Sequence[str],
    control: str,
    dose_key: str | Sequence[str] | None = None,
    batch_key: str | None = None,
    covariate_key: str | None = None,
    hold_out: str | Sequence[str] | Sequence[float] | Sequence[Sequence[str]] | None = None,
    drugs: Sequence[str] | None = None,
    fraction: float = 0.2,
    key_added: str = "split",
    rng: int | np.random.Generator | None = 0,
    copy: bool = False,
) -> anndata.AnnData | None:
    """Split cells into training and test by whole contexts. Controls are always for training.

    A split of single cells is refused: every test context would then have been seen in training.

    Parameters
    ----------
    adata
        Annotated data.
    by
        What is new in the test contexts. ``"dose"``: a dose of a single drug whose other doses are trained on. ``"drug"``:
        a drug, alone and in combinations. ``"combination"``: a set of two or more drugs, at all its doses. ``"covariate"``:
        perturbed cells of a value of `covariate_key`, such as a cell line, whose controls are trained on.
    perturbation_key
        Column of ``.obs`` with the drug, or several for combinations.
    control
        Label of the control.
    dose_key
        Column with the dose, or as many as there are perturbation columns. Needed by ``"dose"``.
    batch_key
        Column with the batch, as in :func:`scgim.tl.fit`. What is held out is held out in all batches; under ``"covariate"`` it stands
        for `covariate_key`.
    covariate_key
        Column with the covariate. Needed by ``"covariate"``.
    hold_out
        What to hold out: doses or ``"highest"`` (of each drug); drugs; combinations, each a list of drugs; or values of the
        covariate. If None, a random `fraction`: of the drugs, combinations or values, or one random dose of a random
        `fraction` of the drugs (all drugs have to keep a dose).
    drugs
        For ``"dose"``: hold out doses of these drugs only.
    fraction
        Between 0 and 1; at least one is held out, and at least one is left.
    key_added
        Column to write.
    rng
        Seed or generator.
    copy
        Return a copy instead of writing into `adata`.

    Returns
    -------
    None, or the copy if `copy`. Sets:

    `adata.obs[key_added]` : categorical
        ``"train"`` or ``"test"``.
    `adata.uns[key_added]` : dict
        ``"params"``: how the split was made.

    Raises
    ------
    KeyError
        If a column is not there.
    ValueError
        If `by` is unknown, a needed column is not named, or `hold_out` names what does not occur or leaves nothing to train
        on or to test.

    Examples
    --------
    >>> scgim.pp.split_contexts(
    ...     adata, "dose", perturbation_key="drug", control="control", dose_key="dose", hold_out="highest"
    ... )
    >>> train = adata[adata.obs["split"] == "train"].copy()
    """
    _check_way(by, {"covariate_key": covariate_key, "drugs": drugs})
    if batch_key is not None:
        column(adata, "batch_key", batch_key)
        covariate_key = batch_key if by == "covariate" and covariate_key is None else covariate_key
    for needed, argument, key in (("dose", "dose_key", dose_key), ("covariate", "covariate_key", covariate_key)):
        if by == needed and key is None:
            raise ValueError(f"{argument} must be given to split by {by}, found None; name the column of adata.obs.")
    if fraction == 1:
        raise ValueError(
            "fraction: expected a number above 0 and below 1, found 1; something has to be left to train on."
        )
    treatments = perturbations(adata, perturbation_key, str(control), dose_key)
    generator = np.random.default_rng(rng)
    if by == "dose":
        test = _by_dose(treatments, hold_out, drugs, fraction, generator)
    elif by == "covariate":
        values = names(adata, "covariate_key", str(covariate_key))
        chosen = set(_choose(sorted(set(values)), hold_out, "covariate values", fraction, generator))
        test = np.array([v in chosen and bool(treatment) for v, treatment in zip(values, treatments, strict=True)])
    else:
        test = _by_drugs(treatments, hold_out, combinations=by == "combination", fraction=fraction, rng=generator)
    perturbed = np.array([bool(treatment) for treatment in treatments])
    if not test.any() or not (perturbed & ~test).any():
        raise ValueError(
            f"hold_out={hold_out!r} leaves {'no perturbed cell to train on' if test.any() else 'nothing to test'}; name other "
            "values, or other drugs."
        )
    adata = target(adata, copy=copy)
    adata.obs[key_added] = pd.Categorical(np.where(test, "test", "train"), categories=["train", "test"])
    params = {"by": by, "control": str(control), "hold_out": str(hold_out), "fraction": fraction, "rng": str(rng)}
    adata.uns[key_added] = {"params": params}
    return adata if copy else None


def _check_way(by: Any, given: dict[str, Any]) -> None:
    """Refuse ways to split that there are not, and arguments of another way than `by`."""
    if isinstance(by, str) and by in ("cell", "random"):
        raise ValueError(
            f"by={by!r}: a split of single cells leaks every test context into training; expected one of {list(WAYS)}."
        )
    one_of(*WAYS)("by", by)
    for argument, way in (("covariate_key", "covariate"), ("drugs", "dose")):
        if given[argument] is not None and by != way:
            raise ValueError(f"{argument}: is not used with by={by!r}; leave it out, or use by={way!r}.")


def _choose(possible: list, hold_out: object, what: str, fraction: float, rng: np.random.Generator) -> list:
    """The entries of `possible` that are asked for, or a random fraction of them."""
    if hold_out is None:
        if len(possible) < 2:
            raise ValueError(
                f"by: there must be at least 2 {what} to hold some out, found {len(possible)}; split by something else."
            )
        n = min(max(1, round(fraction * len(possible))), len(possible) - 1)
        return [possible[i] for i in sorted(rng.choice(len(possible), n, replace=False))]
    wanted = [hold_out] if isinstance(hold_out, str | int | float) else list(hold_out)  # type: ignore[call-overload]
    unknown = [entry for entry in wanted if entry not in possible]
    if unknown:
        raise ValueError(f"hold_out: {unknown} are no {what} of the data; expected some of {possible[:20]}.")
    return wanted


def _by_dose(
    treatments: list[Treatment],
    hold_out: object,
    drugs: Sequence[str] | None,
    fraction: float,
    rng: np.random.Generator,
) -> np.ndarray:
    """Cells of held-out doses of single drugs."""
    doses: dict[str, list[float]] = {}
    for treatment in set(treatments):
        if len(treatment) == 1:
            ((drug, dose),) = treatment
            doses.setdefault(drug, []).append(dose)
    several = sorted(drug for drug, found in doses.items() if len(found) > 1)
    if drugs is not None:
        several = [
            drug for drug in several if drug in set(_choose(several, drugs, "drugs with several doses", fraction, rng))
        ]
    elif hold_out is None:
        several = _choose(several, None, "drugs with several doses", fraction, rng)
    out: set[Treatment] = set()
    highest = isinstance(hold_out, str) and hold_out == "highest"
    if hold_out is None or highest:
        for drug in several:
            dose = max(doses[drug]) if highest else float(rng.choice(sorted(doses[drug])))
            out.add(frozenset({(drug, dose)}))
    else:
        every = sorted({dose for drug in several for dose in doses[drug]})
        wanted = {float(d) for d in _choose(every, hold_out, "doses", fraction, rng)}
        out = {frozenset({(drug, dose)}) for drug in several for dose in doses[drug] if dose in wanted}
        bare = [drug for drug in several if set(doses[drug]) <= wanted]
        if bare:
            raise ValueError(
                f"hold_out={hold_out!r} leaves no dose of {bare[:10]} to train on. Split by 'drug' for that."
            )
    return np.array([treatment in out for treatment in treatments])


def _by_drugs(
    treatments: list[Treatment], hold_out: object, *, combinations: bool, fraction: float, rng: np.random.Generator
) -> np.ndarray:
    """Cells of held-out drugs, or of held-out sets of drugs."""
    sets = [frozenset(drug for drug, _ in treatment) for treatment in treatments]
    if not combinations:
        chosen = set(_choose(sorted({d for s in sets for d in s}), hold_out, "drugs", fraction, rng))
        return np.array([bool(s & chosen) for s in sets])
    possible = sorted(sorted(s) for s in set(sets) if len(s) > 1)
    if not possible:
        raise ValueError(
            "by: there is no combination of drugs, which by='combination' needs. Name several columns as perturbation_key (see split_combinations)."
        )
    if hold_out is not None:
        if isinstance(hold_out, str):
            raise ValueError(f"hold_out: expected a list of combinations, each a list of drugs, found {hold_out!r}.")
        hold_out = [sorted([c] if isinstance(c, str) else c) for c in hold_out]  # type: ignore[attr-defined]
    out = {frozenset(c) for c in _choose(possible, hold_out, "combinations", fraction, rng)}
    return np.array([s in out for s in sets])
