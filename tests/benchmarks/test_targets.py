"""The benchmarks on known targets run on tiny screens; ranks, simple scores, calls and moments are what they say."""

from collections.abc import Callable
from pathlib import Path
from types import ModuleType

import anndata
import numpy as np
import pandas as pd
import pytest

FOLDER = "targets"
Importer = Callable[[str], ModuleType]


@pytest.fixture
def _data(monkeypatch: pytest.MonkeyPatch, shared_data: Path) -> None:
    """The loaders read the files that are at hand."""
    monkeypatch.setenv("SCGIM_DATA_DIR", str(shared_data))


@pytest.fixture
def screen(script: Importer):
    """Two drugs on three genes in two batches; gene b follows gene a, the first drug shifts a, the second c."""
    rng = np.random.default_rng(0)
    drug = np.tile(np.repeat(["control", "one", "two"], 200), 2)
    batch = np.repeat(["x", "y"], 600)
    x = rng.normal(size=(1200, 3))
    x[:, 0] += drug == "one"
    x[:, 1] += 2 * x[:, 0]
    x[:, 2] -= drug == "two"
    x[batch == "y"] += 5
    obs = pd.DataFrame({"drug": drug, "batch": batch}, index=[f"c{i}" for i in range(len(x))])
    adata = anndata.AnnData(x, obs=obs, var=pd.DataFrame(index=list("abc")))
    keys = {"perturbation_key": "drug", "control": "control", "batch_key": "batch"}
    return script("_screens").Screen(adata, keys, {"one": ("a",), "two": ("c", "b")})


def test_simple_scores_compare_within_batches(script: Importer, screen) -> None:
    simple = script("_simple")
    names, shift, error = simple.shifts(screen)
    assert names == ["one", "two"]
    np.testing.assert_allclose(shift, [[1, 2, 0], [0, 0, -1]], atol=0.5)
    np.testing.assert_allclose(error, np.array([[1, 5, 1]] * 2) * 2 / 400, rtol=0.2)
    np.testing.assert_allclose(simple.pooled_covariance(screen), [[1, 2, 0], [2, 5, 0], [0, 0, 1]], atol=0.3)
    score = simple.scores(screen)["precision"][1]
    assert score[0].argmax() == 0  # b moves as far in its standard deviations, but it follows a
    assert score[0, 1] < 0.3 * score[0, 0]


def test_ranks_follow_log_odds_where_there_are_some(script: Importer) -> None:
    judge = script("_judge")
    table = pd.DataFrame({"drug": "one", "gene": ["a", "b", "a", "b"], "probability": [1.0, 1.0, 0.4, 1.0]})
    table["effect"] = [0.1, -3.0, 0.2, -1.0]
    assert judge.ranked(judge.by_drug(table))["gene"].tolist() == ["b", "a"]
    table["log_odds"] = [9.0, 7.0, 5.0, 6.0]
    assert judge.ranked(judge.by_drug(table))["gene"].tolist() == ["a", "b"]
    regulators = pd.concat([table, table.assign(gene="R", kind="regulator")])
    assert set(judge.by_drug(regulators.fillna({"kind": "shift"}))["gene"]) == {"a", "b"}


def test_calls_and_reliability_count_known_targets(script: Importer, screen) -> None:
    judge = script("_judge")
    table = pd.DataFrame(
        {"drug": np.repeat(["one", "two", "unknown"], 3), "gene": list("abc") * 3, "rank": [2, 1, 3] * 3}
    )
    table["probability"] = [0.95, 0.99, 0.2, 0.6, 0.1, 0.97, 1.0, 1.0, 1.0]
    rows = judge.drugs(table, screen.truth)
    assert rows["rank"].tolist() == [2, 1]
    assert rows["calls_0.9"].tolist() == [2, 1]
    assert rows["true_0.9"].tolist() == [1, 1]
    summary = judge.summary(rows)
    assert summary["mrr"] == 0.75
    assert (summary["hits_0.5"], summary["calls_0.5"]) == (2, 4)
    bins = judge.reliability(table, screen.truth).set_index("from")
    assert bins["n"].sum() == 6  # without the drug whose target is not known
    assert bins.loc[0.9, ["n", "true"]].tolist() == [2, 2]


