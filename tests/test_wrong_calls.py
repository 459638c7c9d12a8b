"""A catalogue of wrong calls: each names the argument and what is expected, and leaves the objects as they were.

Every line of a table is ``argument | call``. The objects of the calls: ``adata`` (cells that were not fitted), ``fitted`` (with results),
``model`` (fitted, with data) and ``bare`` (the same without data), ``held`` (cells of the screen), ``view``, ``empty``, ``ask`` (conditions).
"""

import hashlib
import re
from pathlib import Path
from typing import Any

import anndata as ad
import numpy as np
import pandas as pd
import pytest
from scipy import sparse

import systems
from scgim import datasets, get, metrics, pl, pp, tl
from scgim.cli import main
from scgim.datasets import faults
from scgim.metrics import baselines
from scgim.model import GIM

NAMESPACE = {"np": np, "pd": pd, "GIM": GIM, "faults": faults, "baselines": baselines} | {
    part.__name__.rpartition(".")[2]: part for part in (datasets, get, metrics, pl, pp, tl)
}
ERRORS = (ValueError, KeyError, TypeError)
SAYS = re.compile(
    r"expected|must|use |did you mean|needs|found|run |is missing|exists|leave |name |label |pass |drop|Correct|update "
)
"""What every message has: what is expected, or what to do."""

GET = """
adata | get.targets(model)
adata | get.targets(None)
adata | get.targets("file.h5ad")
adata | get.targets(fitted.X)
key | get.targets(adata)
key | get.targets(fitted, key="other")
key | get.targets(fitted, key=3)
key | get.targets(fitted, key="")
level | get.targets(fitted, level="drugs")
level | get.targets(fitted, level=None)
min_probability | get.targets(fitted, min_probability=1.5)
min_probability | get.targets(fitted, min_probability=-0.1)
min_probability | get.targets(fitted, min_probability="high")
min_probability | get.targets(fitted, min_probability=None)
min_probability | get.targets(fitted, min_probability=float("nan"))
min_probability | get.targets(fitted, min_probability=True)
min_probabilty | get.targets(fitted, min_probabilty=0.5)
max_false_sign_rate | get.targets(fitted, level="drug", max_false_sign_rate=2)
gene_symbols | get.targets(fitted, gene_symbols="symbol")
gene_symbols | get.targets(fitted, gene_symbols=1)
adata | get.targets()
adata | get.graph(model)
key | get.graph(adata)
min_probability | get.graph(fitted, min_probability=2)
min_probability | get.graph(fitted, min_probability=[0.5])
threshold | get.graph(fitted, threshold=0.5)
adata | get.network(model)
key | get.network(fitted, key="x")
n_edges | get.network(fitted, n_edges=0)
n_edges | get.network(fitted, n_edges=2.5)
n_edges | get.network(fitted, n_edges="all")
min_probability | get.network(fitted, min_probability=-1)
perturbation | get.downstream(fitted, "drug x")
perturbation | get.downstream(fitted, ["drug c", "control"])
perturbation | get.downstream(fitted, 3)
perturbation | get.downstream(fitted)
dose | get.downstream(fitted, "drug c", dose="high")
dose | get.downstream(fitted, "drug c", dose=77.0)
dose | get.downstream(fitted, "drug c", dose=float("nan"))
dose | get.downstream(fitted, "drug c", dose=None)
adata | get.downstream(model, "drug c")
adata | pl.regulators(fitted)
key | pl.regulators(adata)
n_regulators | pl.regulators(fitted, n_regulators=0)
dose | pl.regulators(fitted, dose=77.0)
adata | get.perturbations(model)
key | get.perturbations(adata)
dose | get.perturbations(fitted, dose="lowest")
by_sign | get.gene_sets(fitted, by_sign="yes")
min_probability | get.gene_sets(fitted, min_probability=7)
adata | get.gene_sets(model)
gene_symbols | get.gene_sets(fitted, gene_symbols="nothing")
"""

PL = """
ax | pl.history(fitted, ax=3)
metrics | pl.history(fitted, metrics=[])
adata | pl.mechanisms(model)
adata | pl.mechanisms([1, 2])
perturbation | pl.mechanisms(fitted, "drog c")
perturbation | pl.mechanisms(fitted, ["drug c"])
key | pl.mechanisms(adata)
n_genes | pl.mechanisms(fitted, n_genes=0)
n_genes | pl.mechanisms(fitted, n_genes="ten")
n_perturbations | pl.mechanisms(fitted, n_perturbations=-1)
dose | pl.mechanisms(fitted, dose="low")
dose | pl.mechanisms(fitted, dose=[1.0])
gene_symbols | pl.mechanisms(fitted, gene_symbols="symbol")
title | pl.mechanisms(fitted, title=3)
ax | pl.mechanisms(fitted, ax="left")
ax | pl.mechanisms(fitted, ax=[1])
show | pl.mechanisms(fitted, show="no")
return_fig | pl.mechanisms(fitted, return_fig=1.0)
save | pl.mechanisms(fitted, save=3)
save | pl.mechanisms(fitted, save="")
save | pl.targets(fitted, save="picture.xyz")
save | pl.graph(fitted, save="no/such/folder/x.png")
safe | pl.graph(fitted, safe="x.png")
adata | pl.graph(model)
key | pl.graph(adata)
n_edges | pl.graph(fitted, n_edges=0)
n_edges | pl.graph(fitted, n_edges=True)
min_probability | pl.graph(fitted, min_probability=3)
adata | pl.targets(model)
min_probability | pl.targets(fitted, min_probability="0.5")
n_labels | pl.targets(fitted, n_labels=-2)
perturbation | pl.targets(fitted, "unheard")
adata | pl.dose_response(model, "drug c")
perturbation | pl.dose_response(fitted, "drug")
perturbation | pl.dose_response(fitted, ["drug c"])
perturbation | pl.dose_response(fitted)
genes | pl.dose_response(fitted, "drug c", genes=["g0", "gX"])
genes | pl.dose_response(fitted, "drug c", genes=3)
n_genes | pl.dose_response(fitted, "drug c", n_genes=0)
curves | pl.dose_response(fitted, "drug c", curves=3)
curves | pl.dose_response(fitted, "drug c", curves=ask)
adata | pl.drug_similarity(model)
n_perturbations | pl.drug_similarity(fitted, n_perturbations=0)
adata | pl.history(model)
metrics | pl.history(fitted, metrics=["nothing"])
metrics | pl.history(fitted, metrics=5)
tables | pl.diagnostics(fitted)
tables | pl.diagnostics(None)
n_pairs | pl.diagnostics({}, n_pairs=0)
table | pl.predicted_vs_observed(fitted)
table | pl.predicted_vs_observed(model)
table | pl.predicted_vs_observed(pd.DataFrame({"gene": ["a"]}))
level | pl.predicted_vs_observed(ask, level="batch")
n_panels | pl.predicted_vs_observed(ask, n_panels=0)
n_labels | pl.predicted_vs_observed(ask, n_labels=-1)
perturbation | pl.predicted_vs_observed(ask, ["drug c"])
truth | pl.calibration("x", [0.5])
probability | pl.calibration([1, 0], [0.5, 3])
probability | pl.calibration([1, 0], [0.5])
n_bins | pl.calibration([1, 0], [0.5, 0.5], n_bins=0)
"""

