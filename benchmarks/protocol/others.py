"""Neural systems that the simulator of the package did not make: other widths, activations and weights.

    python benchmarks/protocol/others.py
    python benchmarks/protocol/others.py --system "softplus, width 20" --seeds 0 --features bent
    python benchmarks/protocol/others.py --system "tanh, width 20" --graph hubs --weights 2

Twenty genes, 40 drugs at 4 doses, 50 cells a context and 800 controls as in the protocol; networks, graph, doses and features are written
here and share no code with the package. A graph has each edge of an order with one probability (`any_pair`), or genes take parents in
proportion to the children these have (`hubs`); both have about two edges a gene. `--weights` multiplies the weights into the hidden units. Features are
15 random projections of a drug's effects, or hyperbolic tangents of these (`bent`). Errors
are mean distances of predicted and true means at new doses and for 20 new drugs; `best_baseline` is the smallest of control mean, training
mean, nearest neighbours, ridge regression and a Gaussian process on features and dose (and, for new doses, interpolation in dose), chosen in hindsight.
`scgim` has neural mechanisms, `scgim_default` linear ones. `oracle` is the true system with true effects, but for those on genes that no training
drug hits: these are drawn from the effects of the training drugs, as nothing tells their sign or size.
"""

from __future__ import annotations

import os
import sys
from pathlib import Path

for _name in ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS"):  # before numpy
    os.environ.setdefault(_name, "1")
sys.path.insert(0, str(Path(__file__).parents[1]))

import argparse
import itertools
import time
import warnings
from collections.abc import Callable
from typing import NamedTuple

import _real
import numpy as np
import pandas as pd

HERE = Path(__file__).parent
G, DOSES, NEW_DOSES = 20, (0.5, 1.0, 1.5, 2.0), (0.25, 0.75, 1.25, 1.75, 2.25)


class Shape(NamedTuple):
    """Of the networks."""

    hidden: int
    activation: str
    weight_sd: float
    graph: str = "any_pair"


ACTIVATIONS = {
    "tanh": np.tanh,
    "softplus": lambda x: np.logaddexp(0, x),
    "sine": np.sin,
    "relu": lambda x: np.maximum(x, 0),
}
WEIGHT_SD = {"tanh": 1.5, "softplus": 1.0, "sine": 0.7, "relu": 1.2}
SYSTEMS = {f"{a}, width {h}": Shape(h, a, sd) for a, sd in WEIGHT_SD.items() for h in (5, 20, 50)}
KEYS = ["system", "graph", "weights", "features", "seed"]
METHODS = {"scgim": "neural", "scgim_additive": "additive", "scgim_default": "linear"}
ORDER = [*METHODS, "best_baseline", "oracle"]
ERRORS = {"mean_distance_new_doses": "ratio_new_doses", "mean_distance_new_drugs": "ratio_new_drugs"}
FEATURES = {"linear": lambda effect: effect, "bent": lambda effect: np.tanh(effect / 2)}


def any_pair(rng: np.random.Generator) -> np.ndarray:
    """(G, G) along an order, every pair with the same probability."""
    return np.triu(rng.random((G, G)) < 4 / (G - 1), 1)


def hubs(rng: np.random.Generator) -> np.ndarray:
    """(G, G) along an order: each gene takes two parents, each with a probability in proportion to one and its children so far."""
    out = np.zeros((G, G), dtype=bool)
    for j in range(1, G):
        weight = 1.0 + out[:j, :j].sum(axis=1)
        out[rng.choice(j, min(j, 2), replace=False, p=weight / weight.sum()), j] = True
    return out


GRAPHS: dict[str, Callable[[np.random.Generator], np.ndarray]] = {"any_pair": any_pair, "hubs": hubs}


