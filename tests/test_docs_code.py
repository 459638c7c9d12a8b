"""Python in the pages of the documentation runs, block after block, on a small screen with the names that the pages use."""

import re
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest

import scgim
from scgim.model import GIM

DOCS = Path(scgim.__file__).parents[2] / "docs"
NOT_HERE = {  # part of a block: why it does not run in the tests
    "huggingface_hub.": "sends or fetches a model",
    "import ray": "needs Ray; tests/model/_gim/test_autotune.py runs it",
    'accelerator="gpu"': "needs a GPU",
}
ELSEWHERE = {"add_a_kind.md": "tests/test_add_a_kind.py runs it"}
PAGES = sorted(
    page.relative_to(DOCS).as_posix()
    for page in DOCS.rglob("*.md")
    if not page.relative_to(DOCS).parts[0].startswith(("_", "tutorials", "generated", "jupyter"))
    and "```python" in page.read_text(encoding="utf-8")
)
pytestmark = pytest.mark.skipif(not DOCS.is_dir(), reason="the documentation is not beside this package")


def blocks(page: str) -> list[str]:
    return re.findall(r"```python\n(.*?)```", (DOCS / page).read_text(encoding="utf-8"), re.S)


def screen(rng: np.random.Generator) -> Any:
    """Logarithms of counts of twelve genes under three drugs and a pair, two doses, two patients and lines."""
    from anndata import AnnData

    drugs = ["DMSO", "vorinostat", "trametinib", "panobinostat", "vorinostat+trametinib"]
    rows = [
        (drug, dose, patient)
        for drug in drugs
        for dose in ((0.0,) if drug == "DMSO" else (0.1, 0.4))
        for patient in ("PW030", "PW032")
        for _ in range(60 if drug == "DMSO" else 20)
    ]
    obs = pd.DataFrame(rows, columns=["drug", "dose_uM", "patient"]).rename(index=str)
    genes = ["HDAC1", "HDAC2", *(f"GENE{k}" for k in range(10))]
    rate = np.full((len(obs), len(genes)), 8.0)
    for k, drug in enumerate(drugs[1:4]):
        rate[obs["drug"].str.contains(drug).to_numpy(), k] *= 4
    counts = rng.poisson(rate).astype(np.float32)
    adata = AnnData(np.log1p(counts), obs=obs, var=pd.DataFrame(index=genes), layers={"counts": counts})
    part = obs["drug"].str.split("+")
    several = part.str.len() > 1
    obs["drug_1"], obs["drug_2"] = part.str[0], np.where(several, part.str[-1], "DMSO")
    obs["dose_1"], obs["dose_2"] = obs["dose_uM"], np.where(several, obs["dose_uM"], 0.0)
    obs["dose"] = obs["dose_uM"]
    obs["cell_line"] = np.where(np.arange(len(obs)) % 2, "A", "B")
    adata.obs = obs
    return adata


def names_for(page: str, rng: np.random.Generator) -> dict[str, Any]:
    """What a page takes for granted."""
    adata = screen(rng)
    single = adata[~adata.obs["drug"].str.contains("+", regex=False)].copy()
    names: dict[str, Any] = {"scgim": scgim, "np": np, "pd": pd, "adata": single, "genes": list(adata.var_names)}
    columns = {"perturbation_key": "drug", "dose_key": "dose_uM", "control": "DMSO"}
    names["columns"] = columns
    last = page.rpartition("/")[2]
    if last == "combinations.md":
        names["adata"] = adata
        adata.obs["dose"] = [
            f"{d:g}+{d:g}" if "+" in n else f"{d:g}"
            for n, d in zip(adata.obs["drug"], adata.obs["dose_uM"], strict=True)
        ]
    if last == "prepare.md":
        single.X = single.layers.pop("counts")
        single.obs["dose"] = [f"{1000 * dose:g} nM" for dose in single.obs.pop("dose_uM")]
    if last in ("features.md", "saving.md", "trust.md", "scaling.md", "what_is_written.md"):
        held = (single.obs["drug"] != "DMSO") & (single.obs["dose_uM"] == 0.4)
        names["test"] = names["adata_of_drugs_held_out"] = single[held.to_numpy()].copy()
        names["model"] = scgim.tl.fit(single, **columns, progress=False)
    if last == "features.md":
        names["descriptors"] = table(rng, ["vorinostat", "trametinib", "panobinostat"])
        names["new_descriptors"] = table(rng, ["new-1"])
    if last == "saving.md":
        names["scores"] = scgim.tl.evaluate(names["model"], names["test"])
    if last == "scaling.md":
        single.write_h5ad("large.h5ad")
        single.write_zarr("large.zarr")
    if last == "what_is_written.md":
        single.write_h5ad("adata.h5ad")
    return names


def table(rng: np.random.Generator, drugs: list[str]) -> pd.DataFrame:
    return pd.DataFrame(rng.normal(size=(len(drugs), 3)), index=drugs, columns=["weight", "logp", "charge"])


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize("page", [page for page in PAGES if page not in ELSEWHERE])
def test_blocks_of_a_page_run(page, rng, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    train = GIM.train

    def briefly(self, max_epochs=None, **kwargs):
        return train(self, max_epochs=1 if max_epochs is None else max_epochs, **kwargs)

    monkeypatch.setattr(GIM, "train", briefly)
    if page.endswith(("features.md",)):
        pytest.importorskip("rdkit")
    if page.endswith("scaling.md"):
        pytest.importorskip("zarr")
        pytest.importorskip("dask")
    names = names_for(page, rng)
    for number, block in enumerate(blocks(page), 1):
        if any(part in block for part in NOT_HERE):
            continue
        exec(compile(block, f"{page}, block {number}", "exec"), names)


def test_what_is_left_out_is_there_and_pages_have_code():
    text = "".join(block for page in PAGES for block in blocks(page))
    assert [part for part in NOT_HERE if part not in text] == []
    assert set(ELSEWHERE) <= set(PAGES) and len(PAGES) >= 9
    assert "..." not in re.sub(r'"[^"]*"|#.*', "", text)  # placeholders cannot run
