"""The command line: what it leaves, exit codes, messages of one line."""

import gzip
import json
import re
from pathlib import Path

import anndata as ad
import numpy as np
import pandas as pd
import pytest

import scgim
import systems
from scgim.cli import main


def run(*arguments):
    """The exit code of a call."""
    try:
        main([str(a) for a in arguments])
    except SystemExit as stop:
        return stop.code or 0
    return 0


@pytest.fixture(scope="module")
def fitted(tmp_path_factory):
    folder = tmp_path_factory.mktemp("cli")
    adata = systems.simulated(n_drugs=4, n_control=800, n_cells=20)
    systems.training(adata).write_h5ad(folder / "a.h5ad")
    columns = ["--perturbation-key", "drug", "--dose-key", "dose", "--control", "control", "--max-epochs", 0]
    assert run("fit", folder / "a.h5ad", *columns, "--out", folder / "out") == 0
    return folder


def test_fit_leaves_results(fitted):
    out = fitted / "out"
    names = {path.name for path in out.iterdir()}
    assert names == {"adata.h5ad", "model", "targets.csv", "graph.csv", "mechanisms.png", "graph.png"}
    assert "scgim" in ad.read_h5ad(out / "adata.h5ad").uns
    assert {"gene", "probability"} <= set(pd.read_csv(out / "targets.csv"))


def test_predict_writes_the_cells_asked_for(fitted, capsys):
    drug = ad.read_h5ad(fitted / "a.h5ad").obs["drug"].cat.categories[1]
    pd.DataFrame({"drug": [drug], "dose": [0.7]}).to_csv(fitted / "p.csv", index=False)
    assert run("predict", fitted / "out", fitted / "p.csv", "--n-cells", 9, "--out", fitted / "p.h5ad") == 0
    predicted = ad.read_h5ad(fitted / "p.h5ad")
    assert predicted.shape == (9, 5) and np.isfinite(predicted.X).all()
    assert "9 cells x 5 genes" in capsys.readouterr().out


def test_intervene_writes_cells_and_says_what_changes(fitted, capsys):
    adata = ad.read_h5ad(fitted / "a.h5ad")
    drug, gene = adata.obs["drug"].cat.categories[1], adata.var_names[0]
    call = ["intervene", fitted / "out" / "model", "--shift", f"{gene}=1.5", "--n-cells", 9, "--out", fitted / "i.h5ad"]
    assert run(*call, "--population", f"drug={drug}", "--population", "dose=1") == 0
    cells = ad.read_h5ad(fitted / "i.h5ad")
    assert cells.shape == (9, 5) and set(cells.obs["drug"]) == {drug}
    assert cells.var["change"].iloc[0] == pytest.approx(1.5)
    assert f"{gene}: +1.5 (sd 0)" in capsys.readouterr().out
    assert run(*call, "--overwrite") == 0


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["fit", "absent.h5ad", "--perturbation-key", "d", "--control", "c"], "no such file"),
        (["fit", "{}/p.txt", "--perturbation-key", "d", "--control", "c"], "ends in .h5ad, .h5mu, .zarr; of tables"),
        (["fit", "{}/broken.h5ad", "--perturbation-key", "d", "--control", "c"], "cannot be read"),
        (["fit", "{}/a.h5ad", "--perturbation-key", "drog", "--control", "control"], "drog"),
        (["fit", "{}/a.h5ad", "--control", "control"], "--perturbation-key"),
        (["fit", "{}/a.h5ad", "--perturbation-key", "drug", "--control", "control", "--mechanism", "x"], "mechanism"),
        (["predict", "{}", "{}/p.csv"], "no saved model"),
        (["predict", "{}/out/model", "{}/wrong.csv"], "number"),
        (["predict", "{}/out/model", "{}/other.csv"], "unheard"),
        (["predict", "{}/out/model", "{}/p.csv", "--out", "x.csv"], "--out"),
        (["report", "{}/out/model", "--out", "{}/page.html"], "scgim fit --out"),
        (["report", "{}/out", "--out", "{}/page.txt"], ".html"),
        (["demo", "--dataset", "nothing"], "dataset"),
        (["demo", "--out", "{}/p.txt"], "found a file"),
        (["what"], "what"),
        (["fit", "{}/a.h5ad", "--perturbation-key", "drug", "--control", "control", "--out", "{}/out"], "--overwrite"),
        (["predict", "{}/out/model", "{}/p.csv", "--out", "{}/broken.h5ad"], "--overwrite"),
        (["predict", "{}/out/mod", "{}/p.csv"], "no such folder"),
        (["evaluate", "{}/out", "{}/a.txt"], "no such file"),
        (["evaluate", "{}/out/model", "{}/a.h5ad"], "scgim fit --out"),
        (["evaluate", "{}/out", "{}/a.h5ad", "--out", "{}/scores.txt"], ".csv"),
        (["evaluate", "{}/out", "{}/a.h5ad", "--out", "{}/p.csv"], "--overwrite"),
        (["report", "{}/out", "--out", "{}/there.html"], "--overwrite"),
        (["evaluate", "{}/out", "{}/a.h5ad", "--metrics", "rmse"], "rmse"),
        (["report", "{}/out", "--config", "{}/absent.toml"], "no such file"),
        (["report", "{}/out", "--config", "{}/p.txt"], ".toml"),
        (["report", "{}/out", "--config", "{}/broken.toml"], "cannot be read"),
        (["report", "{}/out", "--config", "{}/strange.toml"], "colour"),
    ],
    ids=lambda x: " ".join(x)[:40] if isinstance(x, list) else None,
)
def test_bad_input_is_one_line_and_code_2(fitted, capsys, arguments, message):
    for name in ("p.txt", "there.html"):
        (fitted / name).write_text("x")
    (fitted / "broken.h5ad").write_text("x")
    (fitted / "p.csv").write_text("drug,dose\ndrug_1,1\n")
    (fitted / "broken.toml").write_text("[report")
    (fitted / "strange.toml").write_text('[report]\ncolour = "red"\n')
    (fitted / "wrong.csv").write_text("drug,dose\ndrug_1,much\n")
    (fitted / "other.csv").write_text("drug,dose\nunheard,1\n")
    assert run(*[a.format(fitted) for a in arguments]) == 2
    error = capsys.readouterr().err.strip()
    assert message in error and error.startswith("scgim: ") and "\n" not in error and "Traceback" not in error


