"""Examples in docstrings run: each with the objects that it names, on a small simulated screen. Only what needs a network is skipped."""

import doctest
import inspect
import os
from collections.abc import Iterator
from importlib import import_module
from types import SimpleNamespace
from typing import Any

import numpy as np
import pandas as pd
import pytest

import scgim
from scgim import datasets, tl

NAMESPACES = ("datasets", "datasets.faults", "get", "metrics", "metrics.baselines", "pl", "pp", "tl")
NETWORK = {"datasets.sachs", "datasets.sciplex3", "datasets.screen", "get.gene_sets"}  # fetch data, or ask a service
GENES = ("Raf", "Mek", "MYC", "JUN", "STAT1", "P38")
DRUGS = ("U0126", "JQ1", "drug_1", "IFNB")


class Checker(doctest.OutputChecker):
    """What is printed counts only where the example says what to expect."""

    def check_output(self, want: str, got: str, optionflags: int) -> bool:
        return not want or super().check_output(want, got, optionflags)


def public() -> Iterator[tuple[str, Any]]:
    """Public functions and methods that have examples, by name."""
    for namespace in NAMESPACES:
        module = import_module(f"scgim.{namespace}")
        for name in module.__all__:
            yield f"{namespace}.{name}", getattr(module, name)
    from scgim.model import GIM

    yield "model.GIM", GIM
    for name, member in inspect.getmembers(GIM, callable):
        if not name.startswith("_") and "scgim" in (getattr(member, "__module__", None) or ""):
            yield f"model.GIM.{name}", member


EXAMPLES = [(name, thing) for name, thing in public() if ">>>" in (thing.__doc__ or "")]


@pytest.fixture(scope="module")
def world() -> SimpleNamespace:
    """A chain of genes and four drugs with names as in the examples, fitted once; held-out cells of other doses."""
    chain = np.eye(6, k=1, dtype=bool)
    adata = datasets.simulate(
        6, graph=chain, n_drugs=4, n_new_drugs=0, n_cells=40, n_test_cells=20, n_control=300, max_targets=1, rng=1
    )
    adata.var_names = list(GENES)
    names = dict(zip(adata.uns["truth"]["drugs"], DRUGS, strict=True)) | {"control": "control"}
    adata.obs["drug"] = pd.Categorical([names[drug] for drug in adata.obs["drug"]])
    adata.uns.pop("features", None)
    adata.obs["state"] = pd.Categorical(np.where(adata.obs["drug"] == "IFNB", "well", "sick"))
    parts = {name: adata[(adata.obs["split"] == name).to_numpy()].copy() for name in ("train", "new_dose")}
    keys = {"perturbation_key": "drug", "dose_key": "dose", "control": "control"}
    plain = parts["train"].copy()
    model = tl.fit(parts["train"], **keys, max_epochs=0, progress=False)
    return SimpleNamespace(plain=plain, fitted=parts["train"], held=parts["new_dose"], model=model)


