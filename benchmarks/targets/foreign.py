"""Screens of simulators that share no code with the package.

    python benchmarks/targets/foreign.py

``cyclic``: steady states of 11 genes with feedback, each lowered and raised. ``sergio``: stochastic differential equations with Hill functions (as SERGIO),
80 genes in counts with dropout, 20 lowered. ``perturbseq``: 24 regulators of 96 to 287 genes in counts, lowered by two guides in 70 % of
the cells, cell cycle, two batches. ``pool``: 30 of 90 genes lowered by guides of unequal strength, 50 to 100 cells each in counts, whose depth varies by a factor of two and
with what is lowered. ``donors``: one drug on 5 of 60 genes in counts, of 8 donors and 2 cell types with baselines and responses of their own. ``doses``: 12 drugs at three doses and
two times, a plate each, on one or two of 40 genes, stress and cell cycle that most drugs move, effects that arrive late. ``phospho``: 16 kinases, read out with saturation,
12 inhibitors at two doses of what a kinase does, not of its level.
"""

from __future__ import annotations

import itertools
import sys
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

sys.path[:0] = [str(Path(__file__).parent), str(Path(__file__).parents[1])]

import _judge
import _real
import _simple
import numpy as np
import pandas as pd
from _screens import Screen
from scipy.special import expit

HERE = Path(__file__).parent
ROWS = "foreign_seeds.csv"
SURE = 0.9
SEEN = 0.02  # share of cells in which a gene must be seen in counts
Random, Draw = np.random.Generator, Callable[[], float]
Cells = Callable[[int, float, int], np.ndarray]
"""Cells (n, G) in which one gene is made at so many times its rate."""


def wire(rng: Random, G: int, among: int, n_causes: Draw, size: Draw) -> np.ndarray:
    """Effects (G, G), row causes column: causes come first, among the first so many genes."""
    weights = np.zeros((G, G))
    for j in range(1, G):
        most = min(j, among)
        causes = rng.choice(most, min(most, n_causes()), replace=False)
        weights[causes, j] = rng.choice([-1.0, 1.0], len(causes)) * [size() for _ in causes]
    return weights


def screen(cells: Cells, hits: list[tuple[int, float]], n: int, n_control: int, *, counts: bool = True) -> Screen:
    """Controls and n cells of each hit, a gene and a factor of its production."""
    import anndata

    x = np.concatenate([cells(0, 1.0, n_control)] + [cells(gene, factor, n) for gene, factor in hits])
    drugs = [f"g{gene}_{'up' if factor > 1 else 'down'}" for gene, factor in hits]
    obs = pd.DataFrame({"drug": ["control"] * n_control + list(np.repeat(drugs, n))}).rename(index=str)
    truth = {name: (name.split("_")[0],) for name in drugs}
    genes = np.array([f"g{i}" for i in range(x.shape[1])])
    if counts:
        seen = ((x > 0).mean(axis=0) > SEEN) | np.isin(genes, list(truth.values()))
        x, genes = _real.log_normalise(x)[:, seen], genes[seen]
    adata = anndata.AnnData(x.astype(np.float32), obs.astype("category"), pd.DataFrame(index=genes))
    return Screen(adata, {"perturbation_key": "drug", "control": "control"}, truth)


def cyclic(rng: Random, G: int = 11, n: int = 100) -> Screen:
    weights, base, most = np.zeros((G, G)), rng.normal(0, 0.5, G), rng.uniform(1, 3, G)
    for j in range(G):
        causes = rng.choice(np.delete(np.arange(G), j), min(1 + rng.poisson(1.0), G - 1), replace=False)
        weights[causes, j] = rng.choice([-1.0, 1.0], len(causes)) * rng.uniform(1, 2.5, len(causes))

    def cells(gene: int, factor: float, m: int) -> np.ndarray:
        rate = most * np.exp(rng.normal(0, 0.35, (m, G)) + rng.normal(0, 0.15, (m, 1)))
        rate[:, gene] *= factor
        x = np.ones((m, G))
        for _ in range(400):
            x += 0.15 * (rate * expit(2 * (x / most - 0.5) @ weights + base) + 0.02 - x)
        return np.log(x) + rng.normal(0, 0.1, (m, G))

    hits = [(g, factor) for g in range(G) for factor in (rng.uniform(0.25, 0.6), rng.uniform(1.6, 3))]
    return screen(cells, hits, n, 5 * n, counts=False)


