"""Where the model is wrong: are predictions at least as good as the best simple baseline?

    python benchmarks/baselines/run.py

Simulated screens: new doses under square mechanisms and under hidden causes that drugs move; pairs that keep a share of the sum of their
drugs and interact; one of six cell types left out, in counts. ``scgim`` is the default of ``tl.fit``; ``scgim_alone`` leaves the weights
that left-out contexts gave to baselines aside (``weigh_baselines=False``). Errors are mean distances of predicted and true means.
"""

from __future__ import annotations

import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[1]))

import argparse
import warnings
from functools import partial

import _real
import numpy as np
import pandas as pd

HERE = Path(__file__).parent
sys.path.insert(0, str(HERE))
from _cases import CASES, Case

ORDER = ["scgim", "scgim_alone", "best_baseline"]


def parse(argv: list[str] | None = None) -> argparse.Namespace:
    return _real.parsed(_real.command(__doc__, seeds=3, quick="tiny screens", case=CASES), argv, HERE)


def means(model: object, case: Case) -> np.ndarray:
    """Predicted means (m, G) on the scale of the comparison."""
    if not case.counts:
        return model.predict_mean(case.asked).to_numpy()
    cells = model.predict(case.asked, n_cells=1000)
    x = np.asarray(cells.X, float)
    return np.log1p(x / np.maximum(x.sum(axis=1, keepdims=True), 1) * 100).mean(axis=0)[None]


def score(case: Case) -> tuple[pd.DataFrame, dict]:
    """One row a method: mean distance from the truth, and what the fit says of its weights."""
    import scgim

    options = {"noise": "poisson_lognormal"} if case.counts else {}
    error = {}
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        model = scgim.tl.fit(case.train, **case.setup, **options, progress=False, accelerator="cpu")
    for name in ("scgim", "scgim_alone"):
        if name == "scgim_alone":  # the same fit, without the weights
            model.settings_["weigh_baselines"] = False
        error[name] = np.linalg.norm(means(model, case) - case.truth, axis=1).mean()
    simple = {name: np.linalg.norm(mean - case.truth, axis=1).mean() for name, mean in case.baselines.items()}
    error["best_baseline"] = min(simple.values())
    said = {k: v for k, v in model.fitted.settings.items() if k.startswith(("new_", "combination_"))}
    return pd.DataFrame({"method": list(error), "metric": "mean_distance", "value": list(error.values())}), said


def make_rows(arguments: argparse.Namespace, path: Path) -> None:
    """Add to the rows what is not among them yet."""
    _real.quiet()
    made_by = _real.versions()
    for name in arguments.case:
        for seed in arguments.seeds:
            if (name, seed) in _real.finished(path, ["case", "seed"]):
                continue
            table, said = score(CASES[name](seed, quick=arguments.quick))
            _real.record(path, {"case": name, "seed": seed}, table, made_by)
            print(name, seed, table.set_index("method")["value"].round(3).to_dict(), said, flush=True)


def main(argv: list[str] | None = None) -> None:
    arguments = parse(argv)
    path = _real.rows_of(arguments, "seeds.csv", __file__, partial(make_rows, arguments))
    print(_real.summarise(path, ["case"], arguments.tables / "average.csv", ORDER).round(3).to_string())


if __name__ == "__main__":
    main()
