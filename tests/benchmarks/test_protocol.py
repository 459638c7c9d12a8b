"""The benchmarks run on tiny systems, and their own arithmetic is right."""

from pathlib import Path

import numpy as np
import pandas as pd
import pytest

FOLDER = "protocol"


def test_systems_are_found_by_pattern(script) -> None:
    systems = script("_systems").systems
    assert len(systems(["*"])) == 24
    assert systems(["er-linear-shift-noise", "er-linear-shift-*"])[0] == "er-linear-shift-noise"
    assert len(systems(["er-linear-shift-noise", "er-linear-shift-*"])) == 3


def test_energy_distance_is_that_of_the_package(script) -> None:
    import scgim

    case = script("_systems").simulate("er-linear-shift-projection", 0, quick=True)
    rows, rng = case.rows("new_drug"), np.random.default_rng(0)
    drawn = rng.normal(size=(40, 6))
    cells = rng.normal(size=(len(rows), 1, 6)) + drawn
    expected = np.mean([scgim.metrics.energy_distance(case.cells(k), x) for k, x in zip(rows, cells, strict=True)])
    for moved in (False, True):
        value = script("_score").energy(case, "new_drug", cells, moved=moved)
        assert value["energy_distance_new_drugs"] == pytest.approx(expected)


def test_methods_see_no_truth_and_no_new_drug(script) -> None:
    case = script("_systems").simulate("sf-linear-shift-projection", 1, quick=True)
    assert "truth" not in case.train.uns
    assert set(case.train.obs["drug"]) == {"control", *case.train.uns["features"].index}
    assert len(case.train.uns["features"]) == 8
    assert list(case.features(case.rows("new_drug")).index) == list(
        dict.fromkeys(case.table["drug"].iloc[case.rows("new_drug")])
    )


def test_baselines_run_and_are_not_run_twice(script, tmp_path: Path, capsys: pytest.CaptureFixture) -> None:
    command = ["--quick", "--seeds", "0", "--system", "er-linear-shift-principal_components", "--out", str(tmp_path)]
    command += ["--method", "floor", "mean_shift", "control", "ridge"]
    script("run").main(command)
    runs = pd.read_csv(tmp_path / "runs.csv")
    assert set(runs["method"]) == {"floor", "mean_shift", "control", "ridge"}
    assert not runs.loc[runs["metric"] == "failed", "value"].any()
    value = runs.set_index(["method", "metric"])["value"]
    assert value["floor", "mean_distance_new_doses"] < value["control", "mean_distance_new_doses"]
    capsys.readouterr()
    script("run").main(command)
    assert capsys.readouterr().out.startswith("0 of 4 runs")


def test_goals_are_held_against_medians(script) -> None:
    summary, system = script("summary"), "er-linear-shift-projection"
    values = {"scgim": 0.5, "gp": 1.0, "ridge": 3.0}
    runs = pd.DataFrame(
        [(system, s, m, "mean_distance_new_doses", v) for s in range(3) for m, v in values.items()],
        columns=["system", "seed", "method", "metric", "value"],
    )
    table = summary.goals(summary.medians(runs), summary.pool(pd.DataFrame()))
    assert table["beside"].tolist() == ["gp"]
    assert table["ratio"].tolist() == [0.5]
    assert table["met"].tolist() == ["yes"]


def test_a_class_of_graphs_is_scored_by_one_of_its_members(script) -> None:
    chain = np.array([[0, 1, 0, 0], [1, 0, 1, 0], [0, 1, 0, 1], [0, 0, 1, 0]])  # a - b - c - d
    dag = script("peers").a_dag(chain)
    assert np.array_equal(dag | dag.T, chain != 0)
    assert not (dag & dag.T).any()
    assert (dag.sum(0) <= 1).all()  # no collider, which would be another class
    collider = np.array([[0, 0, 1], [0, 0, 1], [0, 0, 0]])
    assert np.array_equal(script("peers").a_dag(collider), collider != 0)


def test_targets_are_genes_whose_residual_shifts(script) -> None:
    rng, graph = np.random.default_rng(0), np.array([[0, 1, 0], [0, 0, 1], [0, 0, 0]])
    shift = np.array([[0, 0, 0], [2, 0, 0], [0, 0, -2]])  # control, a drug on the first gene, one on the last
    context = np.repeat([0, 1, 2], 500)
    noise = rng.normal(size=(1500, 3)) + shift[context]
    x = noise @ np.linalg.inv(np.eye(3) - graph)
    data = {"x": x, "context": context, "drug": context}
    _, called = script("peers").residual_targets(data, graph)
    assert np.array_equal(called, shift[1:] != 0)


def test_cells_of_other_packages_are_scored_by_split(script) -> None:
    case, peers = script("_systems").simulate("er-linear-shift-projection", 0, quick=True), script("peers")
    rows = np.concatenate([case.rows(split) for split in ("new_dose", "new_drug")])
    values = peers.prediction(case, np.stack([case.cells(k) for k in rows]))
    assert set(values) == {
        f"{m}_new_{s}" for m in ("mean_distance", "pearson", "energy_distance") for s in ("doses", "drugs")
    }
    assert values["mean_distance_new_doses"] == pytest.approx(0)
    assert values["energy_distance_new_drugs"] == pytest.approx(0, abs=1e-9)