PP = """
radius | pp.fingerprints({"a": "CCO"}, radius=10**9)
n_bits | pp.fingerprints({"a": "CCO"}, n_bits=10**12)
by | pp.split_contexts(adata, adata, perturbation_key="drug", control="DMSO")
by | pp.split_contexts(adata, ["dose"], perturbation_key="drug", control="DMSO")
hold_out | pp.split_contexts(adata, "drug", perturbation_key="drug", control="DMSO", hold_out=[])
hold_out | pp.split_contexts(adata, "drug", perturbation_key="drug", control="DMSO", hold_out=np.zeros((2, 2)))
hold_out | pp.split_contexts(adata, "drug", perturbation_key="drug", control="DMSO", hold_out=model)
drugs | pp.split_contexts(adata, "drug", perturbation_key="drug", control="DMSO", drugs=["drug c"])
covariate_key | pp.split_contexts(adata, "drug", perturbation_key="drug", control="DMSO", covariate_key="batch")
perturbation_key | pp.split_contexts(adata, "drug", perturbation_key=[], control="DMSO")
perturbation_key | pp.split_contexts(adata, "drug", perturbation_key=["drug", "drug"], control="DMSO")
genes | pp.select_genes(adata, 2, genes=adata)
perturbation_key | pp.select_genes(adata, 2, perturbation_key=np.zeros(0), control="DMSO")
max_gb | pp.select_genes(adata, 2, perturbation_key="drug", control="DMSO", max_gb=1e-9)
adata | pp.select_genes(model)
adata | pp.select_genes(None)
adata | pp.select_genes(empty)
adata | pp.select_genes(view, perturbation_key="drug", control="DMSO")
n_genes | pp.select_genes(adata, 0)
n_genes | pp.select_genes(adata, 2.5)
n_genes | pp.select_genes(adata, "all")
method | pp.select_genes(adata, method="response")
method | pp.select_genes(adata, method=1)
genes | pp.select_genes(adata, method="listed")
genes | pp.select_genes(adata, method="listed", genes=["gX"])
genes | pp.select_genes(adata, method="listed", genes=[1])
perturbation_key | pp.select_genes(adata)
perturbation_key | pp.select_genes(adata, perturbation_key="drog", control="DMSO")
perturbation_key | pp.select_genes(adata, perturbation_key=3, control="DMSO")
control | pp.select_genes(adata, perturbation_key="drug")
control | pp.select_genes(adata, perturbation_key="drug", control="dmso")
control | pp.select_genes(adata, perturbation_key="drug", control=0)
dose_key | pp.select_genes(adata, perturbation_key="drug", control="DMSO", dose_key="doze")
dose_key | pp.select_genes(adata, perturbation_key="drug", control="DMSO", dose_key="text_dose")
layer | pp.select_genes(adata, perturbation_key="drug", control="DMSO", layer="counts")
min_fraction | pp.select_genes(adata, perturbation_key="drug", control="DMSO", min_fraction=2)
max_gb | pp.select_genes(adata, perturbation_key="drug", control="DMSO", max_gb=0)
subset | pp.select_genes(adata, perturbation_key="drug", control="DMSO", subset="yes")
key_added | pp.select_genes(adata, perturbation_key="drug", control="DMSO", key_added="a/b")
copy | pp.select_genes(adata, perturbation_key="drug", control="DMSO", copy=1)
n_top_genes | pp.select_genes(adata, n_top_genes=5)
adata | pp.encode_doses(model, "dose")
dose_key | pp.encode_doses(adata, "doze")
dose_key | pp.encode_doses(adata, None)
dose_key | pp.encode_doses(adata, ["dose"])
dose_key | pp.encode_doses(adata, "drug")
unit | pp.encode_doses(adata, "text_dose", unit="parsec")
unit | pp.encode_doses(adata, "text_dose", unit=3)
perturbation_key | pp.encode_doses(adata, "text_dose", perturbation_key="drog")
key_added | pp.encode_doses(adata, "text_dose", key_added="a/b")
copy | pp.encode_doses(adata, "text_dose", copy="no")
adata | pp.split_combinations(None, "drug")
perturbation_key | pp.split_combinations(adata, "drog")
perturbation_key | pp.split_combinations(adata, 3)
perturbation_key | pp.split_combinations(adata)
separator | pp.split_combinations(adata, "drug", separator="")
separator | pp.split_combinations(adata, "drug", separator=3)
dose_key | pp.split_combinations(adata, "drug", dose_key="doze")
control | pp.split_combinations(adata, "drug", control=None)
adata | pp.split_contexts(model, "dose", perturbation_key="drug", control="DMSO")
by | pp.split_contexts(adata, "cell", perturbation_key="drug", control="DMSO")
by | pp.split_contexts(adata, 3, perturbation_key="drug", control="DMSO")
perturbation_key | pp.split_contexts(adata, "dose", perturbation_key="drog", control="DMSO", dose_key="dose")
perturbation_key | pp.split_contexts(adata, "dose", control="DMSO")
control | pp.split_contexts(adata, "dose", perturbation_key="drug", control="none", dose_key="dose")
dose_key | pp.split_contexts(adata, "dose", perturbation_key="drug", control="DMSO")
dose_key | pp.split_contexts(adata, "dose", perturbation_key="drug", control="DMSO", dose_key="text_dose")
covariate_key | pp.split_contexts(adata, "covariate", perturbation_key="drug", control="DMSO")
covariate_key | pp.split_contexts(adata, "covariate", perturbation_key="drug", control="DMSO", covariate_key="patient")
hold_out | pp.split_contexts(adata, "drug", perturbation_key="drug", control="DMSO", hold_out="unheard")
fraction | pp.split_contexts(adata, "drug", perturbation_key="drug", control="DMSO", fraction=0)
fraction | pp.split_contexts(adata, "drug", perturbation_key="drug", control="DMSO", fraction=1.5)
rng | pp.split_contexts(adata, "drug", perturbation_key="drug", control="DMSO", rng="seed")
rng | pp.split_contexts(adata, "drug", perturbation_key="drug", control="DMSO", rng=np.random.RandomState(0))
kind | pp.fingerprints({"a": "CC"}, kind="morgan")
radius | pp.fingerprints({"a": "CC"}, radius=-1)
n_bits | pp.fingerprints({"a": "CC"}, n_bits=0)
smiles | pp.fingerprints(3)
smiles | pp.fingerprints({"a": "not a structure"})
smiles | pp.fingerprints(["CC"])
"""