@pytest.mark.usefixtures("_data")
def test_screens_hold_their_targets(script: Importer) -> None:
    screens = script("_screens")
    expected = {
        "erbb_rnai_rppa": (11, 10),
        "hepatocytes_inhibitors": (7, 17),
        "bodenmiller_stim": (1, 14),
        "sachs": (7, 11),
    }
    for name, (n_drugs, n_genes) in expected.items():
        screen = screens.SCREENS[name]()
        assert (len(screen.truth), screen.adata.n_vars) == (n_drugs, n_genes)
        assert set(screen.truth) < set(screen.drug)
        assert {gene for genes in screen.truth.values() for gene in genes} <= set(screen.adata.var_names)
        assert np.isfinite(screen.expression).all()


@pytest.mark.usefixtures("_data")
def test_real_screens_run_once(script: Importer, tmp_path: Path, capsys: pytest.CaptureFixture) -> None:
    options = ["--quick", "--screen", "hepatocytes_inhibitors", "--out", str(tmp_path)]
    real = script("real")
    real.main([*options, "--method", "mean_shift", "welch", "precision"])
    first = pd.read_csv(tmp_path / "real_drugs.csv")
    real.main(options)
    rows = pd.read_csv(tmp_path / "real_drugs.csv")
    pd.testing.assert_frame_equal(rows.head(len(first)).dropna(axis=1), first.dropna(axis=1))
    table = pd.read_csv(tmp_path / "real.csv").set_index(["screen", "method"])
    assert set(table.loc["all"].index) == {"scgim", "mean_shift", "welch", "precision", "best_simple"}
    assert table.loc[("all", "best_simple"), "mrr"] == table.loc["all", "mrr"].drop("scgim").max()
    assert pd.read_csv(tmp_path / "real_reliability.csv")["n"].sum() == 3 * 8
    capsys.readouterr()


@pytest.mark.usefixtures("_data")
def test_what_does_not_install_is_left_out(script: Importer, tmp_path: Path, capsys: pytest.CaptureFixture) -> None:
    options = ["--quick", "--screen", "sachs", "--out", str(tmp_path), "--cache", str(tmp_path / "cache")]
    script("real").main([*options, "--method", "mean_shift", "cipher", "--python", "no-such-python"])
    assert (
        "sachs, cipher: left out. cipher-perturb==0.1.0 does not install with no-such-python" in capsys.readouterr().out
    )
    assert set(pd.read_csv(tmp_path / "real.csv")["method"]) == {"mean_shift"}


def test_faults_run_and_are_counted(script: Importer, tmp_path: Path) -> None:
    faults = script("faults")
    options = ["--quick", "--seeds", "0", "--fault", "none", "plates_key", "--out", str(tmp_path)]
    faults.main([*options, "--cells", str(tmp_path / "cells")])
    first = (tmp_path / "faults_seeds.csv").read_bytes()
    faults.main([*options, "--cells", str(tmp_path / "cells")])
    assert (tmp_path / "faults_seeds.csv").read_bytes() == first
    rows = pd.read_csv(tmp_path / "faults_seeds.csv").set_index("fault")
    assert (rows["true_calls_0.5"] <= rows["calls_0.5"]).all()
    assert (rows["intervals_right"] <= rows["intervals"]).all()
    table = pd.read_csv(tmp_path / "faults.csv").set_index("fault")
    assert table["found_0.9"].between(0, 1).all()
    assert list(faults.without_truth(anndata.read_h5ad(tmp_path / "cells" / "plates_key_0_quick.h5ad")).uns) == []


def test_settings_other_than_the_defaults_are_used_and_kept_apart(script: Importer, tmp_path: Path) -> None:
    faults = script("faults")
    options = ["--quick", "--seeds", "0", "--fault", "none", "--fit", "penetrance=True"]
    faults.main([*options, "--out", str(tmp_path)])
    table = pd.read_csv(tmp_path / "faults.csv")
    assert (table["drugs"] > 0).all() and (table["share_near"] == table["drugs"]).all()
    with pytest.raises(SystemExit):
        faults.main(options)


def test_every_fault_can_be_simulated(script: Importer) -> None:
    faults = script("faults")
    for fault in faults.DESCRIPTION:
        given = faults.without_truth(faults.simulate(fault, 0, None, quick=True))
        assert ("plate" in given.obs) == (fault == "plates_key")


