import json
import re
import shutil
import subprocess

import pandas as pd
import pytest

from scgim.tl import report

BROWSER = shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")

DRIVE = """<script>
const told = {errors: window.problems};
const rows = () => [...document.querySelectorAll("#table tbody tr")].map((r) => r.cells[0].textContent + "|" + r.cells[1].textContent);
told.all = rows();
const type = (text) => { find("search").value = text; find("search").dispatchEvent(new Event("input")); };
type("lapachone g1"); told.found = rows();
type("no such drug"); told.none = rows();
type("");
document.querySelectorAll("#table th button")[4].click();
told.effects = [...document.querySelectorAll("#table tbody tr")].map((r) => parseFloat(r.cells[4].textContent));
document.querySelector('.node[data-gene="g1"]').dispatchEvent(new MouseEvent("click"));
told.gene = find("gene").textContent;
told.lines = document.querySelectorAll("#curve polyline").length;
told.bold = document.querySelectorAll("#targets b, #targets script").length;
const out = document.createElement("pre"); out.id = "told"; out.textContent = JSON.stringify(told); document.body.appendChild(out);
</script>"""


def payload(path) -> dict:
    return json.loads(re.search(r"const data = (.*);\n", path.read_text(encoding="utf-8"))[1])


def test_the_page_holds_what_was_fitted_and_needs_no_network(fitted_adata, tmp_path):
    path = report(fitted_adata, tmp_path / "page.html", title="My screen")
    text, data = path.read_text(encoding="utf-8"), payload(path)
    assert data["title"] == "My screen"
    assert ["β-Lapachone", "g1"] in [row[:2] for row in data["targets"]]
    assert {gene[0] for gene in data["graph"]["genes"]} == {"g0", "g1", "g2", "g3"}
    assert [curve["perturbation"] for curve in data["curves"]] == ["(+/-)-Abacavir / HCl", "β-Lapachone"]
    assert any("3 perturbations" in line for line in data["summary"])
    assert not re.search(r"(src|href)\s*=\s*[\"']https?:", text) and len(text) < 5e6
    assert [p.name for p in tmp_path.iterdir()] == ["page.html"]


def test_names_cannot_become_markup(fitted_adata, tmp_path):
    for part in (fitted_adata.obs, *(fitted_adata.uns["scgim"][table] for table in ("targets", "contexts"))):
        part["drug"] = part["drug"].astype(str).replace("drug c", "</script><b>drug c")
    text = report(fitted_adata, tmp_path / "page.html").read_text(encoding="utf-8")
    assert "</script><b>" not in text


def test_evaluation_and_symbols_are_shown(fitted_adata, tmp_path):
    fitted_adata.var["symbol"] = [f"SYM{i}" for i in range(5)]
    scores = pd.DataFrame(
        {"method": ["gim", "control"], "context": "a", "metric": "mean_distance", "value": [1.0, 2.0]}
    )
    data = payload(report(fitted_adata, tmp_path / "page.html", gene_symbols="symbol", evaluation=scores))
    assert data["evaluation"] == [["mean_distance", "gim", 1.0], ["mean_distance", "control", 2.0]]
    assert {row[1] for row in data["targets"]} <= {f"SYM{i}" for i in range(5)}


def test_a_failed_page_leaves_the_old_one(fitted_adata, tmp_path, monkeypatch):
    path = tmp_path / "page.html"
    path.write_text("old")
    monkeypatch.setattr("scgim._writing.os.replace", lambda *_: (_ for _ in ()).throw(OSError("disk full")))
    with pytest.raises(OSError, match="disk full"):
        report(fitted_adata, path)
    assert path.read_text() == "old" and len(list(tmp_path.iterdir())) == 1


@pytest.mark.parametrize(
    ("kwargs", "error", "named"),
    [
        ({"out": "page.pdf"}, ValueError, "out"),
        ({"key": "other"}, KeyError, "other"),
        ({"gene_symbols": "absent"}, KeyError, "gene_symbols"),
        ({"diagnostics": pd.DataFrame()}, TypeError, "diagnostics"),
        ({"evaluation": pd.DataFrame()}, TypeError, "evaluation"),
    ],
)
def test_wrong_arguments_are_named_and_nothing_is_written(fitted_adata, tmp_path, monkeypatch, kwargs, error, named):
    monkeypatch.chdir(tmp_path)
    with pytest.raises(error, match=named):
        report(fitted_adata, **kwargs)
    assert list(tmp_path.iterdir()) == []


@pytest.mark.skipif(BROWSER is None, reason="no Chromium to drive the page with")
def test_search_sort_and_click_in_a_browser(fitted_adata, tmp_path):
    path = report(fitted_adata, tmp_path / "page.html")
    text = path.read_text(encoding="utf-8")
    watch = "<script>window.problems = []; window.onerror = (m) => window.problems.push(String(m)); console.error = (m) => window.problems.push(String(m));</script>"
    driven = tmp_path / "driven.html"
    driven.write_text(text.replace("<head>", "<head>" + watch).replace("</body>", DRIVE + "</body>"), encoding="utf-8")
    command = [
        str(BROWSER),
        "--headless=new",
        "--no-sandbox",
        "--disable-gpu",
        f"--user-data-dir={tmp_path / 'profile'}",
    ]
    dom = subprocess.run(
        [*command, "--virtual-time-budget=4000", "--dump-dom", driven.as_uri()],
        capture_output=True,
        text=True,
        timeout=120,
    ).stdout
    told = json.loads(re.search(r'<pre id="told">(.*?)</pre>', dom, re.DOTALL)[1].replace("&amp;", "&"))
    assert told["errors"] == []
    assert len(told["all"]) == 15 and told["none"] == [] and told["bold"] == 0
    assert told["found"] == ["β-Lapachone|g1"]
    assert told["effects"] == sorted(told["effects"], reverse=True)
    assert "Acted on by: g0" in told["gene"] and "Acts on: g2" in told["gene"] and "β-Lapachone" in told["gene"]
    assert told["lines"] == 1


def test_absent_genes_are_missed_once(fitted_adata, tmp_path):
    fitted_adata.uns["scgim"]["params"]["n_genes"] = fitted_adata.n_vars
    with pytest.warns(UserWarning) as said:
        report(fitted_adata[:, :2], tmp_path / "page.html")
    assert sum("holds 2 of the" in str(each.message) for each in said) == 1