TL = """
astype | tl.fit(numbered, perturbation_key=0, control="DMSO")
astype | tl.fit(numbered, perturbation_key="0", control="DMSO")
astype | GIM.setup_anndata(numbered, perturbation_key=["0"], control="DMSO")
perturbation_key | tl.fit(twice, perturbation_key="drug", control="DMSO")
perturbation_key | tl.fit(adata, perturbation_key=0, control="DMSO")
perturbation_key | tl.fit(adata, perturbation_key=[0, 1], control="DMSO")
perturbation_key | tl.fit(adata, perturbation_key=["drug", "drug"], control="DMSO")
perturbation_key | tl.fit(adata, perturbation_key=adata, control="DMSO")
control | tl.fit(adata, perturbation_key="drug", control=["DMSO"])
control | tl.fit(adata, perturbation_key="drug", control="")
control | tl.fit(adata, perturbation_key="drug", control=float("nan"))
layer | tl.fit(adata, layer={"rna": "counts"}, **columns)
layer | tl.fit(adata, layer=["counts"], **columns)
modalities | tl.fit(adata, modalities="rna", **columns)
model_kwargs | tl.fit(adata, model_kwargs=[1], **columns)
n_hidden | tl.fit(adata, model_kwargs={"n_hidden": 0}, **columns)
ridge | tl.fit(adata, model_kwargs={"ridge": "small"}, **columns)
max_parents | tl.fit(adata, model_kwargs={"max_parents": 2.5}, **columns)
plan_kwargs | tl.fit(adata, plan_kwargs="lr", **columns)
lr | tl.fit(adata, plan_kwargs={"lr": "fast"}, **columns)
lr | tl.fit(adata, plan_kwargs={"lr": -1.0}, **columns)
accelerator | tl.fit(adata, accelerator="abacus", **columns)
accelerator | tl.fit(adata, accelerator=None, **columns)
devices | tl.fit(adata, devices=0, **columns)
devices | tl.fit(adata, devices=2.5, **columns)
devices | tl.fit(adata, devices="some", **columns)
devices | tl.fit(adata, devices=[], **columns)
batch_size | tl.fit(adata, batch_size="all", **columns)
train_size | tl.fit(adata, train_size=True, **columns)
balance | tl.fit(adata, balance="yes", **columns)
window | tl.fit(adata, window=1.5, **columns)
progress | tl.fit(adata, progress=1, **columns)
mechanism | tl.fit(adata, mechanism="liner", **columns)
mechanism | tl.fit(adata, mechanism=["linear"], **columns)
graph_prior | tl.fit(adata, graph_prior=[[0, 1], [0]], **columns)
metrics | tl.evaluate(model, held, metrics=[])
transform | tl.evaluate(model, held, transform=int)
split_by | tl.diagnose(model, pseudo_drugs=0, split_by="batch")
diagnostics | tl.report(fitted, folder / "r.html", diagnostics={})
features | tl.changes(model, features=pd.DataFrame())
adata | tl.fit(None, **columns)
adata | tl.fit("file.h5ad", **columns)
adata | tl.fit(model, **columns)
adata | tl.fit(view, **columns)
adata | tl.fit(empty, **columns)
perturbation_key | tl.fit(adata, control="DMSO")
perturbation_key | tl.fit(adata, perturbation_key="drog", control="DMSO")
perturbation_key | tl.fit(adata, perturbation_key=3, control="DMSO")
perturbation_key | tl.fit(adata, perturbation_key=[], control="DMSO")
control | tl.fit(adata, perturbation_key="drug")
control | tl.fit(adata, perturbation_key="drug", control="dmso")
control | tl.fit(adata, perturbation_key="drug", control=None)
dose_key | tl.fit(adata, **columns | {"dose_key": "doze"})
dose_key | tl.fit(adata, **columns | {"dose_key": "text_dose"})
dose_key | tl.fit(adata, **columns | {"dose_key": "nan_dose"})
dose_key | tl.fit(adata, **columns | {"dose_key": "negative_dose"})
dose_key | tl.fit(adata, **columns | {"dose_key": ["dose", "dose2"]})
layer | tl.fit(adata, **columns, layer="counts")
layer | tl.fit(adata, **columns, layer=3)
batch_key | tl.fit(adata, **columns, batch_key="patient")
batch_key | tl.fit(adata, **columns, batch_key=["batch"])
categorical_covariate_keys | tl.fit(adata, **columns, categorical_covariate_keys=["line"])
continuous_covariate_keys | tl.fit(adata, **columns, continuous_covariate_keys=["batch"])
continuous_covariate_keys | tl.fit(adata, **columns, continuous_covariate_keys=["absent"])
size_factor_key | tl.fit(adata, **columns, size_factor_key="absent")
features_key | tl.fit(adata, **columns, features_key="absent")
features_key | tl.fit(adata, **columns, features_key=3)
modalities | tl.fit(adata, **columns, modalities={"layer": ["rna"]})
mechanism | tl.fit(adata, **columns, mechanism="liner")
mechanism | tl.fit(adata, **columns, mechanism=None)
mechanism | tl.fit(adata, **columns, mechanism="auto", intervention="hard")
mechanism | tl.fit(adata, **columns, mechanism="auto", structure="gradient")
intervention | tl.fit(adata, **columns, intervention="shifts")
intervention | tl.fit(adata, **columns, intervention=3)
noise | tl.fit(adata, **columns, noise="normal")
structure | tl.fit(adata, **columns, structure="exact")
graph_prior | tl.fit(adata, **columns, graph_prior="absent")
graph_prior | tl.fit(adata, **columns, graph_prior=np.ones((2, 2)))
graph_prior | tl.fit(adata, **columns, graph_prior=3)
graph_prior | tl.fit(adata, **columns, graph_prior=pd.DataFrame({"from": ["g0"]}))
known_targets | tl.fit(adata, **columns, known_targets=pd.DataFrame({"drug": ["x"], "gene": ["g0"]}))
known_targets | tl.fit(adata, **columns, known_targets={"drug": "g0"})
effects_by | tl.fit(adata, **columns, effects_by="batch")
regulators | tl.fit(adata, **columns, regulators="collectri")
regulators | tl.fit(adata, **columns, regulators=pd.DataFrame({"source": ["TF"]}))
regulators | tl.fit(adata, **columns, regulators=pd.DataFrame({"source": ["TF"], "target": ["gX"], "weight": [1.0]}))
regulators | tl.fit(adata, **columns, regulators=pd.DataFrame({"source": ["TF"], "target": ["g0"], "weight": ["up"]}))
regulators | tl.fit(adata, **columns, regulators=pd.DataFrame({"source": ["TF"] * 2, "target": ["g0"] * 2}))
regulators | tl.fit(adata, **columns, regulators=pd.DataFrame({"source": ["TF"] * 3, "target": ["g0", "g1", "g2"]}), mechanism="neural")
regulators | tl.fit(adata, **columns, regulators=pd.DataFrame({"source": ["TF"] * 3, "target": ["g0", "g1", "g2"]}), intervention="hard")
n_ensemble | tl.fit(adata, **columns, n_ensemble=-1)
n_ensemble | tl.fit(adata, **columns, n_ensemble=1.5)
weigh_baselines | tl.fit(adata, **columns, weigh_baselines="no")
penetrance | tl.fit(adata, **columns, penetrance=0.4)
penetrance | tl.fit(adata, **columns, penetrance=True, intervention="hard")
key_added | tl.fit(adata, **columns, key_added="a/b")
key_added | tl.fit(adata, **columns, key_added="")
key_added | tl.fit(adata, **columns, key_added=3)
rng | tl.fit(adata, **columns, rng="seed")
rng | tl.fit(adata, **columns, rng=-1)
rng | tl.fit(adata, **columns, rng=1.5)
rng | tl.fit(adata, **columns, rng=np.random.RandomState(0))
max_epochs | tl.fit(adata, **columns, max_epochs=-1)
max_epochs | tl.fit(adata, **columns, max_epochs="many")
checkpoint | tl.fit(adata, checkpoint=3, **columns)
checkpoint | tl.fit(adata, checkpoint="", **columns)
checkpoint | tl.fit(adata, checkpoint=folder, **columns)
checkpoint | tl.fit(adata, checkpoint=folder, mechanism="neural", max_epochs=0, **columns)
checkpoint | tl.fit(adata, checkpoint=folder, mechanism="neural", rng=None, **columns)
checkpoint | tl.fit(adata, checkpoint=folder, structure="cyclic", max_epochs=3, **columns)
timeout | tl.fit(adata, **columns, timeout=0)
timeout | tl.fit(adata, **columns, timeout="1 h")
timeout | tl.fit(adata, **columns, timeout=60, structure="gradient")
max_epoch | tl.fit(adata, **columns, max_epoch=3)
copy | tl.fit(adata, **columns, copy=True)
random_state | tl.fit(adata, **columns, random_state=0)
model | tl.predict(None, ask)
model | tl.predict(fitted, ask)
perturbations | tl.predict(model, None)
perturbations | tl.predict(model, "DMSO")
perturbations | tl.predict(model, ["DMSO"])
perturbations | tl.predict(model, ask.iloc[:0])
perturbations | tl.predict(model)
drug | tl.predict(model, ask.drop(columns="drug"))
dose | tl.predict(model, ask.drop(columns="dose"))
dose | tl.predict(model, ask.assign(dose=-1.0))
dose | tl.predict(model, ask.assign(dose=np.nan))
dose | tl.predict(model, ask.assign(dose="much"))
unheard | tl.predict(model, ask.assign(drug="unheard"))
n_cells | tl.predict(model, ask, n_cells=0)
n_cells | tl.predict(model, ask, n_cells=-3)
n_cells | tl.predict(model, ask, n_cells=2.5)
n_cells | tl.predict(model, ask, n_cells="many")
n_cell | tl.predict(model, ask, n_cell=3)
rng | tl.predict(model, ask, rng="seed")
rng | tl.predict(model, ask, rng=-1)
model | tl.intervene(None, shift={"g0": 1.0})
model | tl.intervene(fitted, shift={"g0": 1.0})
adata | tl.intervene(model, "cells", shift={"g0": 1.0})
adata | tl.intervene(model, empty, shift={"g0": 1.0})
adata | tl.intervene(model, held[:, :2].copy(), shift={"g0": 1.0})
adata | tl.intervene(bare, shift={"g0": 1.0}, population="drug == 'DMSO'")
knockout | tl.intervene(model)
knockout | tl.intervene(model, knockout="g0")
knockout | tl.intervene(model, knockout=3)
knockout | tl.intervene(model, knockout=["gX"])
knockout | tl.intervene(model, knockout={"g0": 1})
scale | tl.intervene(model, scale={"g0": 0.5})
scale | tl.intervene(model, scale={"g0": -1})
set | tl.intervene(model, set=["g0"])
set | tl.intervene(model, set={"g0": "high"})
set | tl.intervene(model, set={"g0": float("nan")})
set | tl.intervene(model, set={"g0": 1.0}, shift={"g0": 1.0})
set | tl.intervene(model, set={"G0": 1.0})
shift | tl.intervene(model, shift=1.0)
shift | tl.intervene(model, shift={0: 1.0})
shift | tl.intervene(model, shift={"g0": True})
population | tl.intervene(model, shift={"g0": 1.0}, population={"drug": "unheard", "dose": 1.0})
dose | tl.intervene(model, shift={"g0": 1.0}, population={"drug": "Ünï-drug α"})
population | tl.intervene(model, shift={"g0": 1.0}, population={"drog": "DMSO"})
population | tl.intervene(model, shift={"g0": 1.0}, population={"drug": ["DMSO"]})
population | tl.intervene(model, shift={"g0": 1.0}, population="drug = 'DMSO'")
population | tl.intervene(model, shift={"g0": 1.0}, population="drug == 'unheard'")
population | tl.intervene(model, shift={"g0": 1.0}, population=[True, False])
population | tl.intervene(model, held, shift={"g0": 1.0}, population={"line": "a"})
n_cells | tl.intervene(model, shift={"g0": 1.0}, n_cells=0)
n_cells | tl.intervene(model, held, shift={"g0": 1.0}, n_cells=10**6)
rng | tl.intervene(model, shift={"g0": 1.0}, rng="x")
knock_out | tl.intervene(model, knock_out="g0")
model | tl.suggest(None, goal=None)
goal | tl.suggest(model)
goal | tl.suggest(model, goal=None)
goal | tl.suggest(model, goal={"drug": "unheard", "dose": 1.0})
goal | tl.suggest(model, goal="drug = 'DMSO'")
goal | tl.suggest(model, goal=[True])
goal | tl.suggest(model, goal=pd.Series({"gX": 1.0}))
goal | tl.suggest(model, goal=pd.Series({"g0": "a"}))
goal | tl.suggest(bare, goal="drug == 'DMSO'")
start | tl.suggest(model, start=pd.Series({"g0": 1.0}), goal=None)
start | tl.suggest(model, start={"drog": "DMSO"}, goal={"drug": "Ünï-drug α", "dose": 1.0})
adata | tl.suggest(model, "cells", goal=None)
by | tl.suggest(model, goal=pd.Series({"g0": 1.0}), by="set")
by | tl.suggest(model, goal=pd.Series({"g0": 1.0}), by=3)
knockout | tl.suggest(model, goal=pd.Series({"g0": 1.0}), by="knockout")
together | tl.suggest(model, goal=pd.Series({"g0": 1.0}), together=3)
distance | tl.suggest(model, goal=pd.Series({"g0": 1.0}), distance="euclidean")
largest | tl.suggest(model, goal=pd.Series({"g0": 1.0}), largest=0)
n_top | tl.suggest(model, goal=pd.Series({"g0": 1.0}), n_top=0)
rng | tl.suggest(model, goal=pd.Series({"g0": 1.0}), rng="x")
model | tl.suggest_experiments(None, ask)
candidates | tl.suggest_experiments(model, "DMSO")
candidates | tl.suggest_experiments(model)
drug | tl.suggest_experiments(model, ask.drop(columns="drug"))
unheard | tl.suggest_experiments(model, ask.assign(drug="unheard"))
features | tl.suggest_experiments(model, ask, features=np.ones((2, 2)))
n_cells | tl.suggest_experiments(model, ask, n_cells=0)
rng | tl.suggest_experiments(model, ask, rng="x")
model | tl.evaluate(None, held)
model | tl.evaluate(held, model)
adata_test | tl.evaluate(model, None)
adata_test | tl.evaluate(model, ask)
adata_test | tl.evaluate(model, empty)
adata_test | tl.evaluate(model, held[:, :2].copy())
adata_test | tl.evaluate(model, held[held.obs["drug"] == "DMSO"].copy())
metrics | tl.evaluate(model, held, metrics=["rmse"])
metrics | tl.evaluate(model, held, metrics=3)
baselines | tl.evaluate(model, held, baselines=["mean"])
baselines | tl.evaluate(model, held, baselines=None)
model | tl.evaluate(bare, held)
n_cells | tl.evaluate(model, held, n_cells=0)
n_cells | tl.evaluate(model, held, n_cells=1.5)
population | tl.evaluate(model, held, population="cells")
population | tl.evaluate(bare, held, population="control", baselines=())
transform | tl.evaluate(model, held, transform="log")
transform | tl.evaluate(model, held, transform=3)
rng | tl.evaluate(model, held, rng="x")
model | tl.changes(None)
model | tl.changes(bare)
adata_test | tl.changes(model, ask)
adata_test | tl.changes(model, held[:, :2].copy())
transform | tl.changes(model, transform="log")
model | tl.dose_curves(None)
model | tl.dose_curves(bare)
model | tl.dose_curves(fitted)
model | tl.export_model(None, "out", license="mit")
license | tl.export_model(model, "out")
license | tl.export_model(model, "out", license="")
path | tl.export_model(model, 3, license="mit")
evaluation | tl.export_model(model, "out", license="mit", evaluation=3)
evaluation | tl.export_model(model, "out", license="mit", evaluation=ask)
save_anndata | tl.export_model(bare, "out", license="mit", save_anndata=True)
overwrite | tl.export_model(model, "out", license="mit", overwrite="yes")
model | tl.export_predictions(None, held)
model | tl.export_predictions(bare, held)
adata_test | tl.export_predictions(model, ask)
n_cells | tl.export_predictions(model, held, n_cells=1)
population | tl.export_predictions(model, held, population="cells")
path | tl.export_predictions(model, held, 3)
rng | tl.export_predictions(model, held, rng=-1)
model | tl.diagnose(None)
model | tl.diagnose(fitted)
model | tl.diagnose(bare)
n_cells | tl.diagnose(model, n_cells=0)
n_cells | tl.diagnose(model, n_cells="x")
rng | tl.diagnose(model, rng=[0])
adata | tl.report(model)
key | tl.report(adata, folder / "r.html")
out | tl.report(fitted, 3)
title | tl.report(fitted, folder / "r.html", title=3)
gene_symbols | tl.report(fitted, folder / "r.html", gene_symbols="absent")
"""

