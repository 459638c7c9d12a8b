"""The cells of a simulated screen, and everything around them, in one AnnData."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd

from scgim.datasets._simulator import drugs
from scgim.datasets._simulator.disturbance import CellState, Disturbance, combine
from scgim.datasets._simulator.fault import World
from scgim.datasets._simulator.observe import observe
from scgim.datasets._simulator.systems import System
from scgim.datasets._simulator.truth import draw

if TYPE_CHECKING:
    import anndata

CHUNK = 50_000  # cells drawn at a time


def disturb(truth: dict[str, Any], world: World, rngs: Sequence[np.random.Generator]) -> Disturbance:
    """What all faults and the background do; written into the truth."""
    faults = world.settings["faults"]
    parts = [fault.disturb(world, rng) for fault, rng in zip(faults, rngs, strict=True)]
    truth["faults"] = {fault.name: fault.stored() | part.truth for fault, part in zip(faults, parts, strict=True)}
    total = combine([*parts, Disturbance(shift=truth.get("background"))])
    truth["disturbance"] = total.stored()
    return total


def assemble(
    settings: dict[str, Any],
    system: System,
    truth: dict[str, Any],
    disturbance: Disturbance,
    streams: dict[str, np.random.Generator],
) -> anndata.AnnData:
    """Draw the cells and put everything into one AnnData."""
    import anndata

    contexts = truth["contexts"]
    row = np.repeat(np.arange(len(contexts)), contexts["n_cells"])
    x = np.empty((len(row), settings["n_genes"]), np.float32)
    states = []
    for start in range(0, len(row), CHUNK):
        part = slice(start, start + CHUNK)
        x[part], state = draw(truth, row[part], streams["cells"], system)
        states.append(state)
    var = pd.DataFrame(index=settings["var_names"])
    adata = anndata.AnnData(x, obs=_obs(contexts, row), var=var, uns={"truth": truth} | disturbance.uns)
    adata.varm.update(disturbance.varm)
    _write_states(adata, states)
    if settings["noise"] != "gaussian":
        adata.layers["latent"] = x
        adata.X, size, made = observe(x, settings, streams["observe"])
        if size is not None:
            adata.obs["size_factor"] = size
        truth |= made
        adata.uns["truth"] = truth
    _write_features(adata, settings, truth, row, streams["features"])
    return adata


def _write_states(adata: anndata.AnnData, states: list[CellState]) -> None:
    """What the cells have of their own."""
    if states[0].responds is not None:
        adata.obs["true_responder"] = np.concatenate([state.responding(0) for state in states])
    if states[0].hidden is not None:
        hidden = [state.hidden for state in states if state.hidden is not None]
        adata.obsm["true_hidden"] = np.vstack(hidden).astype(np.float32)


def _write_features(
    adata: anndata.AnnData, settings: dict[str, Any], truth: dict[str, Any], row: np.ndarray, rng: np.random.Generator
) -> None:
    """What is known of the perturbations."""
    if isinstance(settings["features"], pd.DataFrame):
        columns = [str(name) for name in settings["features"].columns]  # numbers cannot be written
        adata.uns["features"] = settings["features"].set_axis(truth["drugs"], axis=0).set_axis(columns, axis=1)
    elif settings["features"] == "principal_components":
        contexts = truth["contexts"]
        fitted = ((contexts["split"] == "train") & (contexts["drug"] != "control")).to_numpy()
        table = drugs.principal_components(truth["targets"], truth["effects"], fitted, settings["n_features"])
        adata.obsm["features"] = table[row]
    else:
        adata.uns["features"] = _drug_features(settings, truth, rng)


def _obs(contexts: pd.DataFrame, row: np.ndarray) -> pd.DataFrame:
    """Columns of the contexts for each cell; text becomes categorical, the control first."""
    columns: dict[str, Any] = {}
    for name in contexts.columns.drop(["group", "n_cells"]):
        values = contexts[name].to_numpy()
        if contexts[name].dtype == float:
            columns[name] = values[row]
            continue
        levels = sorted(set(values), key=lambda level: (level != "control", level))
        columns[name] = pd.Categorical(values[row], categories=levels)
    columns["context"] = row
    return pd.DataFrame(columns, index=[f"cell_{i}" for i in range(len(row))])


def _drug_features(settings: dict[str, Any], truth: dict[str, Any], rng: np.random.Generator) -> pd.DataFrame:
    """Features of drugs, one row a drug, new drugs included."""
    n_features = settings["n_features"]
    if settings["features"] == "projection":
        values = drugs.projection(truth["drug_effect"], n_features, rng)
    else:
        values = rng.normal(size=(len(truth["drugs"]), n_features))
    return pd.DataFrame(values, index=pd.Index(truth["drugs"]), columns=[f"feature_{q + 1}" for q in range(n_features)])
