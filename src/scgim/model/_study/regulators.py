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
    absent = [column for column in ("source", "target") if column not in regulators]
    if absent:
        raise KeyError(f"regulators: missing column(s) {absent}; found {list(regulators.columns)}.")
    table = pd.DataFrame({"source": regulators["source"].astype(str), "target": regulators["target"].astype(str)})
    weight = regulators["weight"] if "weight" in regulators else pd.Series(1.0, index=regulators.index)
    if not pd.api.types.is_numeric_dtype(weight) or not np.isfinite(weight.to_numpy(dtype=float)).all():
        raise TypeError(f"regulators: expected finite numbers in column 'weight', found type {weight.dtype}.")
    table["weight"] = weight.to_numpy(dtype=float)
    twice = table.duplicated(["source", "target"])
    if twice.any():
        source, target = table[["source", "target"]].to_numpy()[int(twice.to_numpy().argmax())]
        raise ValueError(
            f"regulators: expected each edge once, found {source!r} to {target!r} twice; drop it with "
            "drop_duplicates(['source', 'target'])."
        )
    table = table[table["target"].isin(genes) & (table["weight"] != 0)]
    enough = table.groupby("source")["target"].transform("size") >= FEWEST
    left_out = sorted(set(regulators["source"].astype(str)) - set(table.loc[enough, "source"]))
    if not enough.any():
        raise ValueError(
            f"regulators: expected regulators of at least {FEWEST} genes of the data, found none; the targets are "
            f"{regulators['target'].astype(str).tolist()[:NAMED]}, the genes {genes[:NAMED]} ..."
        )
    if left_out:
        warn_user(
            f"regulators: {len(left_out)} of {regulators['source'].nunique()} act on fewer than {FEWEST} genes of the data and are "
            f"left out, such as {left_out[:NAMED]}.",
        )
    return _lists(table[enough], genes)


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