MODEL = """
goal | model.suggest(goal=held)
goal | model.suggest(goal=[[1, 2], [3]])
start | model.suggest(goal={"drug": "drug c", "dose": 1.0}, start=held)
by | model.suggest(goal={"drug": "drug c", "dose": 1.0}, by=[])
population | model.intervene(shift={"g1": 1.0}, population=held)
knockout | model.intervene(knockout=np.array("g1"))
candidates | model.suggest_experiments(ask.iloc[:0])
adata | GIM(adata)
adata | GIM(held.copy())
adata | GIM("cells")
registry | GIM(registry=3)
structure | GIM(held, structure="serach")
ridge | GIM(held, ridge=-1.0)
devices | model.train(devices=-2)
accelerator | model.train(accelerator="abacus")
lr | model.train(plan_kwargs={"lr": None})
progress | model.train(progress=3)
features | model.get_targets(features=ask)
perturbation_key | GIM.setup_anndata(adata, perturbation_key={"drug"} - {"drug"}, control="DMSO")
batch_key | GIM.setup_anndata(adata, batch_key=["batch"], **columns)
layer | GIM.setup_anndata(adata, layer={"a": "b"}, **columns)
modalities | GIM.setup_mudata(adata, modalities=3, **columns)
layer | GIM.setup_mudata(adata, layer=[1], **columns)
control | GIM.setup_mudata(adata, perturbation_key="drug")
overwrit | model.save(folder / "m", overwrit=True)
accelerator | GIM.load(folder, accelerator="abacus")
device | GIM.load(folder, device=0)
device | GIM.load(folder, device=[1])
backup_url | GIM.load(folder, backup_url=3)
adata | GIM.setup_anndata(None, **columns)
adata | GIM.setup_anndata(view, **columns)
adata | GIM.setup_anndata(empty, **columns)
perturbation_key | GIM.setup_anndata(adata, perturbation_key="drog", control="DMSO")
control | GIM.setup_anndata(adata, perturbation_key="drug", control="none")
mdata | GIM.setup_mudata(adata, **columns)
adata | GIM(None)
mechanism | GIM(held, mechanism="quadratic")
intervention | GIM(held, intervention="knockout")
noise | GIM(held, noise="poisson")
structure | GIM(held, structure="dag")
structure | GIM(held, structure="cyclic", intervention="hard")
n_ensemble | GIM(held, n_ensemble=True)
effects_by | GIM(held, effects_by="batch")
perturbations | model.predict(None)
perturbations | model.predict([1])
n_cells | model.predict(ask, n_cells=0)
rng | model.predict(ask, rng="x")
perturbations | model.predict_mean("DMSO")
perturbations | model.predict_mean()
drug | model.predict_mean(ask.drop(columns="drug"))
feature | model.predict_mean(ask, feature=1)
path | model.predict_to_disk(ask, 3)
path | model.predict_to_disk(ask, folder / "x.csv")
n_cells | model.predict_to_disk(ask, folder / "x.h5ad", n_cells=-1)
perturbations | model.predict_to_disk(None, folder / "x.h5ad")
adata | model.counterfactual(None, ask)
adata | model.counterfactual(empty, ask)
adata | model.counterfactual(held[:, :2].copy(), ask.iloc[:1])
perturbations | model.counterfactual(held, None)
shift | model.intervene(shift={"gX": 1.0})
knockout | model.intervene_mean()
adata | model.intervene_mean(3, shift={"g0": 1.0})
perturbations | model.get_targets("drug")
dir_path | model.save(3)
dir_path | model.save("")
prefix | model.save(folder / "m", prefix=3)
overwrite | model.save(folder / "m", overwrite="yes")
save_anndata | bare.save(folder / "m", save_anndata=True)
save_kwargs | model.save(folder / "m", save_kwargs={"a": 1})
dir_path | GIM.load(folder / "absent")
dir_path | GIM.load(3)
dir_path | GIM.load(folder)
datamodule | GIM.load(folder, datamodule=1)
max_epochs | model.train(max_epochs=-1)
max_epochs | model.train(max_epochs=1.5)
max_epochs | model.train(max_epochs=True)
train_size | model.train(train_size=0.0)
checkpoint | model.train(checkpoint=True)
checkpoint | model.train(checkpoint=folder)
adata | bare.refit()
epoch | model.refit(epoch=3)
timeout | model.train(timeout=-1)
timeout | model.train(timeout=float("nan"))
rng | model.train(rng="x", max_epochs=0)
batch_size | model.train(max_epochs=1, batch_size=0)
train_size | model.train(max_epochs=1, train_size=2)
balance | model.train(max_epochs=1, balance=3)
window | model.train(max_epochs=1, window=0)
max_epoch | model.train(max_epoch=1)
data | bare.train()
data | bare.cells()
"""