@pytest.mark.parametrize("text", ["drug\tdose\ndrug_1\t1\n", "drug;dose\ndrug_1;1\n", "\ufeffdrug, dose\ndrug_1, 1\n"])
def test_conditions_may_have_tabs_semicolons_or_blanks(fitted, text):
    (fitted / "marks.csv").write_text(text, encoding="utf-8")
    assert (
        run("predict", fitted / "out/model", fitted / "marks.csv", "--out", fitted / "marks.h5ad", "--overwrite") == 0
    )


def test_conditions_may_be_compressed(fitted):
    path = fitted / "marks.csv.gz"
    path.write_bytes(gzip.compress(b"drug,dose\ndrug_1,1\n"))
    assert run("predict", fitted / "out/model", path, "--out", fitted / "marks.h5ad", "--overwrite") == 0


def test_report_is_one_page(fitted):
    assert run("report", fitted / "out", "--out", fitted / "page.html") == 0
    assert "drug_1" in (fitted / "page.html").read_text(encoding="utf-8")


def captured_json(capsys):
    """The one object on standard output."""
    text = capsys.readouterr().out
    assert text.count("\n") == 1
    return json.loads(text)


def test_json_is_one_object_on_standard_output(fitted, capsys):
    columns = ["--perturbation-key", "drug", "--dose-key", "dose", "--control", "control", "--max-epochs", 0]
    capsys.readouterr()
    assert run("fit", fitted / "a.h5ad", *columns, "--out", fitted / "again", "--json") == 0
    summary = captured_json(capsys)
    adata = ad.read_h5ad(fitted / "again" / "adata.h5ad")
    table = scgim.get.targets(adata, level="drug", min_probability=0.9)
    assert (summary["cells"], summary["genes"], summary["perturbations"]) == (*adata.shape, 4)
    assert {(name, t["gene"]) for name, found in summary["targets"].items() for t in found} == set(
        zip(table["perturbation"], table["gene"].astype(str), strict=True)
    )
    assert all((fitted / "again" / name).exists() for name in summary["files"])
    assert run("report", fitted / "again", "--out", fitted / "json.html", "--json") == 0
    assert captured_json(capsys)["bytes"] == (fitted / "json.html").stat().st_size
    assert run("fit", fitted / "absent.h5ad", *columns, "--json") == 2
    assert captured_json(capsys) == {"error": f"{fitted}/absent.h5ad: no such file.", "exit_code": 2}