def names_for(name: str, world: SimpleNamespace) -> dict[str, Any]:
    """What an example may name; those that write get objects of their own."""
    import scanpy as sc

    adata = world.plain if name.startswith(("pp.", "model.GIM")) or name == "tl.fit" else world.fitted
    names: dict[str, Any] = {"np": np, "pd": pd, "sc": sc, "scgim": scgim, "model": world.model}
    names |= {"adata": adata.copy(), "adata_test": world.held.copy()}
    names["table"] = scgim.get.targets(world.fitted)
    names["known"] = ["Mek", "MYC"]
    if name == "pp.encode_doses":
        names["adata"].obs["dose"] = [f"{1000 * dose:g} nM" for dose in names["adata"].obs["dose"]]
    if name == "pp.split_combinations":
        drug = names["adata"].obs["drug"].astype(str).to_numpy(dtype=object)
        drug[(drug == "IFNB")] = "drug_1+JQ1"
        names["adata"].obs["drug"] = pd.Categorical(drug)
        names["adata"].obs["dose"] = [
            f"{d:g}+{d:g}" if "+" in n else f"{d:g}" for n, d in zip(drug, names["adata"].obs["dose"], strict=True)
        ]
    if name == "model.GIM.setup_mudata":
        names["mdata"] = two_modalities(world.plain)
    if name in ("model.GIM.train", "model.GIM.load", "model.GIM.refit"):
        scgim.model.GIM.setup_anndata(names["adata"], perturbation_key="drug", dose_key="dose", control="control")
        names["model"] = scgim.model.GIM(names["adata"])
    if name in ("model.GIM.load", "model.GIM.refit"):
        world.model.save("model")
    if name == "model.GIM.predict_to_disk":
        names["screen"] = pd.DataFrame({"drug": ["JQ1", "drug_1"], "dose": [0.3, 0.7]})
    if "intervene" in name:  # knock-outs are for values of at least zero
        names["adata"].X -= names["adata"].X.min()
        names["adata"].obs["batch"] = pd.Categorical(["b1", "b2"] * (names["adata"].n_obs // 2))
        keys = {"perturbation_key": "drug", "dose_key": "dose", "control": "control", "batch_key": "batch"}
        names["model"] = tl.fit(names["adata"], **keys, max_epochs=0, progress=False)
    if name.endswith("suggest_experiments"):
        rng = np.random.default_rng(0)
        names["fingerprints"] = pd.DataFrame(
            rng.normal(size=(3, 2)), index=["new 1", "new 2", "new 3"], columns=["a", "b"]
        )
        names["adata"].uns["descriptors"] = pd.DataFrame(rng.normal(size=(4, 2)), index=list(DRUGS), columns=["a", "b"])
        keys = {"perturbation_key": "drug", "dose_key": "dose", "control": "control", "features_key": "descriptors"}
        names["model"] = tl.fit(names["adata"], **keys, max_epochs=0, progress=False)
        names["library"] = pd.DataFrame({"drug": names["fingerprints"].index, "dose": 1.0})
    if name.startswith("metrics"):
        module = import_module("scgim." + name.rpartition(".")[0])
        names |= {other: getattr(module, other) for other in module.__all__}
    return names


def two_modalities(adata: Any) -> Any:
    """The first four genes as RNA, the others as protein."""
    import mudata

    rna, protein = adata[:, :4].copy(), adata[:, 4:].copy()
    mdata = mudata.MuData({"rna": rna, "protein": protein})
    mdata.obs["drug"] = adata.obs["drug"]
    for part in (rna, protein):
        part.layers["log"] = part.X
    return mdata


def test_every_function_has_an_example():
    assert not [
        name
        for name, thing in public()
        if (inspect.isfunction(thing) or "faults." in name) and ">>>" not in (thing.__doc__ or "") and "GIM" not in name
    ]


@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize(("name", "thing"), EXAMPLES, ids=[name for name, _ in EXAMPLES])
def test_example_runs(name, thing, world, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    if name == "pp.fingerprints":
        pytest.importorskip("rdkit")
    test = doctest.DocTestParser().get_doctest(thing.__doc__, names_for(name, world), name, None, None)
    skipped = [e for e in test.examples if e.options.get(doctest.SKIP)]
    assert not skipped or name in NETWORK or "upload_folder" in skipped[0].source, "it can run: take the mark away"
    said: list[str] = []
    runner = doctest.DocTestRunner(Checker(), verbose=False, optionflags=doctest.NORMALIZE_WHITESPACE)
    result = runner.run(test, out=said.append)
    assert result.failed == 0, "".join(said)


def test_the_catalogue_is_not_empty():
    assert len(EXAMPLES) > 40
    assert {"tl.fit", "pl.mechanisms", "get.targets", "pp.select_genes", "model.GIM.predict"} <= {
        n for n, _ in EXAMPLES
    }
    assert os.environ.get("MPLBACKEND") == "Agg"