def sergio(rng: Random, G: int = 80, n: int = 100, steps: int = 500) -> Screen:
    masters, regulators, decay, noise, dt = 5, 15, 0.8, 0.5, 0.05
    weights = wire(rng, G, regulators, lambda: rng.integers(1, 4), lambda: rng.uniform(1, 5))[:regulators]
    weights[:, :masters] = 0  # negative where a gene is repressed
    for _ in range(3):  # loops
        first, last = np.sort(rng.choice(np.arange(masters, regulators), 2, replace=False))
        weights[last, first], weights[first, last] = rng.uniform(1, 4), -rng.uniform(1, 4)
    basal = np.where(np.arange(G) < masters, rng.uniform(1, 5, G), rng.uniform(0.05, 0.4, G))
    half, amplitude = np.full(G, 2.0), np.exp(rng.normal(0, 1, G))

    def molecules(gene: int, factor: float, m: int) -> np.ndarray:
        x, rate = half * rng.uniform(0.5, 1.5, (m, G)), np.exp(rng.normal(0, 0.15, (m, 1))) * np.ones(G)
        rate[:, gene] *= factor
        for _ in range(steps):
            hill = x[:, :regulators] ** 2 / (half[:regulators] ** 2 + x[:, :regulators] ** 2)
            made = (basal + hill @ weights + np.maximum(-weights, 0).sum(axis=0)) * rate
            chance = np.sqrt(made) * rng.normal(size=x.shape) + np.sqrt(decay * x) * rng.normal(size=x.shape)
            x = np.maximum(x + (made - decay * x) * dt + noise * np.sqrt(dt) * chance, 0)
        return x

    for _ in range(2):
        half = np.maximum(molecules(0, 1.0, 60).mean(axis=0), 0.1)

    def cells(gene: int, factor: float, m: int) -> np.ndarray:
        rate = 1.5 * molecules(gene, factor, m) * amplitude * np.exp(rng.normal(0, 0.4, (m, 1)))
        return rng.poisson(rate) * (rng.random(rate.shape) < expit(np.log1p(rate) - 0.3))

    lowered = [*range(regulators), *rng.choice(np.arange(regulators, G), 5, replace=False)]
    return screen(cells, [(g, rng.uniform(0.1, 0.5)) for g in lowered], n, 6 * n)


def perturbseq(rng: Random, T: int = 24, n: int = 50) -> Screen:
    G = int(rng.integers(4 * T, 12 * T))
    weights = wire(rng, G, T, lambda: rng.poisson(2.0), lambda: rng.gamma(3, 0.08))
    mean = np.exp(np.where(np.arange(G) < T, rng.normal(0.2, 0.6, G), rng.normal(0.3, 1.0, G)))
    cycle = rng.normal(0, 0.25, (2, G)) * (rng.random(G) < 0.3)
    sd, batch = rng.uniform(0.2, 0.5, G), rng.normal(0, 0.12, G)

    def cells(gene: int, factor: float, m: int) -> np.ndarray:
        phase = rng.uniform(0, 2 * np.pi, m)
        x = rng.normal(size=(m, G)) * sd + np.c_[np.cos(phase), np.sin(phase)] @ cycle
        x += 0.15 * rng.normal() * (factor != 1) * cycle[0]
        x[:, gene] += np.log(factor) * (rng.random(m) < 0.7)
        for j in range(T):
            x += np.outer(x[:, j], weights[j])
        x += np.outer(rng.random(m) < rng.choice([0.2, 0.5, 0.8]), batch)
        return rng.poisson(mean * np.exp(x + rng.normal(0, 0.35, (m, 1))) * rng.gamma(6, 1 / 6, x.shape))

    return screen(cells, [(g, rng.uniform(0.1, 0.6)) for g in [*range(T)] * 2], n, 16 * n)


def labelled(x: np.ndarray, obs: pd.DataFrame, truth: dict[str, tuple[str, ...]], **keys: Any) -> Screen:
    """Cells (n, G) on the scale to be modelled with their labels."""
    import anndata

    var = pd.DataFrame(index=[f"g{i}" for i in range(x.shape[1])])
    obs = obs.astype(dict.fromkeys(obs.columns.difference(["dose"]), "category")).rename(index=str)
    return Screen(
        anndata.AnnData(x.astype(np.float32), obs, var),
        {"perturbation_key": "drug", "control": "control", **keys},
        truth,
    )


