"""Networks of regulators as users give them (layer `model`; not from the paper)."""

from __future__ import annotations

from typing import Any

import numpy as np
import pandas as pd

from scgim._core.posterior.regulation.network import Network
from scgim._core.settings import Settings
from scgim._warnings import warn_user

FEWEST = 3
"""Genes of the data that a regulator has to act on."""
NAMED = 3
"""Names in a message."""


def check_regulators(settings: Settings[Any]) -> None:
    """Raises a ValueError where regulators do not go with the other choices."""
    needed: dict[str, tuple[str, ...]] = {
        "intervention": ("shift",),
        "structure": ("search",),
        "mechanism": ("linear", "additive"),
    }
    _check_choices("regulators", settings, needed)


def check_penetrance(settings: Settings[Any]) -> None:
    """Raises a ValueError where penetrance cannot be learned under the other choices."""
    needed: dict[str, tuple[str, ...]] = {
        "intervention": ("shift",),
        "structure": ("search",),
        "mechanism": ("linear", "additive"),
        "noise": ("gaussian",),
    }
    _check_choices("penetrance", settings, needed)


def _check_choices(option: str, settings: Settings[Any], needed: dict[str, tuple[str, ...]]) -> None:
    """Raises a ValueError where an option needs other choices than these."""
    for argument, names in needed.items():
        found = settings.named()[argument]
        if found not in names:
            raise ValueError(
                f"{option}: expected {argument}={' or '.join(map(repr, names))}, found {found!r}; use that, or leave {option} out."
            )


def normalise_regulators(regulators: Any, genes: list[str]) -> dict[str, Any] | None:
    """A network as plain lists, see `network_of`.

    Parameters
    ----------
    regulators
        None; a DataFrame with `source`, `target` and perhaps `weight`, the format of decoupler; or what this returns.
    genes
        Names of the G genes.

    Raises
    ------
    TypeError, KeyError, ValueError
        It is no such table, or no regulator in it acts on enough genes of the data.
    """
    if regulators is None or (isinstance(regulators, dict) and "names" in regulators):
        return regulators  # the second is what a saved model holds
    if not isinstance(regulators, pd.DataFrame):
        raise TypeError(
            "regulators: expected a DataFrame with 'source', 'target' and 'weight', such as decoupler's op.collectri(), found "
            f"{type(regulators).__name__}."
        )
    edges = _edges(regulators)
    inside = edges[edges["target"].isin(genes) & (edges["weight"] != 0)]
    enough = inside.groupby("source")["target"].transform("size") >= FEWEST
    if not enough.any():
        raise ValueError(
            f"regulators: expected regulators of at least {FEWEST} genes of the data, found none; the targets are "
            f"{edges['target'].tolist()[:NAMED]}, the genes {genes[:NAMED]} ..."
        )
    left_out = sorted(set(edges["source"]) - set(inside.loc[enough, "source"]))
    if left_out:
        warn_user(
            f"regulators: {len(left_out)} of {edges['source'].nunique()} act on fewer than {FEWEST} genes of the data and are "
            f"left out, such as {left_out[:NAMED]}.",
        )
    return _lists(inside[enough], genes)


def _edges(regulators: pd.DataFrame) -> pd.DataFrame:
    """Columns `source`, `target` and `weight`, checked."""
    absent = [column for column in ("source", "target") if column not in regulators]
    if absent:
        raise KeyError(f"regulators: missing column(s) {absent}; found {list(regulators.columns)}.")
    edges = pd.DataFrame({"source": regulators["source"].astype(str), "target": regulators["target"].astype(str)})
    weight = regulators["weight"] if "weight" in regulators else pd.Series(1.0, index=regulators.index)
    if not pd.api.types.is_numeric_dtype(weight) or not np.isfinite(weight.to_numpy(dtype=float)).all():
        raise TypeError(f"regulators: expected finite numbers in column 'weight', found type {weight.dtype}.")
    twice = edges.duplicated(["source", "target"])
    if twice.any():
        source, target = edges.to_numpy()[int(twice.to_numpy().argmax())]
        raise ValueError(
            f"regulators: expected each edge once, found {source!r} to {target!r} twice; drop it with "
            "drop_duplicates(['source', 'target'])."
        )
    return edges.assign(weight=weight.to_numpy(dtype=float))


def _lists(table: pd.DataFrame, genes: list[str]) -> dict[str, Any]:
    """Edges with weights of root mean square one for each regulator."""
    names, source = np.unique(table["source"].to_numpy(dtype=str), return_inverse=True)
    position = {name: j for j, name in enumerate(genes)}
    weight = table["weight"].to_numpy()
    size = np.sqrt(np.bincount(source, weight**2) / np.bincount(source))
    return {
        "names": names.tolist(),
        "source": source.tolist(),
        "target": [position[name] for name in table["target"]],
        "weight": (weight / size[source]).tolist(),
    }


def network_of(state: dict[str, Any] | None) -> Network | None:
    """The network; None without one."""
    if state is None:
        return None
    return Network(
        tuple(state["names"]),
        np.asarray(state["source"], dtype=int),
        np.asarray(state["target"], dtype=int),
        np.asarray(state["weight"], dtype=float),
    )
