"""The command line: what it leaves, exit codes, messages of one line."""

import anndata as ad
import numpy as np
import pandas as pd
import pytest

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
    assert run("predict", fitted / "out" / "model", fitted / "p.csv", "--n-cells", 9, "--out", fitted / "p.h5ad") == 0
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
        (["fit", "{}/p.txt", "--perturbation-key", "d", "--control", "c"], "ends in .h5ad"),
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
    ],
    ids=lambda x: " ".join(x)[:40] if isinstance(x, list) else None,
)
def test_bad_input_is_one_line_and_code_2(fitted, capsys, arguments, message):
    (fitted / "p.txt").write_text("x")
    (fitted / "broken.h5ad").write_text("x")
    (fitted / "wrong.csv").write_text("drug,dose\ndrug_1,much\n")
    (fitted / "other.csv").write_text("drug,dose\nunheard,1\n")
    assert run(*[a.format(fitted) for a in arguments]) == 2
    error = capsys.readouterr().err.strip()
    assert message in error and error.startswith("scgim: ") and "\n" not in error and "Traceback" not in error


def test_report_is_one_page(fitted):
    assert run("report", fitted / "out", "--out", fitted / "page.html") == 0
    assert "drug_1" in (fitted / "page.html").read_text(encoding="utf-8")


def test_help_and_version_are_told(capsys):
    for arguments in (["--help"], ["fit", "--help"], ["--version"]):
        assert run(*arguments) == 0
    text = capsys.readouterr().out
    assert "--perturbation-key" in text and "demo" in text