def pool(rng: Random, G: int = 90, T: int = 30, n: int = 50) -> Screen:
    weights = wire(rng, G, T, lambda: rng.poisson(1.2), lambda: rng.uniform(0.2, 0.9))
    mean, sd = np.exp(rng.normal(0.8, 0.9, G)), rng.uniform(0.2, 0.5, G)
    lowered, x, drugs = [-1] * 8 + list(range(T)), [], []
    for gene in lowered:
        m = int(rng.integers(n, 2 * n + 1))
        z = rng.normal(size=(m, G)) * sd
        if gene >= 0:  # guides work in most cells, by as much as they do, and some genes are needed for growth
            z[:, gene] += np.log(1 - rng.beta(4, 2)) * (rng.random(m) < rng.uniform(0.5, 1))
        for j in range(T):
            z += np.outer(z[:, j], weights[j])
        depth = rng.normal(0, 0.7, (m, 1)) - (gene >= 0) * rng.exponential(0.15)
        x.append(rng.poisson(mean * np.exp(z + depth)))
        drugs += [f"g{gene}_down" if gene >= 0 else "control"] * m
    truth = {f"g{gene}_down": (f"g{gene}",) for gene in range(T)}
    return labelled(_real.log_normalise(np.concatenate(x)), pd.DataFrame({"drug": drugs}), truth)


def donors(rng: Random, G: int = 60, n: int = 100, n_donors: int = 8) -> Screen:
    weights = wire(rng, G, G, lambda: rng.poisson(1.2), lambda: rng.uniform(0.2, 0.7))
    mean, kind = rng.normal(1.2, 0.8, G), rng.normal(0, 0.6, (2, G))
    hits = rng.choice(G, 5, replace=False)
    effect = rng.choice([-1.0, 1.0], 5) * rng.uniform(0.5, 1.2, 5)
    x, rows = [], []
    for donor in range(n_donors):
        base, own, strength = rng.normal(0, 0.4, G), rng.normal(0, 0.12, G), rng.lognormal(0, 0.4, 5)
        for cell_type, drug in itertools.product(range(2), ("control", "drug")):
            z = rng.normal(0, 0.4, (n, G))
            if drug == "drug":
                z += own
                z[:, hits] += effect * strength * rng.lognormal(0, 0.2, 5)
            for j in range(G):
                z += np.outer(z[:, j], weights[j])
            x.append(rng.poisson(np.exp(mean + kind[cell_type] + base + z + rng.normal(0, 0.4, (n, 1)))))
            rows += [(drug, f"donor_{donor}", f"type_{cell_type}")] * n
    obs = pd.DataFrame(rows, columns=["drug", "donor", "cell_type"])
    truth = {"drug": tuple(f"g{g}" for g in hits)}
    return labelled(
        _real.log_normalise(np.concatenate(x)), obs, truth, batch_key="donor", categorical_covariate_keys=["cell_type"]
    )


def doses(rng: Random, G: int = 40, n_drugs: int = 12, n: int = 40) -> Screen:
    weights = wire(rng, G, G, lambda: rng.poisson(1.3), lambda: rng.uniform(0.3, 0.9))
    programmes = rng.normal(0, 0.5, (2, G)) * (rng.random((2, G)) < 0.3)  # stress, cell cycle
    x, rows, truth = [], [], {}
    for d in range(n_drugs):
        hits, plate = rng.choice(G, rng.integers(1, 3), replace=False), rng.normal(0, 0.25, G)
        effect, ec50 = rng.choice([-1.0, 1.0], len(hits)) * rng.uniform(0.8, 2, len(hits)), np.exp(rng.normal(0, 0.7))
        move = rng.normal(0, 0.8, 2) * (rng.random(2) < 0.6)
        truth[f"drug_{d}"] = tuple(f"g{g}" for g in hits)
        for time, dose in itertools.product((6, 24), (0.0, 0.3, 1.0, 3.0)):
            acts, m = dose / (dose + ec50), 2 * n if dose == 0 else n
            start = rng.normal(0, 0.5, (m, G)) + (rng.normal(0, 0.6, (m, 2)) + acts * move * (time / 24)) @ programmes
            push = np.zeros(G)
            push[hits] = effect * acts
            z = start + push
            for _ in range(2 if time == 6 else 8):  # what is downstream follows with time
                z = start + push + np.tanh(z) @ weights
            x.append(z + plate + 0.1 * rng.normal(size=G) + rng.normal(0, 0.2, (m, G)))
            rows += [("control" if dose == 0 else f"drug_{d}", dose, f"plate_{d}", f"{time}h")] * m
    obs = pd.DataFrame(rows, columns=["drug", "dose", "plate", "time"])
    keys = {"dose_key": "dose", "batch_key": "plate", "categorical_covariate_keys": ["time"]}
    return labelled(np.concatenate(x), obs, truth, **keys)