class System:
    """A random graph with one network a gene, scaled on its own controls."""

    def __init__(self, shape: Shape, rng: np.random.Generator) -> None:
        self.order = rng.permutation(G)
        self.graph = np.zeros((G, G), dtype=bool)
        self.graph[np.ix_(self.order, self.order)] = GRAPHS[shape.graph](rng)
        self.act, self.networks = ACTIVATIONS[shape.activation], {}
        self.noise = rng.uniform(0.6, 1.2, G)
        self.base = rng.uniform(-1, 1, G)
        x = np.zeros((3000, G))
        for j in self.order:
            pa = np.flatnonzero(self.graph[:, j])
            if len(pa):
                loc, scale = x[:, pa].mean(axis=0), x[:, pa].std(axis=0)
                inner = rng.normal(0, shape.weight_sd, (len(pa), shape.hidden))
                bias, outer = rng.normal(0, 0.5, shape.hidden), rng.normal(0, 1, shape.hidden)
                raw = self.act((x[:, pa] - loc) / scale @ inner + bias) @ outer
                size = raw.std()
                self.networks[j] = pa, loc, scale, inner, bias, outer / size, raw.mean() / size
            x[:, j] = self.mean(j, x) + self.noise[j] * rng.normal(size=len(x))

    def mean(self, j: int, x: np.ndarray) -> np.ndarray:
        """Of gene j given cells (n, G)."""
        if j not in self.networks:
            return np.full(len(x), self.base[j])
        pa, loc, scale, inner, bias, outer, centre = self.networks[j]
        return self.base[j] + self.act((x[:, pa] - loc) / scale @ inner + bias) @ outer - centre

    def cells(self, shift: np.ndarray, n: int, rng: np.random.Generator) -> np.ndarray:
        """(n, G) under a shift (G,), or (G, n) where each cell has its own."""
        x = np.zeros((n, G))
        for j in self.order:
            x[:, j] = self.mean(j, x) + shift[j] + self.noise[j] * rng.normal(size=n)
        return x


def drugs(n: int, rng: np.random.Generator) -> np.ndarray:
    """Full effects (n, G) on one to three genes."""
    out = np.zeros((n, G))
    for row in out:
        hit = rng.choice(G, rng.integers(1, 4), replace=False)
        row[hit] = rng.uniform(2, 6, len(hit)) * rng.choice([-1, 1], len(hit))
    return out


def height(dose: np.ndarray | float) -> np.ndarray:
    """Part of the full effect."""
    return 1 / (1 + (0.75 / np.asarray(dose)) ** 4)


def knows_all_but_unseen(system: System, known: np.ndarray, new: np.ndarray, truth: np.ndarray) -> float:
    """Mean distance from the truth, by drug and dose, where only effects on genes that no training drug hits are unknown."""
    rng, unseen, out = np.random.default_rng(0), ~known.any(axis=0), []
    for effect, dose in itertools.product(new, DOSES):
        each, missing = np.tile(effect[:, None], 4000), unseen & (effect != 0)
        each[missing] = rng.choice(known[known != 0], (int(missing.sum()), 4000))
        out.append(system.cells(each * height(dose), 4000, rng).mean(axis=0))
    return float(np.linalg.norm(np.stack(out) - truth, axis=1).mean())