@pytest.mark.parametrize(
    ("name", "text"),
    [
        ("s.toml", '[fit]\nperturbation-key = ["drug"]\ncontrol = "no"\n[predict]\nn-cells = 7\n'),
        ("s.yaml", "fit: {perturbation-key: [drug], control: no_}\npredict: {n-cells: 7}\n"),
    ],
)
def test_a_file_gives_options_and_the_command_line_comes_first(fitted, capsys, name, text):
    if name.endswith("yaml"):
        pytest.importorskip("yaml")
    (fitted / name).write_text(text)
    drug = ad.read_h5ad(fitted / "a.h5ad").obs["drug"].cat.categories[1]
    pd.DataFrame({"drug": [drug], "dose": [0.7]}).to_csv(fitted / "p.csv", index=False)
    ask = ["predict", fitted / "out" / "model", fitted / "p.csv", "--overwrite", "--out", fitted / "c.h5ad"]
    assert run(*ask, "--config", fitted / name) == 0
    assert ad.read_h5ad(fitted / "c.h5ad").n_obs == 7
    assert run(*ask, f"--config={fitted / name}", "--n-cells", 3) == 0
    assert ad.read_h5ad(fitted / "c.h5ad").n_obs == 3
    capsys.readouterr()
    assert run("fit", fitted / "a.h5ad", "--config", fitted / name) == 2
    assert "control" in capsys.readouterr().err  # of the file, which is not among the labels


def test_evaluate_scores_held_out_cells(fitted, capsys):
    adata = systems.simulated(n_drugs=4, n_control=800, n_cells=20)
    adata[(adata.obs["split"] == "new_dose").to_numpy()].copy().write_h5ad(fitted / "held.h5ad")
    options = ["--metrics", "mean_distance", "--baselines", "control", "--baselines", "training_mean"]
    scores = fitted / "scores.csv"
    assert run("evaluate", fitted / "out", fitted / "held.h5ad", *options, "--out", scores, "--json") == 0
    summary, table = captured_json(capsys), pd.read_csv(scores)
    assert set(table["method"]) == {"gim", "control", "training_mean"} and set(table["metric"]) == {"mean_distance"}
    assert summary["conditions"] == table["context"].nunique()
    medians = table.groupby("method")["value"].median()
    assert summary["medians"]["mean_distance"] == pytest.approx(medians.to_dict())
    assert medians["gim"] < medians["control"]


def test_without_a_terminal_every_step_is_a_plain_line(fitted, capsys):
    capsys.readouterr()
    assert run("report", fitted / "out", "--out", fitted / "lines.html") == 0
    lines = capsys.readouterr().out.splitlines()
    assert lines[0] == "importing scgim ..." and lines[1].startswith("done importing scgim (")
    assert lines[2] == "reading adata.h5ad ..." and lines[3].startswith("done reading adata.h5ad (")
    assert not any("\x1b" in line or "\r" in line for line in lines)


def test_shells_complete_commands():
    from scgim.cli import app

    script = app.generate_completion(prog_name="scgim", shell="bash")
    assert all(word in script for word in ("evaluate", "predict", "--perturbation-key"))


def test_help_and_version_are_told(capsys):
    for arguments in (["--help"], ["fit", "--help"], ["--version"]):
        assert run(*arguments) == 0
    text = capsys.readouterr().out
    assert "--perturbation-key" in text and "demo" in text


def test_the_page_of_the_command_line_names_every_command_and_its_file_of_options_is_read(fitted, capsys):
    page = Path(scgim.__file__).parents[2] / "docs" / "command_line.md"
    if not page.is_file():
        pytest.skip("the documentation is not beside this package")
    text = page.read_text(encoding="utf-8")
    assert [name for name in ("demo", "fit", "predict", "evaluate", "report") if f"scgim {name}" not in text] == []
    (settings,) = re.findall(r"```toml\n(.*?)```", text, re.S)
    (fitted / "page.toml").write_text(settings)
    assert run("fit", fitted / "a.h5ad", "--config", fitted / "page.toml") == 2
    assert "dose_uM" in capsys.readouterr().err  # understood, and not a column of this file


@pytest.mark.filterwarnings("default")
def test_warnings_are_one_line_without_code(fitted, capsys):
    counts = ad.read_h5ad(fitted / "a.h5ad")
    counts.X = np.round(np.exp(np.clip(counts.X, -3, 3)))
    counts.write_h5ad(fitted / "counts.h5ad")
    columns = ["--perturbation-key", "drug", "--dose-key", "dose", "--control", "control", "--max-epochs", 0]
    assert run("fit", fitted / "counts.h5ad", *columns, "--out", fitted / "counts") == 0
    lines = capsys.readouterr().err.splitlines()
    assert [line for line in lines if line.startswith("warning: noise: ")]
    assert not any("UserWarning" in line or ".py:" in line for line in lines)
