"""The tiny systems of the tests, in one place.

- a *study*: cells of a random linear system under single drugs, drawn by numpy alone, with the truth beside them. For numerics.
- a *screen*: AnnData of a chain of genes, drugs with difficult names, three doses. For whatever registers, saves and asks.
- *simulated* cells: :func:`scgim.datasets.simulate` at its smallest, with the truth inside. For recovery through the whole model.
- a *world* of drugs: interventions known up to noise, and features made from them. For maps from features.

The fixtures ``study``, ``screen`` and ``world`` (``conftest.py``) give them; tests that need other sizes take the makers.
"""

from dataclasses import dataclass, field
from types import SimpleNamespace

import anndata as ad
import numpy as np
import pandas as pd
import pytest
from scipy import sparse

from scgim._core.design import Design
from scgim._core.effects import Effects
from scgim._core.mechanisms import MECHANISMS
from scgim._core.moments.moments import Moments, compute_moments
from scgim._core.posterior.effects.curves import DoseCurves
from scgim.datasets import simulate

STUDY_DOSES = (0.5, 1.0, 2.0)
EC50, HILL = 0.75, 4.0


@dataclass
class Study:
    """Cells of a linear system under single drugs, with the truth."""

    graph: np.ndarray  # (G, G) weights, row causes column
    effect: np.ndarray  # (D, G) at saturation
    cells: np.ndarray  # (N, G)
    context: np.ndarray  # (N,)
    design: Design
    genes: tuple[str, ...] = field(default_factory=tuple)

    def moments(self, mechanism: str = "linear", *, pool: np.ndarray | None = None) -> Moments:
        """Moments of the cells; with `pool` ``(K,)`` the scatter of each pool of contexts apart."""
        return compute_moments(
            lambda: iter([(self.cells, self.context)]),
            len(self.design.dose),
            mechanism=MECHANISMS[mechanism],
            pool=pool,
        )

    def context_moments(self, mechanism: str = "linear") -> Moments:
        """Moments with the scatter of every context."""
        return self.moments(mechanism, pool=np.arange(len(self.design.dose)))


def make_study(
    n_genes: int = 6,
    n_drugs: int = 5,
    *,
    intervention: str = "shift",
    n_control: int = 300,
    n_cells: int = 40,
    background: float = 0.0,
    n_edges: int | None = None,
    n_groups: int = 1,
    seed: int = 0,
) -> Study:
    """Random graph with about 1.5 edges a gene, one target a drug (two for every third), three doses.

    Under activity interventions each drug weakens the outgoing effects of one gene that has children.
    """
    rng = np.random.default_rng(seed)
    G, D = n_genes, n_drugs
    order = rng.permutation(G)
    pairs = [(order[a], order[b]) for a in range(G) for b in range(a + 1, G)]
    chosen = rng.permutation(len(pairs))[: int(1.5 * G) if n_edges is None else n_edges]
    graph = np.zeros((G, G))
    for c in chosen:
        graph[pairs[c]] = rng.choice([-1, 1]) * rng.uniform(0.5, 1.2)
    effect = np.zeros((D, G))
    for d in range(D):
        if intervention == "activity":
            effect[d, rng.choice(np.flatnonzero(graph.any(axis=1)))] = rng.uniform(-1, -0.6)
            continue
        effect[d, rng.permutation(G)[: 2 if d % 3 == 2 else 1]] = rng.choice([-1, 1]) * rng.uniform(3, 5)
    noise, baseline = rng.uniform(0.6, 1.3, G), rng.uniform(-1, 1, (n_groups, G))
    rows = [(g, -1, 0.0, n_control) for g in range(n_groups)]
    rows += [(g, d, x, n_cells) for g in range(n_groups) for d in range(D) for x in STUDY_DOSES]
    dose = np.zeros((len(rows), D))
    parts, context = [], []
    for k, (g, d, amount, n) in enumerate(rows):
        shift, hit = background * noise * rng.standard_normal(G) * (d >= 0), np.zeros(G, dtype=bool)
        if d >= 0:
            dose[k, d] = amount
            hit = effect[d] != 0
            shift = shift + effect[d] * amount**HILL / (EC50**HILL + amount**HILL)
        x, outgoing = np.zeros((n, G)), np.ones(G)
        if intervention == "activity":
            shift, outgoing = np.zeros(G), 1 + shift
        for j in order:
            incoming = 0 if intervention == "hard" and hit[j] else (x * outgoing) @ graph[:, j] + baseline[g, j]
            x[:, j] = incoming + shift[j] + noise[j] * rng.standard_normal(n)
        parts.append(x)
        context.append(np.full(n, k))
    n = np.array([r[3] for r in rows])
    drugs = tuple(f"drug {d}" for d in range(D))
    design = Design(drugs, dose, np.array([r[0] for r in rows]), tuple(f"group {g}" for g in range(n_groups)), n)
    genes = tuple(f"g{j}" for j in range(G))
    return Study(graph, effect, np.concatenate(parts), np.concatenate(context), design, genes)