def test_other_packages_are_compared_on_their_seeds(script) -> None:
    tables, system = script("_tables"), "er-linear-hard-principal_components"
    columns = ["system", "seed", "method", "metric", "value"]
    ours = pd.DataFrame([(system, s, "scgim", "edge_f1", v) for s, v in enumerate((0.9, 0.8, 0.1))], columns=columns)
    rows = [(system, s, m, "edge_f1", v) for s in (0, 1) for m, v in (("ges", 0.5), ("utigsp_0.01", 0.2))]
    rows += [(system, s, "utigsp_0.001", "edge_f1", 0.4) for s in (0, 1)] + [(system, 0, "gnies", "edge_f1", 1.0)]
    rows += [(system, 0, "gies", "target_f1", 1.0)]  # which it was told
    others = tables.peers(pd.DataFrame(rows, columns=columns))
    (row,) = tables.beside_others(pd.concat([ours, others]), others).to_dict("records")
    assert row["scgim"] == pytest.approx(0.85)  # without the third seed
    assert (row["ges"], row["utigsp_best"]) == (0.5, 0.4)
    assert np.isnan(row["gnies"])  # one of two seeds


@pytest.mark.slow
def test_the_whole_protocol_runs(script, tmp_path: Path) -> None:
    out = ["--quick", "--out", str(tmp_path)]
    chosen = ["--method", "scgim", "scgim_no_features", "bacadi_style", "mean_shift", "knn", "floor"]
    script("run").main([*out, "--seeds", "0", "--system", "er-linear-shift-p*", *chosen])
    script("summary").main(["--out", str(tmp_path)])
    script("degradation").main([*out, "--seeds", "0", "--fewest", "--method", "mean_shift", "scgim"])
    runs = pd.read_csv(tmp_path / "runs.csv")
    assert not runs.loc[runs["metric"] == "failed", "value"].any()
    assert {"structure.csv", "prediction_linear.csv", "goals.csv", "medians.csv"} <= {
        p.name for p in tmp_path.iterdir()
    }
    assert {"structure.png", "prediction_linear.svg", "reliability_pooled.png", "degradation_medians.png"} <= {
        p.name for p in tmp_path.iterdir()
    }


@pytest.mark.parametrize("name", ["any_pair", "hubs"])
def test_neural_systems_follow_their_graph_and_weights(script, name: str) -> None:
    others, shifts = script("others"), np.zeros(20)
    shape = others.SYSTEMS["tanh, width 5"]._replace(graph=name)
    system = others.System(shape, np.random.default_rng(0))
    order = system.order
    assert not np.tril(system.graph[np.ix_(order, order)]).any()
    assert {j: set(parts[0]) for j, parts in system.networks.items()} == {
        j: set(np.flatnonzero(system.graph[:, j])) for j in range(20) if system.graph[:, j].any()
    }
    graphs = [others.GRAPHS[name](np.random.default_rng(seed)) for seed in range(200)]
    assert np.mean([g.sum() for g in graphs]) == pytest.approx(40 if name == "any_pair" else 37, abs=1)
    spread = {
        g: np.mean([others.GRAPHS[g](np.random.default_rng(s)).sum(1).max() for s in range(50)]) for g in others.GRAPHS
    }
    assert spread["hubs"] > spread["any_pair"]
    # a shift of a gene moves the genes below it and no other
    shifts[order[5]] = 4
    cells = [system.cells(s, 20, np.random.default_rng(1)) for s in (np.zeros(20), shifts)]
    below = np.linalg.matrix_power(np.eye(20) + system.graph, 20)[order[5]] > 0
    assert set(np.flatnonzero(np.abs(cells[1] - cells[0]).max(0) > 1e-9)) <= set(np.flatnonzero(below))


def test_oracle_does_not_know_effects_on_genes_that_no_training_drug_hits(script) -> None:
    others, known = script("others"), np.zeros((3, 20))
    system = others.System(others.SYSTEMS["tanh, width 5"], np.random.default_rng(0))
    first = system.order[-1]  # nothing follows from the last gene of the order
    known[:, system.order[-2]] = 4.0
    new, height = np.zeros((1, 20)), others.height(np.array(others.DOSES))
    new[0, first] = -4.0
    told = system.cells(np.zeros(20), 40_000, np.random.default_rng(1)).mean(axis=0)
    truth = told + height[:, None] * new
    # drawn from the training drugs' effects, all of which are 4, the change has the wrong sign
    assert others.knows_all_but_unseen(system, known, new, truth) == pytest.approx(8 * height.mean(), rel=0.02)
    known[0, first] = 1.0
    assert others.knows_all_but_unseen(system, known, new, truth) < 0.15


def test_errors_of_neural_systems_are_shares_of_the_best_baseline(script, tmp_path: Path) -> None:
    others, rows = script("others"), []
    for seed, factor in ((0, 1.0), (1, 3.0)):
        key = ("tanh, width 5", "hubs", 2.0, "bent", seed)
        for method, doses, drugs in (("scgim", 0.1, 0.5), ("best_baseline", 0.4, 1.0)):
            rows += [
                (*key, method, "mean_distance_new_doses", factor * doses),
                (*key, method, "mean_distance_new_drugs", factor * drugs),
            ]
    path = tmp_path / "others_seeds.csv"
    pd.DataFrame(rows, columns=[*others.KEYS, "method", "metric", "value"]).to_csv(path, index=False)
    wide = others.table(path, tmp_path / "others.csv").set_index("method")
    assert wide.loc["scgim", ["ratio_new_doses", "ratio_new_drugs", "seeds"]].tolist() == [0.25, 0.5, 2]
    assert wide.loc["best_baseline", "ratio_new_drugs"] == 1
    assert len(pd.read_csv(path)) == 8
