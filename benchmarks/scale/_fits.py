"""Moments of eight real and eight dense simulated data sets, kept on disk so that searches alone are timed."""

import os
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from _system import System

DATA = Path(os.environ.get("SCGIM_DATA_DIR", Path(__file__).parents[3] / "shared" / "data"))


@dataclass(frozen=True)
class Data:
    """What a fit is given: moments and a design as plain arrays, and the truth where it is known."""

    moments: dict[str, Any]
    design: dict[str, Any]
    truth: dict[str, np.ndarray] = field(default_factory=dict)

    def save(self, path: Path) -> None:
        """One file."""
        path.parent.mkdir(parents=True, exist_ok=True)
        parts = {"moments": self.moments, "design": self.design, "truth": self.truth}
        np.savez(path, **{f"{part}/{name}": v for part, values in parts.items() for name, v in values.items()})


def load(path: Path) -> Data:
    """Inverse of `Data.save`."""
    parts: dict[str, dict[str, Any]] = {"moments": {}, "design": {}, "truth": {}}
    with np.load(path, allow_pickle=False) as file:
        for key in file.files:
            part, _, name = key.partition("/")
            value = file[key]
            parts[part][name] = value.item() if value.ndim == 0 else value
    return Data(**parts)


@dataclass(frozen=True)
class Case:
    """One fit: how its data are made, and what is asked for."""

    make: Callable[[], Data]
    options: dict[str, Any] = field(default_factory=dict)
    data: str = ""  # name of the data where several fits share them
    long: bool = False  # minutes rather than seconds


def from_cells(
    x: np.ndarray, obs: pd.DataFrame, *, drug: str, control: str, dose: str | None = None, group: str | None = None,
    mechanism: str = "linear", scatter: str | None = "context",
) -> Data:  # fmt: skip
    """Moments of cells ``(n, G)`` by drug, dose and baseline group."""
    from scgim._core.mechanisms import MECHANISMS
    from scgim._core.moments.moments import compute_moments

    table = pd.DataFrame(
        {"group": 0 if group is None else obs[group].to_numpy(), "drug": obs[drug].astype(str).to_numpy()}
    )
    present = (table["drug"] != control).to_numpy()
    table["dose"] = np.where(present, 1.0 if dose is None else obs[dose].to_numpy(float), 0.0)
    context = table.groupby(list(table), sort=True).ngroup().to_numpy()
    first = table.assign(k=context).drop_duplicates("k").sort_values("k")
    drugs = sorted(set(first["drug"]) - {control})
    matrix = np.array(
        [[d * (name == each) for each in drugs] for name, d in zip(first["drug"], first["dose"], strict=True)]
    )
    groups, code = np.unique(first["group"].to_numpy().astype(str), return_inverse=True)
    n = np.bincount(context)
    unit = np.array([drugs.index(name) + 1 if name in drugs else 0 for name in first["drug"]])
    block = {"context": np.arange(len(n)), "unit": np.where(unit > 0, unit, 0), None: None}[scatter]
    x = np.asarray(x, dtype=float)
    m = compute_moments(lambda: iter([(x, context)]), len(n), mechanism=MECHANISMS[mechanism], pool=block)
    moments = {name: value for name, value in vars(m).items() if value is not None} | {"mechanism": mechanism}
    return Data(moments, design(drugs, matrix, code.ravel(), groups, n, has_dose=dose is not None))


def design(
    drugs: list[str], dose: np.ndarray, group: np.ndarray, names: Any, n: np.ndarray, *, has_dose: bool
) -> dict[str, Any]:
    """The fields of a design."""
    return {
        "drugs": np.array(drugs, dtype=str), "dose": np.asarray(dose, float), "group": np.asarray(group),
        "group_names": np.array(list(names), dtype=str), "n_cells": np.asarray(n), "has_dose": has_dose,
    }  # fmt: skip


def read(folder: str, name: str) -> Any:
    """A file of the shared data."""
    import anndata

    return anndata.read_h5ad(DATA / folder / name)


def log_normalised(counts: Any) -> np.ndarray:
    """Counts to the median total of the cells, then log(1 + x)."""
    x = np.asarray(counts.toarray() if hasattr(counts, "toarray") else counts, dtype=float)
    total = np.maximum(x.sum(axis=1, keepdims=True), 1)
    return np.log1p(x / total * np.median(total)).astype(np.float32)


