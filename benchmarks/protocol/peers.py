"""Other methods on the same systems, each in an environment of its own.

    python benchmarks/protocol/peers.py --seeds 0 1 2
    python benchmarks/protocol/peers.py --method utigsp --python python3.8
    python benchmarks/protocol/peers.py --method cellflow

Environments are made in the cache folder (``--cache``) with the interpreter ``--python``; they need a network the first time.
What is in ``peers.csv`` already is not run again. Graphs with undirected edges are scored by one DAG of their class. Targets
of methods that give none are genes whose residual, given the parents in the graph, shifts under the drug.
"""

from __future__ import annotations

import os
import sys
from pathlib import Path

for _name in ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS"):  # before numpy
    os.environ.setdefault(_name, "1")
sys.path.insert(0, str(Path(__file__).parent))

import argparse
import subprocess
import tempfile

import _score
import _store
import _systems
import numpy as np

KEYS = ["system", "seed", "method"]
REQUIREMENTS = {
    "ges": ["ges==1.1.1"],
    "gnies": ["gnies==0.3.3"],
    "gies": ["gies==0.0.3"],
    "utigsp": ["causaldag==0.1a163", "pgmpy==0.1.20"],  # imported with Python 3.8
    "cellflow": ["cellflow-tools==0.0.9", "jax[cpu]", "requests"],  # which cellflow imports and does not ask for
}
SYSTEMS = (
    "er-linear-shift",
    "sf-linear-shift",
    "er-neural-shift",
    "sf-neural-shift",
    "er-neural-hard",
    "sf-neural-hard",
    "er-linear-hard",
    "sf-linear-hard",
)
ITERATIONS, N_CELLS = 12_000, 500
"""Steps of CellFlow's training, and the cells that it predicts a context."""
ALPHAS = (1e-2, 1e-3, 1e-5)
"""Levels of UT-IGSP; each is a row, and the best by the truth is what a user could at most reach."""


def parse(argv: list[str] | None = None) -> argparse.Namespace:
    parser = _store.command(__doc__, seeds=3, quick="tiny systems")
    systems = [f"{kind}-principal_components" for kind in SYSTEMS]
    parser.add_argument("--system", nargs="+", default=systems, help="patterns; only cellflow reads features")
    parser.add_argument("--method", nargs="+", choices=sorted(REQUIREMENTS), default=["ges", "gnies", "gies"])
    parser.add_argument("--python", default=sys.executable, help="interpreter of new environments")
    parser.add_argument("--cache", type=Path, default=Path.home() / ".cache" / "scgim-benchmarks")
    parser.add_argument("--out", type=Path, default=Path(__file__).parent / "results")
    parser.add_argument("--timeout", type=float, default=1800, help="seconds for one run")
    parser.add_argument("--iterations", type=int, default=ITERATIONS, help="of the training of cellflow")
    return parser.parse_args(argv)


def environment(method: str, cache: Path, python: str) -> Path:
    """Interpreter of the method's environment, which is made if it is not there."""
    folder = cache / method
    interpreter = folder / ("Scripts/python.exe" if os.name == "nt" else "bin/python")
    if not (folder / "ready").is_file():
        print(f"installing {' '.join(REQUIREMENTS[method])} into {folder}", flush=True)
        subprocess.run([python, "-m", "venv", "--clear", folder], check=True)
        subprocess.run([interpreter, "-m", "pip", "install", "--quiet", *REQUIREMENTS[method]], check=True)
        (folder / "ready").touch()
    return interpreter


def installed(interpreter: Path) -> str:
    """Versions in an environment."""
    command = [interpreter, "-m", "pip", "list", "--format=freeze", "--disable-pip-version-check"]
    listed = subprocess.run(command, capture_output=True, text=True, check=True).stdout.split()
    version = (
        subprocess.run([interpreter, "--version"], capture_output=True, text=True, check=True).stdout.strip().lower()
    )
    skip = ("pip=", "setuptools=", "wheel=")
    return " ".join([version, *(line.replace("==", " ") for line in listed if not line.startswith(skip))][:12])


def export(case: _systems.Case, path: Path, **more: float) -> None:
    """Training cells with the number of their drug (0: control) and context, and the true targets of each drug."""
    rows = case.rows("train")
    names = list(dict.fromkeys(case.table["drug"].iloc[rows]))
    contexts = [int(np.flatnonzero(case.table["drug"] == "control")[0]), *rows.tolist()]
    cells = [case.cells(k) for k in contexts]
    drug = [0, *(names.index(name) + 1 for name in case.table["drug"].iloc[rows])]
    sizes = [len(x) for x in cells]
    first = [rows[case.table["drug"].iloc[rows].to_numpy() == name][0] for name in names]
    np.savez(
        path,
        x=np.vstack(cells),
        drug=np.repeat(drug, sizes),
        context=np.repeat(np.arange(len(cells)), sizes),
        drug_targets=case.truth["targets"][first],
        known=case.known(np.array(contexts)),
        asked=case.known(np.concatenate([case.rows(split) for split in _score.SPLITS])),
        seed=case.seed,
        **more,
    )


