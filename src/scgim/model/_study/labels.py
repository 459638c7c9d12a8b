"""Labels of drugs that are easily taken for one another (layer `model`)."""

from __future__ import annotations

import pandas as pd

from scgim._warnings import warn_of_controls, warn_user
from scgim.model._reading.spec import Spec

SHOWN = 3  # examples in a message


def check_labels(frame: pd.DataFrame, spec: Spec) -> None:
    """Labels that read the same are refused; warnings where labels may be one drug, or a combination.

    Parameters
    ----------
    frame
        The registered columns.
    spec
        What was registered.

    Raises
    ------
    ValueError
        A column holds a number and the text that reads the same.
    """
    for column in (*spec.perturbation, *spec.covariates):
        values = list(pd.unique(frame[column].astype(object)))
        labels = [str(value) for value in values]
        twice = sorted({label for label in labels if labels.count(label) > 1})
        if twice:
            raise ValueError(
                f"{spec.arguments[column]}: column {column!r} holds {twice[:SHOWN]} both as text and as numbers; make it text: "
                f"adata.obs[{column!r}] = adata.obs[{column!r}].astype(str)."
            )
        _warn_of_near(column, labels, spec)
    drugs = {part for column in spec.perturbation for v in frame[column].unique() for part in str(v).split("+")}
    warn_of_controls(drugs, spec.control)
    if len(spec.perturbation) == 1:
        _warn_of_combinations(spec.perturbation[0], labels=[str(v) for v in frame[spec.perturbation[0]].unique()])


def _warn_of_near(column: str, labels: list[str], spec: Spec) -> None:
    """Labels that differ by case or blanks alone."""
    groups: dict[str, list[str]] = {}
    for label in labels:
        groups.setdefault("".join(label.casefold().split()), []).append(label)
    near = [sorted(group) for group in groups.values() if len(group) > 1]
    if near:
        warn_user(
            f"{spec.arguments[column]}: column {column!r} holds labels that differ by case or blanks alone, and are taken for "
            f"different ones: {near[:SHOWN]}. If they are one, give them one name in adata.obs[{column!r}]."
        )


def _warn_of_combinations(column: str, labels: list[str]) -> None:
    """Labels such as "A+B" beside "A" and "B"."""
    known = {label.strip() for label in labels}
    parts = {label: [part.strip() for part in label.split("+")] for label in labels if "+" in label}
    joined = [label for label, of in parts.items() if len(of) > 1 and all(part in known for part in of)]
    if joined:
        warn_user(
            f"perturbation_key: {len(joined)} label(s) of column {column!r}, such as {joined[0]!r}, look like combinations of others, "
            "and are taken for drugs of their own; to fit their parts, use "
            f"scgim.pp.split_combinations(adata, {column!r})."
        )