def score(name: str, graph: str, weights: float, bend: str, seed: int, methods: list[str]) -> pd.DataFrame:
    """One row a method and question."""
    import anndata

    import scgim
    from scgim.metrics import baselines

    rng = np.random.default_rng([seed, *name.encode()])
    shape = SYSTEMS[name]._replace(graph=graph, weight_sd=SYSTEMS[name].weight_sd * weights)
    system, known, new = System(shape, rng), drugs(40, rng), drugs(20, rng)
    mix = rng.normal(size=(G, 15)) / G**0.5
    names, fresh = [f"d{i}" for i in range(40)], [f"n{i}" for i in range(20)]
    described = FEATURES[bend](np.vstack([known, new]) @ mix)
    features = pd.DataFrame(described, index=names + fresh, columns=[f"f{q}" for q in range(15)])
    pairs = [(d, v) for d in range(40) for v in DOSES]
    x = [system.cells(np.zeros(G), 800, rng)] + [system.cells(known[d] * height(v), 50, rng) for d, v in pairs]
    labels = [("control", 0.0)] * 800 + [(names[d], v) for d, v in pairs for _ in range(50)]
    obs = pd.DataFrame(labels, columns=["drug", "dose"], index=[f"c{i}" for i in range(len(labels))])
    var = pd.DataFrame(index=[f"g{j}" for j in range(G)])
    adata = anndata.AnnData(np.concatenate(x).astype(np.float32), obs=obs, var=var, uns={"features": features})
    asked = {
        "new_doses": pd.DataFrame([(names[d], v) for d in range(40) for v in NEW_DOSES], columns=["drug", "dose"]),
        "new_drugs": pd.DataFrame([(n, v) for n in fresh for v in DOSES], columns=["drug", "dose"]),
    }
    of = dict(zip(names + fresh, np.vstack([known, new]), strict=True))
    truth = {
        q: np.stack([system.cells(of[r.drug] * height(r.dose), 4000, rng).mean(axis=0) for r in t.itertuples()])
        for q, t in asked.items()
    }
    rows = [("oracle", "mean_distance_new_drugs", knows_all_but_unseen(system, known, new, truth["new_drugs"]))]

    def told(question: str, method: str, mean: np.ndarray) -> float:
        error = float(np.linalg.norm(mean - truth[question], axis=1).mean())
        rows.append((method, f"mean_distance_{question}", error))
        return error

    seen = np.stack([part.mean(axis=0) for part in x[1:]])
    table = lambda t: np.column_stack([features.loc[t["drug"]].to_numpy(), t["dose"], height(t["dose"])])
    train = table(pd.DataFrame([(names[d], v) for d, v in pairs], columns=["drug", "dose"]))
    for question, t in asked.items():
        guesses = [getattr(baselines, b)(train, seen, table(t)) for b in ("training_mean", "knn", "ridge", "gp")]
        guesses.append(np.tile(x[0].mean(axis=0), (len(t), 1)))
        if question == "new_doses":
            each = seen.reshape(40, len(DOSES), G)
            guesses.append(
                np.stack([[np.interp(v, DOSES, c) for c in each[d].T] for d in range(40) for v in NEW_DOSES])
            )
        errors = [float(np.linalg.norm(g - truth[question], axis=1).mean()) for g in guesses]
        rows.append(("best_baseline", f"mean_distance_{question}", min(errors)))
    for method in methods:
        start = time.process_time()
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            model = scgim.tl.fit(
                adata.copy(),
                perturbation_key="drug",
                dose_key="dose",
                control="control",
                features_key="features",
                mechanism=METHODS[method],
                progress=False,
                accelerator="cpu",
            )
        rows.append((method, "seconds", time.process_time() - start))
        _, probability = model.get_graph()
        rows.append((method, "edge_f1", scgim.metrics.edge_f1(system.graph, probability.toarray() > 0.5)))
        for question, t in asked.items():
            told(question, method, model.predict_mean(t).to_numpy())
        print(name, graph, weights, bend, seed, method, rows[-4:], flush=True)
    return pd.DataFrame(rows, columns=["method", "metric", "value"])


def parse(argv: list[str] | None = None) -> argparse.Namespace:
    parser = _real.command(__doc__, seeds=1, system=SYSTEMS, method=METHODS)
    parser.add_argument("--graph", nargs="+", choices=list(GRAPHS), default=list(GRAPHS)[:1])
    parser.add_argument("--weights", nargs="+", type=float, default=[1.0], help="multiples of the weights")
    parser.add_argument("--features", nargs="+", choices=list(FEATURES), default=list(FEATURES)[:1])
    return _real.parsed(parser, argv, HERE)


def main(argv: list[str] | None = None) -> None:
    arguments = parse(argv)
    path = arguments.out / "others_seeds.csv"
    if arguments.summary:
        _real.need(path, __file__)
    else:
        _real.quiet()
        made_by = _real.versions()
        cases = itertools.product(
            arguments.system, arguments.graph, arguments.weights, arguments.features, arguments.seeds
        )
        for case in cases:
            if case not in _real.finished(path, KEYS):
                _real.record(path, dict(zip(KEYS, case, strict=True)), score(*case, arguments.method), made_by)
    print(table(path, arguments.tables / "others.csv").round(3).to_string())


def table(path: Path, to: Path) -> pd.DataFrame:
    """Averages over seeds, how many these are, and the part that is left of the best baseline's error."""
    wide = _real.summarise(path, KEYS[:-1], to, ORDER)
    seeds = _real.read(path).groupby([*KEYS[:-1], "method"])["seed"].nunique().rename("seeds").reset_index()
    best = wide[wide["method"] == "best_baseline"].drop(columns="method")
    wide = wide.merge(seeds).merge(best[[*KEYS[:-1], *ERRORS]], on=KEYS[:-1], suffixes=("", "_best"))
    for error, ratio in ERRORS.items():
        wide[ratio] = wide[error] / wide.pop(f"{error}_best")
    wide.to_csv(to, index=False, float_format="%.4g", lineterminator="\n")
    return wide


if __name__ == "__main__":
    main()