METRICS = """
x | metrics.mean_distance(held, np.zeros((3, 2)))
graph | metrics.edge_f1(np.zeros((2, 2)), {"a": 1})
truth | metrics.calibration_error({1, 0}, [0.5, 0.5])
score | metrics.recall_at(np.ones((2, 3)), held)
train_dose | baselines.indicators("a", np.ones((1, 2)))
train_dose | baselines.indicators(np.full((2, 2), np.nan), np.ones((1, 2)))
new_dose | baselines.indicators(np.ones((2, 2)), -np.ones((1, 2)))
new_dose | baselines.indicators(np.ones((2, 2)), np.ones((1, 3)))
means | baselines.mean_shift_targets("a", [5], np.zeros(2), 5, np.ones(2))
n_cells | baselines.mean_shift_targets(np.ones((2, 3)), [0, 4], np.zeros(3), 5, np.ones(3))
sd | baselines.mean_shift_targets(np.ones((2, 3)), [5, 4], np.zeros(3), 5, np.zeros(3))
control_mean | baselines.mean_shift_targets(np.ones((2, 3)), [5, 4], held, 5, np.ones(3))
true_graph | metrics.edge_f1(np.ones((2, 3)), np.zeros((2, 3)))
true_graph | metrics.edge_f1("graph", np.zeros((2, 2)))
graph | metrics.edge_f1(np.zeros((2, 2)), np.zeros((3, 3)))
graph | metrics.edge_f1(np.zeros((2, 2)), np.eye(2))
graph | metrics.edge_f1(np.zeros((2, 2)), np.full((2, 2), np.nan))
graph | metrics.edge_f1(np.zeros((2, 2)))
score | metrics.edge_average_precision(np.zeros((2, 2)), np.zeros((3, 3)))
graph | metrics.structural_hamming_distance(np.zeros((2, 2)), [[0, "a"], [0, 0]])
true_graph | metrics.structural_hamming_distance(None, np.zeros((2, 2)))
graph | metrics.structural_intervention_distance(np.zeros((2, 2)), np.zeros((3, 3)))
true_graph | metrics.structural_intervention_distance(np.array([[0, 1], [1, 0]]), np.zeros((2, 2)))
x | metrics.energy_distance(np.zeros((0, 2)), np.zeros((3, 2)))
x | metrics.energy_distance("cells", np.zeros((3, 2)))
y | metrics.energy_distance(np.zeros((3, 2)), np.zeros((3, 4)))
y | metrics.energy_distance(np.zeros((3, 2)), np.full((3, 2), np.inf))
squared | metrics.energy_distance(np.zeros((3, 2)), np.zeros((3, 2)), squared="no")
y | metrics.mean_distance(np.zeros((3, 2)), np.zeros((3, 4)))
x | metrics.mean_distance(np.zeros(3), np.zeros(3))
x | metrics.sliced_wasserstein(None, np.zeros((3, 2)))
n_projections | metrics.sliced_wasserstein(np.zeros((3, 2)), np.zeros((3, 2)), n_projections=0)
rng | metrics.sliced_wasserstein(np.zeros((3, 2)), np.zeros((3, 2)), rng="x")
regularisation | metrics.sinkhorn_wasserstein(np.zeros((3, 2)), np.zeros((3, 2)), regularisation=0)
max_iter | metrics.sinkhorn_wasserstein(np.zeros((3, 2)), np.zeros((3, 2)), max_iter=0)
tolerance | metrics.sinkhorn_wasserstein(np.zeros((3, 2)), np.zeros((3, 2)), tolerance=-1)
mean | metrics.pearson_mean_change(np.zeros(3), np.zeros(2), np.zeros(3))
true_mean | metrics.pearson_mean_change("a", np.zeros(2), np.zeros(2))
control_mean | metrics.pearson_mean_change(np.zeros(3), np.zeros(3), np.zeros(2))
n_top | metrics.direction_agreement(np.zeros(3), np.ones(3), np.zeros(3), n_top=0)
n_top | metrics.top_gene_overlap(np.zeros(3), np.ones(3), np.zeros(3), n_top="ten")
mean | metrics.weighted_error(np.zeros(3), np.ones(2), np.zeros(3))
mean | metrics.centroid_accuracy(np.zeros((2, 3)), np.zeros((2, 4)))
targets | metrics.target_f1(np.zeros((2, 3)), np.zeros((2, 4)))
threshold | metrics.target_f1(np.ones((2, 3)), np.ones((2, 3)), threshold=2)
true_targets | metrics.target_f1("a", np.ones((2, 3)))
score | metrics.target_average_precision(np.ones((2, 3)), np.ones((2, 4)))
score | metrics.mean_reciprocal_rank(np.ones((2, 3)), np.ones((2, 4)))
k | metrics.recall_at(np.ones((2, 3)), np.ones((2, 3)), 0)
probability | metrics.calibration_error([1, 0], [0.5, 1.5])
probability | metrics.calibration_error([1, 0], [0.5])
n_bins | metrics.calibration_error([1, 0], [0.5, 0.5], n_bins=0)
n_bins | metrics.reliability_table([1, 0], [0.5, 0.5], n_bins=2.5)
truth | metrics.reliability_table("ab", [0.5, 0.5])
train_means | baselines.ridge(np.ones((3, 2)), np.ones((4, 2)), np.ones((1, 2)))
train_features | baselines.knn("a", np.ones((3, 2)), np.ones((1, 2)))
new_features | baselines.training_mean(np.ones((3, 2)), np.ones((3, 2)), np.ones((1, 5)))
control_mean | baselines.control(np.ones((3, 2)), np.ones((3, 2)), np.ones((1, 2)), control_mean=np.ones(7))
rng | baselines.mlp(np.ones((3, 2)), np.ones((3, 2)), np.ones((1, 2)), rng="x")
n_cells | baselines.shifted_control(np.ones((1, 2)), np.ones((3, 2)), 0)
control | baselines.shifted_control(np.ones((1, 2)), np.ones((3, 5)), 3)
means | baselines.shifted_control("a", np.ones((3, 5)), 3)
"""

