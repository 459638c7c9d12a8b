"""Simulated data in which the model is wrong, split into what is fitted and what is predicted."""

from __future__ import annotations

from functools import partial
from typing import NamedTuple

import anndata as ad
import numpy as np
import pandas as pd


class Case(NamedTuple):
    """Training cells, how they are set up, what is asked, and the truth."""

    train: ad.AnnData
    setup: dict
    asked: pd.DataFrame
    truth: np.ndarray
    """(m, G) means of the asked rows, on the scale that is compared."""
    baselines: dict[str, np.ndarray]
    """By name, (m, G) of what simple rules say."""
    counts: bool = False


def _frame(x: np.ndarray, obs: pd.DataFrame) -> ad.AnnData:
    var = pd.DataFrame(index=[f"gene_{j + 1}" for j in range(x.shape[1])])
    return ad.AnnData(
        x.astype(np.float32), obs=obs.reset_index(drop=True).set_axis([f"cell_{i}" for i in range(len(x))]), var=var
    )


def doses(seed: int, *, fault: str, quick: bool) -> Case:
    """New doses under square mechanisms, or hidden causes that drugs move (`scgim.datasets.simulate`)."""
    import scgim

    size = {"n_genes": 8, "n_drugs": 6, "n_control": 150} if quick else {"n_genes": 20, "n_drugs": 20, "n_control": 400}
    wrong: dict = {"mechanism": "square"} if fault == "square" else {}
    if fault == "hidden":
        wrong = {"faults": [scgim.datasets.faults.LatentFactors(n=3, n_genes=size["n_genes"] // 2, drug_sd=2.0)]}
    adata = scgim.datasets.simulate(**size, **wrong, n_new_drugs=0, n_test_cells=200, rng=seed)
    train = adata[(adata.obs["split"] == "train").to_numpy()].copy()
    test = adata[(adata.obs["split"] != "train").to_numpy()]
    train.uns, train.obsm = {}, {}
    mean = lambda part: (
        pd.DataFrame(part.X, index=pd.MultiIndex.from_frame(part.obs[["drug", "dose"]].astype({"drug": str})))
        .groupby(level=[0, 1])
        .mean()
    )
    fitted, held = mean(train), mean(test)
    control = fitted.loc["control"].to_numpy()[0]
    rules: dict[str, list] = {"nearest dose": [], "between doses": [], "linear in dose": [], "mean change": []}
    for drug, dose in held.index:
        known = fitted.loc[drug]
        at, value = known.index.to_numpy(float), known.to_numpy() - control
        rules["nearest dose"].append(value[np.abs(np.log(at / dose)).argmin()])
        each = lambda x, xs, ys: np.array([np.interp(x, xs, y) for y in ys.T])
        rules["between doses"].append(each(np.log(dose), np.log(at), value))
        rules["linear in dose"].append(each(dose, np.append(0, at), np.vstack([0 * value[:1], value])))
        rules["mean change"].append(value.mean(axis=0))
    asked = held.index.to_frame(index=False).set_axis(["drug", "dose"], axis=1)
    setup = {"perturbation_key": "drug", "dose_key": "dose", "control": "control"}
    return Case(train, setup, asked, held.to_numpy(), {n: control + np.stack(v) for n, v in rules.items()})


def pairs(seed: int, *, quick: bool) -> Case:
    """Activations of genes and their pairs: wide responses, of which pairs keep a share, with interactions of single genes."""
    rng = np.random.default_rng(seed)
    n, G, n_cells = (6, 10, 60) if quick else (16, 60, 150)
    loading = rng.normal(0, 1, (3, G))
    single = np.where(rng.random((n, G)) < 0.5, rng.normal(0, 0.3, (n, G)), 0) + rng.normal(0, 0.4, (n, 3)) @ loading
    single[np.arange(n), np.arange(n) % G] += 3.0
    noise = rng.normal(0, 0.5, (3, G))
    couples = [(i, j) for i in range(n) for j in range(i + 1, n)]
    couples = [couples[i] for i in rng.permutation(len(couples))[: 8 if quick else 40]]
    share = rng.uniform(0.5, 1.0, len(couples))
    change = [s * (single[i] + single[j]) + rng.normal(0, 0.25, G) for s, (i, j) in zip(share, couples, strict=True)]
    base, known = rng.normal(0, 1, G), len(couples) // 2

    def cells(mean: np.ndarray, m: int) -> np.ndarray:
        return base + mean + rng.normal(size=(m, 3)) @ noise + rng.normal(0, 0.8, (m, G))

    names = [("control", "control", 0 * base, 1000)] + [(f"g{i}", "control", single[i], n_cells) for i in range(n)]
    names += [(f"g{i}", f"g{j}", change[c], n_cells) for c, (i, j) in enumerate(couples[:known])]
    x = np.concatenate([cells(mean, m) for _, _, mean, m in names])
    obs = pd.DataFrame([(a, b) for a, b, _, m in names for _ in range(m)], columns=["first", "second"])
    train = _frame(x, obs)
    mean = pd.DataFrame(x).groupby([obs["first"], obs["second"]]).mean()
    control = mean.loc[("control", "control")].to_numpy()
    summed = [
        control + sum(mean.loc[(f"g{i}", "control")].to_numpy() - control for i in pair) for pair in couples[known:]
    ]
    asked = pd.DataFrame([(f"g{i}", f"g{j}") for i, j in couples[known:]], columns=["first", "second"])
    setup = {"perturbation_key": ["first", "second"], "control": "control"}
    return Case(train, setup, asked, base + np.stack(change[known:]), {"sum of drugs": np.stack(summed)})


def cell_type(seed: int, *, quick: bool) -> Case:
    """Counts of one drug in several cell types, each with its own baseline and its own part of the response; one is left out."""
    rng = np.random.default_rng(seed)
    n_types, G, n_cells = (3, 15, 80) if quick else (6, 60, 200)
    factor = rng.normal(0, 0.3, (3, G))
    common = np.where(rng.random(G) < 0.4, rng.normal(0, 1.0, G), 0.0)
    base = rng.normal(0.5, 1.0, G) + rng.normal(0, 0.7, (n_types, G))
    own = common * rng.uniform(0.7, 1.3, (n_types, 1)) + rng.normal(0, 0.2, (n_types, G))
    x, obs, truth = [], [], {}
    for t in range(n_types):
        for drug, change in (("control", 0.0), ("drug", own[t])):
            rate = base[t] + change + rng.normal(size=(n_cells, 3)) @ factor + rng.normal(0, 0.2, (n_cells, G))
            depth = np.exp(rng.normal(0, 0.3, (n_cells, 1)))
            counts = rng.poisson(depth * np.exp(rate))
            truth[t, drug] = np.log1p(counts / np.maximum(counts.sum(axis=1, keepdims=True), 1) * 100).mean(axis=0)
            if (t, drug) != (0, "drug"):
                x.append(counts)
                obs += [(f"type_{t}", drug)] * n_cells
    train = _frame(np.concatenate(x), pd.DataFrame(obs, columns=["type", "drug"]))
    moved = truth[0, "control"] + np.mean([truth[t, "drug"] - truth[t, "control"] for t in range(1, n_types)], axis=0)
    asked = pd.DataFrame({"drug": ["drug"], "type": ["type_0"]})
    setup = {"perturbation_key": "drug", "control": "control", "categorical_covariate_keys": ["type"]}
    return Case(train, setup, asked, truth[0, "drug"][None], {"mean change": moved[None]}, counts=True)


CASES = {
    "doses, square mechanisms": partial(doses, fault="square"),
    "doses, hidden causes": partial(doses, fault="hidden"),
    "pairs with interactions": pairs,
    "cell type left out, counts": cell_type,
}
