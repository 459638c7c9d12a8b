"""The screens as another laboratory, or another user, might have them; every alteration was written down before any was fitted."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import _screens
import numpy as np
from _screens import Screen

NOISE = 0.3  # of the standard deviation of each gene over all cells
TARGET_SUM = 1e4
COFACTOR = 150.0  # of arcsinh, usual for flow cytometry
FEWEST = 2  # cells that a context keeps
WELLS = ("erbb_rnai_rppa", "melanoma_rppa_doses", "hepatocytes_inhibitors")


@dataclass(frozen=True)
class Alteration:
    """What is done: from the name of a screen, the screen and a generator to the screens that are fitted one by one, or none."""

    what: str
    alter: Callable[[str, Screen, np.random.Generator], list[Screen]]
    random: bool = False


def taken(screen: Screen, cells: np.ndarray | slice = slice(None), genes: np.ndarray | slice = slice(None)) -> Screen:
    """These cells and genes, without genes that do not vary in them, and the known targets of the drugs that are left among these genes."""
    adata = screen.adata[cells, genes].copy()
    adata = adata[:, varies(adata.X)].copy()
    key = screen.keys["perturbation_key"]
    adata.obs[key] = adata.obs[key].astype(str).astype("category")
    there, left = set(adata.obs[key]), set(adata.var_names)
    truth = {drug: tuple(g for g in names if g in left) for drug, names in screen.truth.items() if drug in there}
    return Screen(adata, dict(screen.keys), {drug: names for drug, names in truth.items() if names})


def varies(x: np.ndarray) -> np.ndarray:
    """Genes with different values, (G,) of bool; `scgim.tl.fit` asks to drop the others."""
    x = x.toarray() if hasattr(x, "toarray") else np.asarray(x)
    return x.max(0) > x.min(0)


def with_values(screen: Screen, x: np.ndarray, **more: str) -> Screen:
    """The screen with other values, (n, G)."""
    altered = taken(screen)
    altered.adata.X = np.asarray(x, np.float32)
    altered.keys.update(more)
    return altered


def share_of_cells(screen: Screen, share: float, rng: np.random.Generator, *, among: np.ndarray) -> Screen:
    """A random share of each context's cells, of the contexts `among` alone, (n,) of bool."""
    keep = ~among
    for context in np.unique(screen.context[among]):
        cells = np.flatnonzero(among & (screen.context == context))
        n = min(len(cells), max(FEWEST, round(share * len(cells))))
        keep[rng.choice(cells, n, replace=False)] = True
    return taken(screen, keep)


def is_control(screen: Screen) -> np.ndarray:
    return screen.drug == screen.keys["control"]


def half_of_cells(name: str, screen: Screen, rng: np.random.Generator) -> list[Screen]:
    return [share_of_cells(screen, 0.5, rng, among=np.ones(screen.adata.n_obs, bool))]


def tenth_of_cells(name: str, screen: Screen, rng: np.random.Generator) -> list[Screen]:
    return [] if name in WELLS else [share_of_cells(screen, 0.1, rng, among=np.ones(screen.adata.n_obs, bool))]


def half_of_controls(name: str, screen: Screen, rng: np.random.Generator) -> list[Screen]:
    return [share_of_cells(screen, 0.5, rng, among=is_control(screen))]


def some_genes(name: str, screen: Screen, rng: np.random.Generator) -> list[Screen]:
    genes = np.array(screen.adata.var_names)
    known = np.isin(genes, [gene for names in screen.truth.values() for gene in names])
    n_more = max(0, round(2 * len(genes) / 3) - known.sum())
    known[rng.choice(np.flatnonzero(~known), min(n_more, (~known).sum()), replace=False)] = True
    return [taken(screen, genes=known)]