def glioblastoma() -> Data:
    """300 genes, one drug, five patients."""
    raw = read("gbm_panobinostat", "gbm_panobinostat.h5ad")
    return from_cells(log_normalised(raw.X), raw.obs, drug="drug", control="DMSO", group="patient_id")


def sachs(mechanism: str = "linear") -> Data:
    """11 proteins, nine conditions of which the first two are control."""
    raw = read("sachs", "sachs.h5ad")
    condition = raw.obs["condition_id"].astype(int).to_numpy()
    obs = raw.obs.assign(name=np.where(condition <= 2, "control", [f"condition {c}" for c in condition]))
    return from_cells(np.log(np.asarray(raw.X, float)), obs, drug="name", control="control", mechanism=mechanism)


def eccite() -> Data:
    """24 genes and eight knock-outs: transcription factors first, then those with most counts."""
    raw = read("known_targets/eccite_thp1", "eccite_thp1.h5ad")
    known = pd.read_csv(DATA / "regulons" / "dorothea_abc_human.csv")
    factors = set(known["source"])
    total = np.asarray(raw.X.sum(axis=0)).ravel()
    rank = np.lexsort((-total, [name not in factors for name in raw.var_names]))[:24]
    most = raw.obs["drug"].value_counts().drop("control").index[:8]
    keep = raw.obs["drug"].isin(["control", *most]).to_numpy()
    return from_cells(log_normalised(raw.X)[keep][:, np.sort(rank)], raw.obs[keep], drug="drug", control="control")


def tapseq() -> Data:
    """72 genes, 14 perturbed elements, two batches."""
    raw = read("known_targets/tapseq_k562", "tapseq_k562.h5ad")
    x = np.log1p(
        np.asarray(raw.X.toarray() if hasattr(raw.X, "toarray") else raw.X, float) / raw.obs[["size_factor"]].to_numpy()
    )
    return from_cells(x, raw.obs, drug="drug", control="control", group="batch")


def hepatocytes() -> Data:
    """17 phospho-proteins, seven inhibitors, two kinds of cells; centred by stimulus and time."""
    raw = read("known_targets/hepatocytes_inhibitors", "hepatocytes_inhibitors.h5ad")
    return from_cells(raw.layers["context_centred"], raw.obs, drug="drug", control="control", group="cell_line")


def chamber() -> Data:
    """20 quantities of a physical system under 20 interventions."""
    raw = read("known_targets/causal_chamber_lt", "causal_chamber_lt.h5ad")
    return from_cells(np.asarray(raw.X, float), raw.obs, drug="drug", control="control")


def melanoma() -> Data:
    """19 proteins, five drugs at seven doses, nine cell lines, after one hour."""
    raw = read("known_targets/melanoma_rppa_doses", "melanoma_rppa_doses.h5ad")
    keep = (raw.obs["time_h"].astype(float) == 1).to_numpy()
    return from_cells(
        np.asarray(raw.X, float)[keep], raw.obs[keep], drug="drug", control="control", dose="dose", group="cell_line"
    )


def dense(
    n_genes: int,
    n_contexts: int,
    n_cells: int,
    *,
    n_doses: int = 4,
    parents: float = 2.0,
    seed: int = 0,
    scatter: bool = False,
) -> Data:
    """A linear system whose weights are 0.5 to 1.5 whatever the number of parents; moments are drawn without cells."""
    system = System(
        n_genes,
        n_cells,
        n_contexts,
        seed,
        dense=True,
        parents=parents,
        doses=tuple(np.linspace(2 / n_doses, 2, n_doses)),
    )
    n, rng = np.asarray(system.design.n_cells, float), np.random.default_rng([seed, 1])
    noise = system.noise[:, None] * system.total  # (G, G): cells are standard normal draws times this
    mean = (system.baseline + system.shift) @ system.total + (rng.standard_normal((len(n), n_genes)) @ noise) / np.sqrt(
        n
    )[:, None]
    parts = [n - 1] if scatter else [np.array([(n - 1).sum()])]
    drawn = np.stack([wishart(float(dof), n_genes, rng) for dof in parts[0]])  # (K or 1, G, G)
    each = noise.T @ drawn @ noise
    pooled = each.sum(axis=0)
    grand = n @ mean / n.sum()
    variance = (np.diag(pooled) + n @ (mean - grand) ** 2) / n.sum()
    scale = np.sqrt(variance)
    within = pooled / np.outer(scale, scale) / (n.sum() - len(n))
    moments: dict[str, Any] = {
        "n": n, "mean": ((mean - grand) / scale)[:, :, None], "within": (within + within.T) / 2, "loc": grand, "scale": scale,
        "slope": np.ones((n_genes, 1)), "mechanism": "linear",
    }  # fmt: skip
    if scatter:
        moments |= {"scatter": each / np.outer(scale, scale), "pool": np.arange(len(n))}
    d = system.design
    return Data(moments, design(list(d.drugs), d.dose, d.group, d.group_names, n.astype(int), has_dose=n_doses > 1),
                {"weights": system.weights, "effect": system.effect})  # fmt: skip


