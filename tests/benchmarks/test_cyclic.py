"""The benchmark on cycles: its cells are those of a system with feedback, and it keeps what is there."""

from pathlib import Path

import numpy as np
import pandas as pd

FOLDER = "cyclic"


def test_cells_solve_a_stable_system_with_cycles(run) -> None:
    adata, truth = run.simulate(0, n_genes=6, n_drugs=6, n_control=3_000, n_cells=3_000)
    weights, table = truth["weights"], truth["tables"]["train"]
    assert np.abs(np.linalg.eigvals(weights)).max() <= run.RADIUS + 1e-9
    walks = [np.trace(np.linalg.matrix_power((weights != 0).astype(float), n)) for n in range(1, 7)]
    assert walks[0] == 0
    assert max(walks) > 0  # a way back to where it began
    noise = adata.X - adata.X @ weights  # baseline, shift and noise
    means = np.stack([noise[3_000 * k : 3_000 * (k + 1)].mean(0) for k in range(len(table) + 1)])
    assert np.array_equal(np.abs(means[1:] - means[0]) > 0.15, truth["targets"])
    assert np.allclose(truth["means"]["control"], adata.X[:3_000].mean(0), atol=0.2)


def test_every_method_has_its_rows_once(run, tmp_path: Path) -> None:
    options = ["--quick", "--seeds", "0", "--method", "search", "control", "--out", str(tmp_path)]
    run.main(options)
    run.main(options)
    table = pd.read_csv(tmp_path / "seeds.csv")
    assert len(table) == 4 + 1  # metrics of the model, and the distance of no effect
    average = pd.read_csv(tmp_path / "average.csv").set_index("method")
    assert average.loc["search", "mean_distance_new_doses"] < average.loc["control", "mean_distance_new_doses"]