def test_intervals_are_compared_with_the_effect_at_the_dose(script: Importer) -> None:
    effect = pd.DataFrame([[2.0, 0.0]], ["one"], ["a", "b"])
    table = pd.DataFrame({"drug": "one", "gene": ["a", "a", "b"], "dose": [0.75, 100.0, 1.0], "probability": 0.9})
    table["effect"], table["effect_sd"] = [1.1, 1.5, 9.0], [0.1, 0.1, 0.1]
    found = script("faults").coverage(table, {"ec50": [0.75], "hill": [4.0]}, effect)
    assert found == {"intervals": 2, "intervals_right": 1}


@pytest.mark.usefixtures("_data")
def test_targets_of_patients(script: Importer, tmp_path: Path) -> None:
    patients = script("patients")
    genes = patients.consistency(patients.cells(quick=True))
    assert genes["p_patients"].between(0, 1).all()
    patients.main(["--quick", "--batch", "patient_id", "--out", str(tmp_path)])
    table = pd.read_csv(tmp_path / "patients.csv")
    assert (table["inconsistent"] + table["consistent_called"] == table["calls"]).all()


def test_a_sparse_system_has_the_variances_and_its_parents_come_first(script: Importer) -> None:
    rng = np.random.default_rng(0)
    mixing = np.eye(8) + np.triu(rng.normal(size=(8, 8)) * (rng.random((8, 8)) < 0.3), 1)
    covariance = mixing.T @ mixing
    weights, noise = script("one_drug").sparse_system(covariance, rng)
    total = np.linalg.inv(np.eye(8) - weights)
    implied = total.T @ np.diag(noise) @ total
    np.testing.assert_allclose(np.diag(implied), 1, atol=1e-6)
    assert ((weights != 0).sum(0) <= 3).all()
    sd = np.sqrt(np.diag(covariance))
    strongest = np.abs(covariance / np.outer(sd, sd) - np.eye(8)).argmax()
    assert np.abs(implied.ravel()[strongest]) > 0.3


def test_recall_at_a_precision(script: Importer) -> None:
    table = pd.DataFrame({"gene": list("abcdef"), "rank": [1, 2, 3, 4, 5, 6]})
    recall = script("one_drug").recall_at_precision
    assert recall(table, {"a", "b", "c", "e"}) == 1  # 4 of 5
    assert recall(table, {"a", "b", "c", "f"}) == 0.75
    assert recall(table, {"f"}) == 0


@pytest.mark.usefixtures("_data")
def test_one_drug_against_control(script: Importer, tmp_path: Path) -> None:
    script("one_drug").main(["--quick", "--drift", "0", "--seeds", "0", "--out", str(tmp_path)])
    table = pd.read_csv(tmp_path / "one_drug.csv")
    assert table["recall_at_precision"].between(0, 1).all()


@pytest.mark.usefixtures("_data")
def test_simulated_patients_differ_and_share_targets(script: Importer, tmp_path: Path) -> None:
    module = script("simulated_patients")
    adata, targets, alone = module.simulate("few", 0, quick=True)
    assert len(targets) == len(alone) == 5
    assert not targets & alone
    assert (adata.obs.value_counts() == 20).all()  # five patients, with and without the drug
    module.main(["--quick", "--case", "few", "none", "--seeds", "0", "--out", str(tmp_path)])
    table = pd.read_csv(tmp_path / "simulated_patients.csv").set_index("case")
    assert 0 <= table.loc["few", "found_0.9"] <= 1
    assert np.isnan(table.loc["none", "found_0.9"])


@pytest.mark.usefixtures("_data")
def test_knock_downs_are_put_into_control_cells(script: Importer, tmp_path: Path) -> None:
    module = script("implanted")
    before = module.tapseq_k562()
    adata, truth = module.implant(*before, "even", 0, quick=True)
    lowered = np.expm1(adata.X) * before[1][:, None] - before[0][:, :12]  # (n, G) counts that are gone
    for n, gene in enumerate(adata.var_names):
        of = {drug for drug, genes in truth.items() if gene in genes}
        assert set(adata.obs["drug"][lowered[:, n] < -0.5]) == of
    module.main(
        ["--quick", "--background", "tapseq_k562", "--case", "even", "nothing", "--seeds", "0", "--out", str(tmp_path)]
    )
    table = pd.read_csv(tmp_path / "implanted.csv").set_index("case")
    assert table.loc["even", "targets"] == 3
    assert 0 <= table.loc["even", "found_0.9"] <= 1
    assert np.isnan(table.loc["nothing", "mrr"])