def wishart(dof: float, n_genes: int, rng: np.random.Generator) -> np.ndarray:
    """Scatter of standard normal draws with `dof` degrees of freedom, at least G, ``(G, G)``."""
    lower = np.tril(rng.standard_normal((n_genes, n_genes)), -1)
    lower[np.diag_indices(n_genes)] = np.sqrt(rng.chisquare(dof - np.arange(n_genes)))
    return lower @ lower.T


def protocol(seed: int = 0, mechanism: str = "linear", **options: Any) -> Data:
    """20 genes and 40 drugs at four doses, as in the published protocol."""
    import scgim

    simulated = "linear" if mechanism == "linear" else "neural"
    adata = scgim.datasets.simulate(mechanism=simulated, rng=seed, **options)
    train = adata[(adata.obs["split"] == "train").to_numpy()]
    data = from_cells(
        np.asarray(train.X, float), train.obs, drug="drug", control="control", dose="dose", mechanism=mechanism,
        scatter="unit" if options.get("intervention") == "hard" else None,
    )  # fmt: skip
    return Data(data.moments, data.design, {"weights": np.asarray(adata.uns["truth"]["graph"])})


CASES: dict[str, Case] = {
    "glioblastoma_shift": Case(glioblastoma, data="glioblastoma", long=True),
    "glioblastoma_auto": Case(glioblastoma, {"intervention": "auto"}, data="glioblastoma", long=True),
    "glioblastoma_trusting": Case(glioblastoma, {"doubts": False}, data="glioblastoma", long=True),
    "factors_shift": Case(eccite, data="factors"),
    "factors_auto": Case(eccite, {"intervention": "auto"}, data="factors"),
    "sachs_shift": Case(sachs, data="sachs"),
    "sachs_auto": Case(sachs, {"intervention": "auto"}, data="sachs"),
    "tapseq_shift": Case(tapseq, data="tapseq"),
    "tapseq_auto": Case(tapseq, {"intervention": "auto"}, data="tapseq"),
    "hepatocytes_shift": Case(hepatocytes, data="hepatocytes"),
    "hepatocytes_auto": Case(hepatocytes, {"intervention": "auto"}, data="hepatocytes"),
    "chamber_shift": Case(chamber, data="chamber"),
    "chamber_auto": Case(chamber, {"intervention": "auto"}, data="chamber"),
    "melanoma_shift": Case(melanoma, data="melanoma"),
    "melanoma_auto": Case(melanoma, {"intervention": "auto"}, data="melanoma"),
    "dense_24x9_shift": Case(lambda: dense(24, 9, 9_000, n_doses=1, parents=4, scatter=True), data="dense_24x9"),
    "dense_24x9_auto": Case(
        lambda: dense(24, 9, 9_000, n_doses=1, parents=4, scatter=True), {"intervention": "auto"}, data="dense_24x9"
    ),
    "dense_38x4_shift": Case(lambda: dense(38, 4, 8_000, n_doses=1, parents=4, scatter=True), data="dense_38x4"),
    "dense_38x4_auto": Case(
        lambda: dense(38, 4, 8_000, n_doses=1, parents=4, scatter=True), {"intervention": "auto"}, data="dense_38x4"
    ),
    "dense_100x201": Case(lambda: dense(100, 201, 40_000)),
    "dense_300x201": Case(lambda: dense(300, 201, 100_000), long=True),
    "dense_300x1001_auto": Case(
        lambda: dense(300, 1_001, 500_000, scatter=True), {"intervention": "auto"}, data="dense_300x1001", long=True
    ),
    "dense_1000x752": Case(lambda: dense(1_000, 752, 580_000), long=True),
    "protocol": Case(protocol),
    "protocol_additive": Case(lambda: protocol(mechanism="additive"), {"mechanism": "additive"}),
    "protocol_hard": Case(lambda: protocol(intervention="hard"), {"intervention": "hard"}),
    "cyclic_11x23": Case(lambda: dense(11, 23, 11_000, n_doses=1), {"cyclic": True}),
}