DATASETS = """
sd | faults.Plates(sd="a")
n | faults.Plates(n=2.5)
key | faults.Plates(key=1)
weight | faults.Regulators(weight=3)
weight | faults.Regulators(weight=(1, "a"))
n_genes | faults.LatentFactors(n_genes=2.5)
share | faults.Penetrance(share="half")
factor | faults.UnequalSpread(factor=float("nan"))
sd | faults.Measurement(sd="a")
graph | datasets.simulate(5, graph=held)
graph | datasets.simulate(5, graph=[[0, 1], [0]])
doses | datasets.simulate(5, doses=held)
effect_size | datasets.simulate(5, effect_size=np.array(1.0))
faults | datasets.simulate(5, faults=np.zeros(0))
directory | datasets.sachs(directory=folder / "absent")
n_genes | datasets.simulate(0)
n_genes | datasets.simulate("five")
n_genes | datasets.simulate(2.5)
graph | datasets.simulate(5, graph="tree")
graph | datasets.simulate(5, graph=np.zeros((2, 2)))
edges_per_gene | datasets.simulate(5, edges_per_gene=-1)
mechanism | datasets.simulate(5, mechanism="cubic")
intervention | datasets.simulate(5, intervention="soft")
noise | datasets.simulate(5, noise="poisson")
n_drugs | datasets.simulate(5, n_drugs=0)
n_drugs | datasets.simulate(5, n_drugs=True)
doses | datasets.simulate(5, doses=())
doses | datasets.simulate(5, doses=(-1.0,))
doses | datasets.simulate(5, doses=("low",))
new_doses | datasets.simulate(5, new_doses=(0.0,))
n_control | datasets.simulate(5, n_control=1)
n_cells | datasets.simulate(5, n_cells=0)
n_new_drugs | datasets.simulate(5, n_new_drugs=-1)
n_test_cells | datasets.simulate(5, n_test_cells=0)
max_targets | datasets.simulate(5, max_targets=9)
effect_size | datasets.simulate(5, effect_size=3)
effect_size | datasets.simulate(5, effect_size=(3, 1))
features | datasets.simulate(5, features="none")
n_features | datasets.simulate(5, n_features=0)
n_pairs | datasets.simulate(5, n_drugs=2, n_pairs=9)
train_pairs | datasets.simulate(5, train_pairs=2)
batch_sd | datasets.simulate(5, batch_sd=-1)
zeros | datasets.simulate(5, zeros=1.5)
activation | datasets.simulate(5, activation="gelu")
weight_sd | datasets.simulate(5, weight_sd=0)
faults | datasets.simulate(5, faults=["plates"])
faults | datasets.simulate(5, faults=faults.Plates())
share | datasets.simulate(5, faults=[faults.Penetrance(share=2)])
rng | datasets.simulate(5, rng="seed")
n_gene | datasets.simulate(n_gene=5)
directory | datasets.sachs(directory=3)
log | datasets.sachs(log="yes")
directory | datasets.sciplex3(directory=3)
time | datasets.sciplex3(time=-1)
max_gb | datasets.sciplex3(max_gb=0)
drugs | datasets.sciplex3(drugs=3)
name | datasets.screen("gbm")
name | datasets.screen()
directory | datasets.screen("tapseq_k562", directory=3)
"""