def phospho(rng: Random, G: int = 16, n_drugs: int = 12, n: int = 150) -> Screen:
    weights = wire(rng, G, G, lambda: 1 + rng.poisson(0.7), lambda: rng.uniform(1, 2.5))
    base, half = rng.normal(0.5, 0.7, G), rng.uniform(0.3, 0.8, G)
    causes = np.flatnonzero(weights.any(axis=1))
    x, rows, truth = [], [], {}
    for d in range(-2, n_drugs):
        kinase, strength = rng.choice(causes), rng.uniform(0.5, 0.95)
        for dose in (0.0,) if d < 0 else (0.3, 1.0):
            works = np.ones(G)
            works[kinase] -= strength * dose
            m = 3 * n if d < 0 else n
            active, own = np.zeros((m, G)), rng.normal(0, 0.5, (m, G))
            for j in range(G):
                active[:, j] = expit(base[j] + own[:, j] + (2 * (active - 0.5) * works + works - 1) @ weights[:, j])
            x.append(np.log(active / (active + half) + 0.02) + rng.normal(0, 0.08, (m, G)) + rng.normal(0, 0.02, G))
            rows += [("control" if d < 0 else f"drug_{d}", dose)] * m
        if d >= 0:
            truth[f"drug_{d}"] = (f"g{kinase}",)
    return labelled(np.concatenate(x), pd.DataFrame(rows, columns=["drug", "dose"]), truth, dose_key="dose")


SMALL = {"cyclic": {"G": 5}, "sergio": {"G": 20, "steps": 50}, "perturbseq": {"T": 4}, "pool": {"G": 12, "T": 4}}
SMALL |= {"donors": {"G": 10, "n_donors": 3}, "doses": {"G": 8, "n_drugs": 2}, "phospho": {"G": 6, "n_drugs": 2}}
SIMULATORS = {each.__name__: each for each in (cyclic, sergio, perturbseq, pool, donors, doses, phospho)}


def score(case: str, seed: int, *, quick: bool, choices: dict[str, Any]) -> dict[str, float]:
    """Calls, those that are targets, and ranks, beside those of simple scores."""
    given = SIMULATORS[case](np.random.default_rng(seed), **(SMALL[case] | {"n": 20} if quick else {}))
    table, seconds = _judge.scgim(given, **choices)
    rows, out = _judge.drugs(table, given.truth), {"targets": sum(map(len, given.truth.values())), "seconds": seconds}
    out |= {"calls": rows[f"calls_{SURE}"].sum(), "true_calls": rows[f"true_{SURE}"].sum()}
    out["mrr_scgim"], genes = float((1 / rows["rank"]).mean()), list(given.adata.var_names)
    for name, (drugs, of) in _simple.scores(given).items():
        simple = _judge.drugs(_judge.of_scores(drugs, genes, of), given.truth)
        out[f"mrr_{name}"] = float((1 / simple["rank"]).mean())
    return out


def main(argv: list[str] | None = None) -> None:
    parser = _real.command(__doc__, quick="few genes and cells", case=SIMULATORS)
    parser.add_argument("--seeds", type=int, nargs="+", default=list(range(100, 105)))
    _judge.add_choices(parser)
    arguments = _judge.checked(parser, _real.parsed(parser, argv, HERE), HERE)
    cases = _real.cases(case=arguments.case, seed=arguments.seeds)
    path = _real.complete(
        arguments, ROWS, __file__, cases, partial(score, quick=arguments.quick, choices=dict(arguments.fit))
    )
    by_case = _real.read(path).drop(columns="versions").groupby("case", sort=False)
    table, total = by_case.mean(), by_case.sum()
    table["seed"], table["targets"] = by_case.size(), total["targets"]
    table["calls"], table["true_calls"], table["found"] = _judge.shares(total)
    names = {"seed": "seeds", "calls": f"calls_{SURE}", "true_calls": f"true_{SURE}", "found": f"found_{SURE}"}
    _real.keep(table.rename(columns=names).reset_index(), arguments.tables / "foreign.csv")


if __name__ == "__main__":
    main()
