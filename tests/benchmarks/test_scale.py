"""The systems of the scaling benchmarks are what they say, and their sums are right."""

import numpy as np
import pytest

FOLDER = "scale"


def test_system_draws_the_same_cells_in_any_order(script) -> None:
    system = script("_system").System(8, 12_000, 21, seed=3)
    first = np.concatenate([x for x, _ in system.chunks()])
    again = np.concatenate([system.draw(start) for start in (10_000, 0, 5_000)])
    assert np.array_equal(first, again[np.r_[2_000:12_000, :2_000]])
    assert len(system.context_drug) == 21
    assert np.array_equal(np.bincount(system.context), system.design.n_cells)


def test_system_is_its_truth(script) -> None:
    system = script("_system").System(6, 60_000, 9, seed=0)
    cells, context = np.concatenate([x for x, _ in system.chunks()]), system.context
    residual = cells - cells @ system.weights
    shift = np.stack([residual[context == k].mean(axis=0) for k in range(9)]) - system.baseline
    assert np.allclose(shift, system.shift, atol=0.15)
    perfect = system.scores(system.weights, (system.effect != 0).astype(float))
    assert perfect == {"edge_f1": 1.0, "target_f1": 1.0}
    assert system.scores(np.zeros((6, 6)), np.zeros(system.effect.shape)) == {"edge_f1": 0.0, "target_f1": 0.0}


def test_exponents_means_and_growth(script) -> None:
    measure, scaling = script("_measure"), script("scaling")
    assert measure.exponent([10, 20, 40], [3, 12, 48]) == pytest.approx(2)
    assert np.isnan(measure.exponent([10], [3]))
    rows = [{"cells": 1000, "search_cpu_s": t, "scored": 100.0} for t in (1.0, 3.0)]
    small = scaling.mean_row(rows)
    assert (small["search_cpu_s"], small["seeds"]) == (2.0, 2)
    large = small | {"cells": 10_000, "search_cpu_s": 2.2, "scored": 110.0}
    (found,) = scaling.growth("cells", [small, large])
    assert found["search_cpu_s_ratio"] == pytest.approx(1.1)
    assert found["cpu_per_score_ratio"] == pytest.approx(1.0)
