"""The README keeps its promises: its Python example runs, its commands parse."""

import re
import shlex
from pathlib import Path

import pytest

import scgim

README = Path(scgim.__file__).parents[2] / "README.md"

pytestmark = pytest.mark.skipif(not README.is_file(), reason="the README is not beside this package")


def blocks(language: str) -> list[str]:
    return re.findall(rf"```{language}\n(.*?)```", README.read_text(encoding="utf-8"), re.S)


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore")
def test_example_of_the_readme_runs_and_finds_the_truth() -> None:
    (example,) = blocks("python")
    names: dict = {}
    exec(compile(example, "README.md", "exec"), names)
    truth = names["adata"].uns["truth"]
    graph = scgim.get.graph(names["train"])
    found = {(int(a.split("_")[1]), int(b.split("_")[1])) for a, b in graph.edges}
    true = {(i + 1, j + 1) for i, j in zip(*truth["graph"].nonzero(), strict=True)}
    assert 2 * len(found & true) / (len(found) + len(true)) > 0.9
    table = scgim.get.targets(names["train"], level="drug").query("rank == 1").set_index("perturbation")
    rows = re.findall(r"^\| (drug_\d+) \| (\S+) .* \| 1.00 \| (\S+) \|", README.read_text(encoding="utf-8"), re.M)
    for drug, gene, effect in rows:
        assert table.loc[drug, "gene"] == gene and abs(table.loc[drug, "effect"] - float(effect)) < 0.01
    assert len(rows) == 2 and names["cells"].n_obs == 200 * len(names["unseen"])
    assert set(names["cells"].obs["dose"]) == {1.75}


def test_commands_of_the_readme_parse() -> None:
    from scgim.cli import app

    commands = [line for block in blocks("bash") for line in re.findall(r"scgim .*", block)]
    assert {shlex.split(line, comments=True)[1] for line in commands} == {"demo", "fit", "report"}
    for line in commands:
        tokens = shlex.split(line, comments=True)[1:]
        if tokens[-1] != "--help":
            app.parse_args(tokens, exit_on_error=False, print_error=False)


def test_set_up_commands_are_complete() -> None:
    lines = "".join(blocks("bash")).splitlines()
    assert "pip install -e . && scgim demo" in lines
    assert 'pip install -e ".[test]" && pytest' in lines