def test_drugs_are_fitted_one_at_a_time(script: Importer, tmp_path: Path) -> None:
    script("alone").main(["--quick", "--seeds", "100", "--out", str(tmp_path)])
    rows = pd.read_csv(tmp_path / "alone_seeds.csv")
    assert list(rows["size"]) == ["usual", "weak"]
    assert (rows["true_calls"] <= rows[["calls", "targets"]].min(axis=1)).all()
    assert (rows["targets"] >= 2).all()  # two drugs


def test_simulators_of_others_are_fitted(script: Importer, tmp_path: Path) -> None:
    script("foreign").main(["--quick", "--seeds", "100", "--out", str(tmp_path)])
    table = pd.read_csv(tmp_path / "foreign.csv").set_index("case")
    assert table["targets"].to_dict() == (
        {"cyclic": 10, "sergio": 20, "perturbseq": 4, "pool": 4, "donors": 5, "doses": 3, "phospho": 2}
    )
    assert table.filter(like="mrr_").stack().between(0, 1).all()


def test_regulators_are_judged_on_a_tiny_screen(script: Importer, tmp_path: Path) -> None:
    small = "--genes 30 --regulators 4 --drugs 6 --wrong 0.3 --timeout 600 --out".split()
    stored = {"genes": 30, "regulators": 4, "wrong_edges": 0.3, "seed": 7}
    pd.DataFrame([stored]).to_csv(tmp_path / "r.csv", index=False)
    table = script("regulators").main([*small, str(tmp_path / "r.csv")])
    assert table["seed"].tolist() == pd.read_csv(tmp_path / "r.csv")["seed"].tolist() == [0, 7]
    row = table.iloc[0]
    assert row["drugs_without"] == 3
    assert 0 <= row["first"] <= 1
    assert row["false_calls"] <= row["calls"]
    assert row["true_edges"] <= row["edges"]
    assert row["true_gene_calls"] <= row["gene_calls"]


@pytest.mark.usefixtures("_data")
def test_altered_screens_keep_what_they_should(script: Importer) -> None:
    alterations, screen = script("_alterations"), script("_screens").SCREENS["erbb_rnai_rppa"]()
    of = {
        key: one.alter("erbb_rnai_rppa", screen, np.random.default_rng(0))
        for key, one in alterations.ALTERATIONS.items()
    }
    n, controls = screen.adata.n_obs, int(alterations.is_control(screen).sum())
    assert of["half_of_cells"][0].adata.n_obs == n / 2
    assert of["half_of_controls"][0].adata.n_obs == n - controls / 2
    assert of["some_genes"][0].truth == of["scaled"][0].truth == screen.truth
    assert len(of["half_of_drugs"][0].truth) == 6
    assert [len(set(one.drug)) for one in of["each_alone"]] == [2] * 11
    np.testing.assert_allclose(of["scaled"][0].expression.std(0, ddof=1), 1, rtol=1e-4)
    gone = set(screen.truth) - set(of["targets_absent"][0].truth)
    assert len(gone) >= 6
    assert not {g for d in gone for g in screen.truth[d]} & set(of["targets_absent"][0].adata.var_names)
    assert of["counts"] == []


@pytest.mark.usefixtures("_data")
def test_altered_screens_run_once(script: Importer, tmp_path: Path) -> None:
    chosen = "--quick --alteration targets_absent --screen hepatocytes_inhibitors --seeds 0 --out".split()
    for _ in range(2):
        script("altered").main([*chosen, str(tmp_path)])
        rows = pd.read_csv(tmp_path / "altered_drugs.csv")
        assert (rows["method"] == "scgim").sum() == rows.loc[rows["method"] == "scgim", "drug"].nunique()
    assert (pd.read_csv(tmp_path / "altered.csv")["best_simple"] <= 1).all()