def half_of(names: list[str], rng: np.random.Generator) -> set[str]:
    return {str(name) for name in rng.choice(names, (len(names) + 1) // 2, replace=False)} if names else set()


def half_of_drugs(name: str, screen: Screen, rng: np.random.Generator) -> list[Screen]:
    """Half of those with a known target, and half of the others."""
    others = sorted(set(screen.drug) - set(screen.truth) - {screen.keys["control"]})
    kept = half_of(sorted(screen.truth), rng) | half_of(others, rng) | {screen.keys["control"]}
    return [taken(screen, np.isin(screen.drug, list(kept)))]


def each_alone(name: str, screen: Screen, rng: np.random.Generator) -> list[Screen]:
    return [taken(screen, is_control(screen) | (screen.drug == drug)) for drug in screen.truth]


def no_batch(name: str, screen: Screen, rng: np.random.Generator) -> list[Screen]:
    if "batch_key" not in screen.keys:
        return []
    altered = taken(screen)
    del altered.keys["batch_key"]
    return [altered]


def raw(name: str, screen: Screen) -> np.ndarray:
    """Values of the file for the genes of the screen, (n, G)."""
    x = _screens.read(name)[:, screen.adata.var_names].X
    return np.asarray(x.toarray() if hasattr(x, "toarray") else x, float)


def counts(name: str, screen: Screen, rng: np.random.Generator) -> list[Screen]:
    """Raw counts with noise="poisson_lognormal"; the file's size factors where it has some, else the default."""
    more = {"tapseq_k562": {"size_factor_key": "size_factor"}, "eccite_thp1": {}}
    return [with_values(screen, raw(name, screen), noise="poisson_lognormal", **more[name])] if name in more else []


def other_scale(name: str, screen: Screen, rng: np.random.Generator) -> list[Screen]:
    """Counts to 10,000 a cell, then log(1 + x); arcsinh in place of logarithms; readings in their own units; wells that were not centred."""
    if name in ("tapseq_k562", "eccite_thp1"):
        total = np.asarray(_screens.read(name).X.sum(1), float).reshape(-1, 1)
        return [with_values(screen, np.log1p(raw(name, screen) / np.maximum(total, 1) * TARGET_SUM))]
    if name == "sachs":
        return [with_values(screen, np.arcsinh(np.asarray(screen.adata.layers["raw"], float) / COFACTOR))]
    if name == "causal_chamber_lt":
        return [with_values(screen, raw(name, screen))]
    if name == "hepatocytes_inhibitors":
        return [with_values(screen, screen.adata.layers["log2_plus50"])]
    return []


def scaled(name: str, screen: Screen, rng: np.random.Generator) -> list[Screen]:
    """As `scanpy.pp.scale` does."""
    x = screen.expression
    return [with_values(screen, (x - x.mean(0)) / x.std(0, ddof=1))]


def noisy(name: str, screen: Screen, rng: np.random.Generator) -> list[Screen]:
    x = screen.expression
    return [with_values(screen, x + NOISE * x.std(0) * rng.normal(size=x.shape))]


def targets_absent(name: str, screen: Screen, rng: np.random.Generator) -> list[Screen]:
    if len(screen.truth) < 2:
        return []
    gone = {gene for drug in half_of(sorted(screen.truth), rng) for gene in screen.truth[drug]}
    return [taken(screen, genes=~np.isin(screen.adata.var_names, list(gone)))]


def unaltered(name: str, screen: Screen, rng: np.random.Generator) -> list[Screen]:
    return [screen]


ALTERATIONS = {
    "none": Alteration("as in the table of real screens", unaltered),
    "half_of_cells": Alteration("a random half of the cells of each context", half_of_cells, random=True),
    "tenth_of_cells": Alteration("a random tenth (not of wells)", tenth_of_cells, random=True),
    "some_genes": Alteration("a random two thirds of the genes, with all known targets", some_genes, random=True),
    "half_of_drugs": Alteration("a random half of the drugs", half_of_drugs, random=True),
    "each_alone": Alteration("each drug alone against control", each_alone),
    "no_batch": Alteration("without the batch key", no_batch),
    "half_of_controls": Alteration("a random half of the controls", half_of_controls, random=True),
    "counts": Alteration("raw counts, noise='poisson_lognormal'", counts),
    "other_scale": Alteration("10,000 counts a cell; arcsinh; readings in their units; wells not centred", other_scale),
    "scaled": Alteration("each gene to mean 0 and standard deviation 1", scaled),
    "noisy": Alteration("noise of 0.3 standard deviations added to each gene", noisy, random=True),
    "targets_absent": Alteration("known targets of a half of the drugs are not measured", targets_absent, random=True),
}


def for_simple_scores(screen: Screen) -> Screen:
    """Logarithms of counts."""
    if "noise" not in screen.keys:
        return screen
    x = screen.expression
    size = screen.adata.obs[screen.keys["size_factor_key"]] if "size_factor_key" in screen.keys else x.sum(1)
    size = np.asarray(size, float)[:, None]
    return with_values(screen, np.log1p(x / np.maximum(size / np.median(size), 1e-3)))