COMMANDS = """
--perturbation-key | fit {0}/a.h5ad --control DMSO --out {0}/out
--control | fit {0}/a.h5ad --perturbation-key drug --out {0}/out
drog | fit {0}/a.h5ad --perturbation-key drog --control DMSO --out {0}/out
dmso | fit {0}/a.h5ad --perturbation-key drug --control dmso --out {0}/out
dose_key | fit {0}/a.h5ad --perturbation-key drug --control DMSO --dose-key text_dose --out {0}/out
doze | fit {0}/a.h5ad --perturbation-key drug --control DMSO --dose-key doze --out {0}/out
batch_key | fit {0}/a.h5ad --perturbation-key drug --control DMSO --batch-key patient --out {0}/out
layer | fit {0}/a.h5ad --perturbation-key drug --control DMSO --layer counts --out {0}/out
features_key | fit {0}/a.h5ad --perturbation-key drug --control DMSO --features-key x --out {0}/out
graph_prior | fit {0}/a.h5ad --perturbation-key drug --control DMSO --graph-prior x --out {0}/out
effects_by | fit {0}/a.h5ad --perturbation-key drug --control DMSO --effects-by x --out {0}/out
mechanism | fit {0}/a.h5ad --perturbation-key drug --control DMSO --mechanism cubic --out {0}/out
intervention | fit {0}/a.h5ad --perturbation-key drug --control DMSO --intervention soft --out {0}/out
noise | fit {0}/a.h5ad --perturbation-key drug --control DMSO --noise normal --out {0}/out
structure | fit {0}/a.h5ad --perturbation-key drug --control DMSO --structure tree --out {0}/out
max_epochs | fit {0}/a.h5ad --perturbation-key drug --control DMSO --max-epochs -1 --out {0}/out
timeout | fit {0}/a.h5ad --perturbation-key drug --control DMSO --timeout -5 --out {0}/out
--max-epochs | fit {0}/a.h5ad --perturbation-key drug --control DMSO --max-epochs many --out {0}/out
--seed | fit {0}/a.h5ad --perturbation-key drug --control DMSO --seed x --out {0}/out
--seed | fit {0}/a.h5ad --perturbation-key drug --control DMSO --seed 1.5 --out {0}/out
--max-epochs | fit {0}/a.h5ad --perturbation-key drug --control DMSO --max-epochs 1.5 --out {0}/out
--n-ensemble | fit {0}/a.h5ad --perturbation-key drug --control DMSO --n-ensemble 1.5 --out {0}/out
--n-ensemble | fit {0}/a.h5ad --perturbation-key drug --control DMSO --n-ensemble 99999999999999999999 --out {0}/out
--batch-size | fit {0}/a.h5ad --perturbation-key drug --control DMSO --batch-size 99999999999999999999 --out {0}/out
--devices | fit {0}/a.h5ad --perturbation-key drug --control DMSO --devices 1.5 --out {0}/out
--checkpoint | fit {0}/a.h5ad --perturbation-key drug --control DMSO --checkpoint {0}/c --out {0}/out
--checkpoint | fit {0}/a.h5ad --perturbation-key drug --control DMSO --mechanism neural --checkpoint {0}/a.h5ad --out {0}/out
--overwrite | fit {0}/a.h5ad --perturbation-key drug --control DMSO --overwrite yes --out {0}/out
--out | fit {0}/a.h5ad --perturbation-key drug --control DMSO --out=
surplus | report {0}/taken surplus --out {0}/page.html
--n-cells | predict {0}/taken/model {0}/ask.csv --n-cells 1.5 --out {0}/x.h5ad
--features | predict {0}/taken/model {0}/ask.csv --features {0}/taken --out {0}/x.h5ad
--features | predict {0}/taken/model {0}/ask.csv --features {0}/a.h5ad --out {0}/x.h5ad
--features | predict {0}/taken/model {0}/ask.csv --features {0}/absent.csv --out {0}/x.h5ad
a folder | predict {0}/taken/model {0}/taken --out {0}/x.h5ad
--config | fit {0}/a.h5ad --perturbation-key drug --control DMSO --config {0}/list.toml --out {0}/out
--config | fit {0}/a.h5ad --perturbation-key drug --control DMSO --config {0}/taken --out {0}/out
--config | fit {0}/a.h5ad --perturbation-key drug --control DMSO --config {0}/strange.toml --out {0}/out
rng | fit {0}/a.h5ad --perturbation-key drug --control DMSO --seed -1 --out {0}/out
key_added | fit {0}/a.h5ad --perturbation-key drug --control DMSO --key-added a/b --out {0}/out
--max-epoch | fit {0}/a.h5ad --perturbation-key drug --control DMSO --max-epoch 3 --out {0}/out
absent.h5ad | fit {0}/absent.h5ad --perturbation-key drug --control DMSO --out {0}/out
--out | fit {0}/a.h5ad --perturbation-key drug --control DMSO --out {0}/a.h5ad
--overwrite | fit {0}/a.h5ad --perturbation-key drug --control DMSO --out {0}/taken
--overwrite | predict {0}/taken/model {0}/ask.csv --out {0}/a.h5ad
--out | predict {0}/taken/model {0}/ask.csv --out {0}/x.csv
--n-cells | predict {0}/taken/model {0}/ask.csv --n-cells x --out {0}/x.h5ad
n_cells | predict {0}/taken/model {0}/ask.csv --n-cells 0 --out {0}/x.h5ad
rng | predict {0}/taken/model {0}/ask.csv --seed -1 --out {0}/x.h5ad
absent.csv | predict {0}/taken/model {0}/absent.csv --out {0}/x.h5ad
absent | predict {0}/absent {0}/ask.csv --out {0}/x.h5ad
no saved model | predict {0} {0}/ask.csv --out {0}/x.h5ad
dose | predict {0}/taken/model {0}/words.csv --out {0}/x.h5ad
unheard | predict {0}/taken/model {0}/unheard.csv --out {0}/x.h5ad
--out | intervene {0}/taken/model --shift g0=1 --out {0}/x.csv
--shift | intervene {0}/taken/model --shift g0 --out {0}/x.h5ad
--set | intervene {0}/taken/model --set g0=high --out {0}/x.h5ad
gX | intervene {0}/taken/model --shift gX=1 --out {0}/x.h5ad
knockout | intervene {0}/taken/model --out {0}/x.h5ad
drog | intervene {0}/taken/model --shift g0=1 --population drog=a --out {0}/x.h5ad
--population | intervene {0}/taken/model --shift g0=1 --population drug --out {0}/x.h5ad
absent | intervene {0}/absent --shift g0=1 --out {0}/x.h5ad
--dataset | demo --dataset nothing
--out | demo --out {0}/a.h5ad
fitt | fitt {0}/a.h5ad
"""


