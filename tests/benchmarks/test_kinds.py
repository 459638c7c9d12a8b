"""The benchmark on drugs of both kinds runs on tiny systems, on one system for both kinds, and keeps what is there."""

from pathlib import Path

import numpy as np
import pandas as pd

FOLDER = "kinds"


def test_drugs_of_both_kinds_act_on_the_same_cells(run) -> None:
    adata, targets, graph = run.simulate("mixed", "linear", 0.0, 3, quick=True)
    kinds = [kind for kind, _ in targets.values()]
    assert kinds.count("shift") == kinds.count("activity") == 3
    assert set(adata.obs["drug"]) == {"control", *targets}
    assert (adata.obs["drug"] == "control").sum() == 150  # not once a kind
    assert np.asarray(graph).shape == (5, 5)


def test_targets_are_ranked_among_genes_that_are_none(run) -> None:
    rank = np.array([[1, 2, 3, 4], [4, 1, 3, 2]])
    true = np.array([[True, False, True, True], [True, False, False, True]])
    assert run.among_others(rank, true)[true].tolist() == [1, 2, 2, 3, 2]


def test_every_case_has_its_rows_once(run, tmp_path: Path) -> None:
    options = ["--quick", "--seeds", "0", "--screen", "mixed", "--out", str(tmp_path)]
    run.main(options)
    first = pd.read_csv(tmp_path / "seeds.csv")
    run.main(options)
    pd.testing.assert_frame_equal(pd.read_csv(tmp_path / "seeds.csv"), first)
    average = pd.read_csv(tmp_path / "average.csv")
    assert len(average) == 2 * 3 * 2  # mechanisms, backgrounds, methods
    assert average["reciprocal_rank_shift"].between(0, 1).all()
    assert (average["true_calls_0.9"] <= average["calls_0.9"]).all()