def a_dag(graph: np.ndarray) -> np.ndarray:
    """A DAG of the class that a partly directed graph stands for (Dor and Tarsi); the directed part if there is none."""
    left, out = (np.asarray(graph) != 0), (np.asarray(graph) != 0) & (np.asarray(graph).T == 0)
    remaining = list(range(len(left)))
    left = left.copy()
    while remaining:
        for x in remaining:
            directed_out = left[x] & ~left[:, x]
            undirected, adjacent = left[x] & left[:, x], left[x] | left[:, x]
            joined = all((adjacent & ~(left[y] | left[:, y])).sum() <= 1 for y in np.flatnonzero(undirected))
            if not directed_out.any() and joined:
                out[undirected, x] = True
                left[x], left[:, x] = False, False
                remaining.remove(x)
                break
        else:
            return (np.asarray(graph) != 0) & (np.asarray(graph).T == 0)
    return out


def residual_targets(data: dict[str, np.ndarray], graph: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Score and call of targets (D, G): shifts of residuals given the parents, over the contexts of a drug."""
    from scipy.stats import chi2

    x, context = data["x"], data["context"]
    means = np.stack([x[context == k].mean(0) for k in range(context.max() + 1)])
    n, centred = np.bincount(context), x - means[context]
    shift, error = np.zeros_like(means), np.zeros(x.shape[1])
    for j in range(x.shape[1]):
        parents = np.flatnonzero(graph[:, j])
        weight = np.linalg.lstsq(centred[:, parents], centred[:, j], rcond=None)[0]
        error[j] = np.var(centred[:, j] - centred[:, parents] @ weight)
        residual = means[:, j] - means[:, parents] @ weight
        shift[:, j] = residual - residual[0]
    z = shift[1:] / np.sqrt(error * (1 / n[1:, None] + 1 / n[0]))
    drug = np.array([data["drug"][context == k][0] for k in range(1, len(n))])
    square = np.stack([(z[drug == d] ** 2).sum(0) for d in np.unique(drug)])
    doses = np.array([(drug == d).sum() for d in np.unique(drug)])
    return square / doses[:, None], square > chi2.isf(0.001 / x.shape[1], doses)[:, None]


def scores(case: _systems.Case, data: dict[str, np.ndarray], result: dict[str, np.ndarray]) -> dict[str, float]:
    """Graph and targets of a method, or its predictions if it makes cells; and its times."""
    made = prediction(case, result["cells"]) if "cells" in result else structure(case, data, result)
    return made | {name: float(result[name]) for name in ("seconds", "wall_seconds")}


def prediction(case: _systems.Case, cells: np.ndarray) -> dict[str, float]:
    """Distances of predicted cells (M, n, G) of new doses, then of new drugs."""
    values: dict[str, float] = {}
    for split in _score.SPLITS:
        here, cells = cells[: len(case.rows(split))], cells[len(case.rows(split)) :]
        values |= _score.means(case, split, here.mean(1)) | _score.energy(case, split, here)
    return values


def structure(case: _systems.Case, data: dict[str, np.ndarray], result: dict[str, np.ndarray]) -> dict[str, float]:
    """Graph and targets of a method."""
    graph, rows = a_dag(result["graph"]), case.rows("train")
    values = _score.structure(case, graph, graph.astype(float))
    names = list(dict.fromkeys(case.table["drug"].iloc[rows]))
    place = [names.index(name) for name in case.table["drug"].iloc[rows]]
    if "drug_targets" in result:
        score = called = result["drug_targets"]
    else:
        score, called = residual_targets(data, graph)
    values |= _score.targets(case, rows, score[place].astype(float), called=np.asarray(called)[place])
    return {name: value for name, value in values.items() if "calibration" not in name}


def run(case: _systems.Case, method: str, interpreter: Path, timeout: float, **more: float) -> dict[str, float]:
    """One method on one system; `more` are further options that it reads."""
    with tempfile.TemporaryDirectory() as folder:
        source, destination = Path(folder) / "in.npz", Path(folder) / "out.npz"
        export(case, source, n_cells=N_CELLS, **more)
        script = Path(__file__).parent / "_peer.py"
        try:
            subprocess.run([interpreter, script, method, source, destination], check=True, timeout=timeout)
        except (subprocess.CalledProcessError, subprocess.TimeoutExpired) as error:
            print(error, flush=True)
            return {"failed": 1.0}
        with np.load(destination) as found, np.load(source) as data:
            return scores(case, dict(data), dict(found)) | {"failed": 0.0}


def main(argv: list[str] | None = None) -> None:
    arguments = parse(argv)
    path = arguments.out / "peers.csv"
    done = _store.finished(path, KEYS)
    for method in arguments.method:
        interpreter = environment(method, arguments.cache, arguments.python)
        made_by = installed(interpreter)
        for system in _systems.systems(arguments.system):
            for seed in arguments.seeds:
                case = None
                for alpha in ALPHAS if method == "utigsp" else (0.0,):
                    name = f"{method}_{alpha:g}" if alpha else method
                    if (system, seed, name) in done:
                        continue
                    case = case or _systems.simulate(system, seed, quick=arguments.quick)
                    options = {"alpha": alpha, "iterations": arguments.iterations}
                    values = run(case, method, interpreter, arguments.timeout, **options)
                    keys = {"system": system, "seed": seed, "method": name}
                    _store.append(path, _store.rows(keys, values, made_by))
                    text = "  ".join(f"{k} {v:.3g}" for k, v in values.items())
                    print(f"{system} seed {seed} {name}: {text}", flush=True)


if __name__ == "__main__":
    main()