def lines(table: str) -> list[tuple[str, str]]:
    """Argument and call of each line."""
    return [(a.strip(), b.strip()) for a, _, b in (line.partition("|") for line in table.strip().splitlines())]


CALLS = [entry for table in (GET, PL, PP, TL, MODEL, METRICS, DATASETS) for entry in lines(table)]


def digest(data: ad.AnnData) -> str:
    """Changes where any byte of an object does."""
    parts = [
        repr((list(data.obs.columns), list(data.obs.dtypes), list(data.var.columns), sorted(map(str, data.layers))))
    ]
    for table in (data.obs, data.var, *[v for v in data.uns.get("scgim", {}).values() if isinstance(v, pd.DataFrame)]):
        parts.append(table.to_csv())
    slots = (data.obsm, data.varm, data.obsp, data.varp)
    for array in [data.X, *[slot[k] for slot in slots for k in sorted(slot)]]:
        dense = array.toarray() if sparse.issparse(array) else np.asarray(array)
        parts.append(hashlib.sha256(np.ascontiguousarray(dense).tobytes()).hexdigest())
    parts += [repr(sorted(data.uns)), repr([sorted(slot) for slot in slots]), repr(sorted(data.uns.get("scgim", {})))]
    return hashlib.sha256("\n".join(parts).encode()).hexdigest()


COLUMNS: dict[str, Any] = {"perturbation_key": "drug", "control": "DMSO", "dose_key": "dose"}


def plain() -> ad.AnnData:
    """A screen with columns of every wrong kind."""
    adata = systems.make_screen()
    adata.obs["text_dose"] = [f"{dose} uM" for dose in adata.obs["dose"]]
    adata.obs["nan_dose"] = adata.obs["dose"].where(adata.obs["dose"] != 1.0)
    adata.obs["negative_dose"] = -adata.obs["dose"]
    return adata


@pytest.fixture(scope="module")
def trained() -> GIM:
    adata = systems.make_screen()
    GIM.setup_anndata(adata, **COLUMNS)
    model = GIM(adata)
    model.train(max_epochs=0)
    return model


@pytest.fixture
def names(trained: GIM, fitted_adata: ad.AnnData, tmp_path: Path) -> dict[str, Any]:
    adata = plain()
    held = trained.adata
    bare = GIM(registry=trained.registry_)
    bare.__dict__ |= {k: v for k, v in vars(trained).items() if k.endswith("_") and k != "registry_"}
    numbered, twice = plain(), plain()
    numbered.obs = numbered.obs.rename(columns={"drug": 0})
    twice.obs = pd.concat([twice.obs, twice.obs[["drug"]]], axis=1)
    ask = pd.DataFrame({"drug": ["Ünï-drug α", "DMSO"], "dose": [3.0, 0.0]})
    return {
        "adata": adata,
        "fitted": fitted_adata,
        "model": trained,
        "bare": bare,
        "held": held,
        "view": adata[:20],
        "empty": adata[:0].copy(),
        "ask": ask,
        "numbered": numbered,
        "twice": twice,
        "columns": COLUMNS,
        "folder": tmp_path,
    }


@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize(("argument", "call"), CALLS, ids=[call for _, call in CALLS])
def test_wrong_calls_say_what_is_wrong_and_change_nothing(names: dict[str, Any], argument: str, call: str) -> None:
    objects = {k: names[k] for k in ("adata", "fitted", "held")}
    before, asked = {k: digest(v) for k, v in objects.items()}, names["ask"].copy()
    random = np.random.get_state()[1].copy()  # noqa: NPY002
    with pytest.raises(ERRORS) as error:
        eval(call, NAMESPACE | names)
    text = str(error.value.args[0])
    assert re.search(rf"\b{re.escape(argument)}\b", text), text
    assert SAYS.search(text), text
    assert {k: digest(v) for k, v in objects.items()} == before
    pd.testing.assert_frame_equal(names["ask"], asked)
    assert (np.random.get_state()[1] == random).all()  # noqa: NPY002
    assert names["model"].is_trained_ and names["model"].fit_ is not None
    assert not list(names["folder"].iterdir())


@pytest.fixture(scope="module")
def files(trained: GIM, tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("commands")
    plain().write_h5ad(folder / "a.h5ad")
    trained.save(folder / "taken" / "model")
    (folder / "taken" / "adata.h5ad").write_text("kept")
    (folder / "list.toml").write_text("fit = 3\n")
    (folder / "strange.toml").write_text("[fit]\nlayer = {a = 1}\n")
    for name, row in {"ask": "Ünï-drug α,3", "words": "Ünï-drug α,much", "unheard": "unheard,1"}.items():
        (folder / f"{name}.csv").write_text(f"drug,dose\n{row}\n", encoding="utf-8")
    return folder


@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize(("option", "command"), lines(COMMANDS), ids=[call for _, call in lines(COMMANDS)])
def test_wrong_commands_are_one_line_and_code_2(
    files: Path, capsys: pytest.CaptureFixture[str], option: str, command: str
) -> None:
    def content() -> dict[Path, bytes]:
        return {p: p.read_bytes() for p in files.rglob("*") if p.is_file()}

    before = content()
    with pytest.raises(SystemExit) as stop:
        main(command.format(files).split())
    error = capsys.readouterr().err.strip()
    assert stop.value.code == 2 and error.startswith("scgim: ") and "\n" not in error
    assert option.strip("-").replace("-", "_") in error.replace("-", "_"), error
    assert content() == before


def test_the_catalogue_is_wide() -> None:
    assert len(CALLS) >= 300 and len(lines(COMMANDS)) >= 30
    assert len({call for _, call in CALLS}) == len(CALLS)
