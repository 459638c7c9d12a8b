"""The perturbed contexts of a simulated experiment: drugs, doses, pairs and splits."""

from __future__ import annotations

import itertools
from typing import Any

import numpy as np

Row = tuple[dict[int, float], str, int]  # dose of each drug, split, number of cells


def perturbed_rows(settings: dict[str, Any], rng: np.random.Generator) -> list[Row]:
    """Perturbed contexts of one cell line."""
    n_drugs, n_all = settings["n_drugs"], settings["n_drugs"] + settings["n_new_drugs"]
    doses, n, n_test = settings["doses"], settings["n_cells"], settings["n_test_cells"]
    rows: list[Row] = [({d: c}, "train", n) for d in range(n_drugs) for c in doses]
    rows += [({d: c}, "new_dose", n_test) for d in range(n_drugs) for c in settings["new_doses"]]
    rows += [({d: c}, "new_drug", n_test) for d in range(n_drugs, n_all) for c in doses]
    if settings["n_pairs"]:
        every = list(itertools.combinations(range(n_drugs), 2))
        chosen = rng.choice(len(every), settings["n_pairs"], replace=False)
        n_train = round(settings["train_pairs"] * len(chosen))
        for place, pair in enumerate(chosen):
            drugs = {d: float(rng.choice(doses)) for d in every[pair]}
            train = place < n_train
            rows.append((drugs, "train" if train else "new_pair", n if train else n_test))
    return rows