DRUGS = ("(+/-) JQ1/analogue", "Ünï-drug α", "drug with spaces")


def make_screen(
    seed: int = 0, *, n_genes: int = 4, n_cells: int = 12, drugs: tuple[str, ...] = DRUGS, batches: tuple[str, ...] = ()
) -> ad.AnnData:
    """Cells of a chain of genes in which drug d shifts gene d; controls first, doses 0.1, 1 and 10."""
    rng = np.random.default_rng(seed)
    rows = [("DMSO", 0.0, b) for b in batches or ("a",) for _ in range(4 * n_cells)] + [
        (d, c, b) for b in batches or ("a",) for d in drugs for c in (0.1, 1.0, 10.0) for _ in range(n_cells)
    ]
    obs = pd.DataFrame(rows, columns=["drug", "dose", "batch"])
    obs.index = [f"cell{i}" for i in range(len(obs))]
    x = np.zeros((len(obs), n_genes))
    for j in range(n_genes):
        hit = obs["drug"] == drugs[j] if j < len(drugs) else np.zeros(len(obs), bool)
        shift = np.where(hit, 4 * obs["dose"] / (obs["dose"] + 1), 0.0)
        base = obs["batch"].map({b: float(i) for i, b in enumerate(batches)}) if batches else 0.0
        x[:, j] = rng.normal(size=len(obs)) + shift + base + (0.8 * x[:, j - 1] if j else 0.0)
    var = pd.DataFrame(index=[f"g{j}" for j in range(n_genes)])
    return ad.AnnData(x.astype(np.float32), obs=obs, var=var)


def make_pairs(rows: list[tuple[str, str]], effects: dict[str, float], rng: np.random.Generator) -> ad.AnnData:
    """60 cells of four genes for each pair of drugs, whose effects on the first gene add up."""
    obs = pd.DataFrame([row for row in rows for _ in range(60)], columns=["d1", "d2"]).rename(index=str)
    shift = obs["d1"].map(effects).to_numpy() + obs["d2"].map(effects).to_numpy()
    x = rng.normal(size=(len(obs), 4))
    x[:, 0] += shift
    return ad.AnnData(x.astype(np.float32), obs=obs, var=pd.DataFrame(index=list("wxyz")))


SMALLEST = {"n_genes": 5, "edges_per_gene": 1.0, "n_drugs": 6, "n_control": 200, "n_cells": 25, "n_new_drugs": 0}


def simulated(**changes) -> ad.AnnData:
    """Cells of `scgim.datasets.simulate` at its smallest, with changes of its settings; seed 0 unless `rng` is given."""
    return simulate(**{**SMALLEST, "n_test_cells": 5, "rng": 0, **changes})


def training(adata: ad.AnnData) -> ad.AnnData:
    """The training cells of a simulated system, with the drugs that they had."""
    return adata[(adata.obs["split"] == "train").to_numpy()].copy()


FORMS = ["csr", "csc", "dask", "dask columns", "dask sparse", "backed", "backed csr", "zarr", "zarr csr"]
"""In which expression comes; the first two, and those with `sparse` or `csr`, hold zeros implicitly."""


def in_form(adata: ad.AnnData, form: str, folder) -> ad.AnnData:
    """The same cells in another form, or on disk below `folder`."""
    out = adata.copy()
    if form in ("csr", "csc"):
        out.X = sparse.csr_matrix(out.X) if form == "csr" else sparse.csc_matrix(out.X)
    elif form.startswith("dask"):
        source = sparse.csr_matrix(out.X) if "sparse" in form else out.X
        rows = {"dask": (100, 7, 193), "dask columns": 64, "dask sparse": 64}[form]
        out.X = pytest.importorskip("dask.array").from_array(
            source, chunks=(rows, 2 if form == "dask columns" else -1), asarray=False
        )
    elif form.startswith("backed"):
        out.X = sparse.csr_matrix(out.X) if "csr" in form else out.X
        out.write_h5ad(folder / "cells.h5ad")
        out = ad.read_h5ad(folder / "cells.h5ad", backed="r")
    elif form.startswith("zarr"):
        out.X = sparse.csr_matrix(out.X) if "csr" in form else out.X
        out.write_zarr(folder / "cells.zarr", chunks=(50, out.n_vars))
        group = pytest.importorskip("zarr").open(folder / "cells.zarr", mode="r")
        out.X = ad.experimental.read_elem_lazy(group["X"], chunks=(60, out.n_vars))
    return out


def random_dag(n: int, p: float, rng: np.random.Generator) -> np.ndarray:
    """Acyclic graph ``(n, n)`` of 0 and 1, with each edge that an order allows at probability p."""
    upper = np.triu(rng.random((n, n)) < p, 1)
    order = rng.permutation(n)
    graph = np.zeros_like(upper)
    graph[np.ix_(order, order)] = upper
    return graph.astype(int)


def f1(true: np.ndarray, found: np.ndarray) -> float:
    """Of edges or targets, written without the package."""
    return 2 * (true & found).sum() / max(true.sum() + found.sum(), 1)


def make_world(seed=0, *, n_genes=10, n_drugs=30, n_new=10, n_features=8, rows_are="drug", noise=0.1, informative=True):
    """Fitted interventions, design, features, and the truth of new drugs."""
    rng = np.random.default_rng(seed)
    doses = np.array([0.5, 1.0, 2.0])

    def draw(n):
        effect = np.zeros((n, n_genes))
        for row in effect:
            hit = rng.choice(n_genes, rng.integers(1, 3), replace=False)
            row[hit] = rng.uniform(2, 6, len(hit)) * rng.choice([-1, 1], len(hit))
        return effect

    known, new = draw(n_drugs), draw(n_new)
    drug, dose = np.repeat(np.arange(n_drugs), 3), np.tile(doses, n_drugs)
    new_drug, new_dose = np.repeat(np.arange(n_new), 3), np.tile(doses, n_new)
    table = np.zeros((1 + len(drug), n_drugs))
    table[1 + np.arange(len(drug)), drug] = dose
    factor, new_factor = (1 / (1 + (0.75 / c) ** 4) for c in (dose, new_dose))
    on, by = rng.normal(size=(2, n_genes, n_features))
    if rows_are == "drug":
        features, new_features = known @ by, (new @ by)[new_drug]
    else:
        features = (known[drug] != 0) @ on + (factor[:, None] * known[drug]) @ by
        new_features = (new[new_drug] != 0) @ on + (new_factor[:, None] * new[new_drug]) @ by
        features = np.r_[np.zeros((1, n_features)), features]
    if not informative:
        features, new_features = rng.normal(size=features.shape), rng.normal(size=(n_new, n_features))[new_drug]
    of_drug = Effects(
        np.where(known != 0, 1 - 1e-6, 1e-4),
        known + noise * rng.normal(size=known.shape),
        np.full(known.shape, noise),
    )
    fit = SimpleNamespace(
        of_drug=of_drug,
        acting=of_drug,
        curves=DoseCurves.known(np.full(n_drugs, 0.75), np.full(n_drugs, 4.0), n_genes),
    )
    return SimpleNamespace(
        fit=fit,
        design=SimpleNamespace(dose=table, has_dose=True),
        features=features,
        new_features=new_features,
        new_drug=new_drug,
        new_dose=new_dose,
        new_effect=new,
        new_shift=new_factor[:, None] * new[new_drug],
        known=known,
    )


def give_regulators(fitted: ad.AnnData) -> None:
    """Adds two regulators to the made-up results ``fitted_adata``: TF1 acts on g1 and g4, and two of its drugs change it; TF2 on g2, g3."""
    uns = fitted.uns["scgim"]
    table = uns["targets"].astype({"gene": object, "kind": object})
    contexts = table.drop_duplicates(["drug", "dose"])[["drug", "dose"]]
    parts = [table]
    for name, first in (("TF1", 0.9), ("TF2", 0.2)):
        new = contexts.assign(gene=name, kind="regulator", probability=first, effect=-1.0, effect_sd=0.1, rank=1)
        new.loc[new["drug"] == "drug c", "probability"] = 0.1
        parts.append(new)
    both = pd.concat(parts, ignore_index=True)
    place = {pair: k for k, pair in enumerate(contexts.itertuples(index=False, name=None))}
    at = [place[pair] for pair in zip(both["drug"], both["dose"], strict=True)]
    uns["targets"] = both.iloc[np.argsort(at, kind="stable")].reset_index(drop=True)
    source, target = ["TF1", "TF1", "TF2", "TF2"], ["g1", "g4", "g2", "g3"]
    uns["params"]["regulators"] = pd.DataFrame({"source": source, "target": target, "weight": [1.0, -1.0, 1.0, 2.0]})
    added = np.zeros((5, 7))  # (G, K)
    added[[[1], [4]], np.arange(1, 5)] = [[-0.7], [0.7]]
    fitted.varm["scgim_regulated"] = added.astype(np.float32)
