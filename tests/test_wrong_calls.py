"""A catalogue of wrong calls: each names the argument and what is expected, and leaves the objects as they were.

Every line of a table is ``argument | call``, or, below a heading with "…", what stands there in a call, whose argument is its first word unless it is
named. The objects of the calls: ``adata`` (cells that were not fitted), ``fitted`` (with results),
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
ERRORS = (ValueError, KeyError, TypeError, NotADirectoryError)
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
adata | get.targets()
adata | get.graph(model)
key | get.graph(adata)
adata | get.network(model)
perturbation | get.downstream(fitted)
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
get.targets(fitted, …)
key="other"
key=3
key=""
level="drugs"
level=None
min_probability=1.5
min_probability=-0.1
min_probability="high"
min_probability=None
min_probability=float("nan")
min_probability=True
min_probabilty=0.5
max_false_sign_rate | level="drug", max_false_sign_rate=2
gene_symbols="symbol"
gene_symbols=1
get.network(fitted, …)
key="x"
n_edges=0
n_edges=2.5
n_edges="all"
min_probability=-1
get.downstream(fitted, …)
perturbation | "drug x"
perturbation | ["drug c", "control"]
perturbation | 3
get.downstream(fitted, "drug c", …)
dose="all"
dose="high"
dose=77.0
dose=float("nan")
dose=None
get.graph(fitted, …)
min_probability=2
min_probability=[0.5]
threshold=0.5
"""

PL = """
adata | pl.mechanisms(model)
adata | pl.mechanisms([1, 2])
key | pl.mechanisms(adata)
adata | pl.graph(model)
key | pl.graph(adata)
adata | pl.targets(model)
adata | pl.dose_response(model, "drug c")
perturbation | pl.dose_response(fitted)
adata | pl.drug_similarity(model)
n_perturbations | pl.drug_similarity(fitted, n_perturbations=0)
adata | pl.history(model)
tables | pl.diagnostics(fitted)
tables | pl.diagnostics(None)
n_pairs | pl.diagnostics({}, n_pairs=0)
table | pl.predicted_vs_observed(fitted)
table | pl.predicted_vs_observed(model)
table | pl.predicted_vs_observed(pd.DataFrame({"gene": ["a"]}))
truth | pl.calibration("x", [0.5])
pl.mechanisms(fitted, …)
perturbation | "drog c"
perturbation | ["drug c"]
n_genes=0
n_genes="ten"
n_perturbations=-1
dose="low"
dose=[1.0]
gene_symbols="symbol"
title=3
ax="left"
ax=[1]
show="no"
return_fig=1.0
save=3
save=""
pl.graph(fitted, …)
save="no/such/folder/x.png"
save=folder
safe="x.png"
n_edges=0
n_edges=True
min_probability=3
pl.targets(fitted, …)
min_probability=1.0
save="picture.xyz"
min_probability="0.5"
n_labels=-2
perturbation | "unheard"
pl.dose_response(fitted, "drug c", …)
genes=["g0", "gX"]
genes=3
n_genes=0
curves=3
curves=ask
pl.dose_response(fitted, …)
perturbation | "drug"
perturbation | ["drug c"]
pl.history(fitted, …)
ax=3
metrics=[]
metrics=["nothing"]
metrics=5
pl.predicted_vs_observed(ask, …)
level="batch"
n_panels=0
n_labels=-1
perturbation | ["drug c"]
pl.calibration([1, 0], …)
probability | [0.5, 3]
probability | [0.5]
n_bins | [0.5, 0.5], n_bins=0
"""

PP = """
perturbation_key | pp.split_contexts(adata, "drug", perturbation_key=[], control="DMSO")
perturbation_key | pp.split_contexts(adata, "drug", perturbation_key=["drug", "drug"], control="DMSO")
adata | pp.select_genes(model)
adata | pp.select_genes(None)
adata | pp.select_genes(empty)
control | pp.select_genes(view, perturbation_key="drug", control="DMSO")
perturbation_key | pp.select_genes(adata)
adata | pp.encode_doses(model, "dose")
adata | pp.split_combinations(None, "drug")
perturbation_key | pp.split_combinations(adata)
adata | pp.split_contexts(model, "dose", perturbation_key="drug", control="DMSO")
perturbation_key | pp.split_contexts(adata, "dose", perturbation_key="drog", control="DMSO", dose_key="dose")
perturbation_key | pp.split_contexts(adata, "dose", control="DMSO")
control | pp.split_contexts(adata, "dose", perturbation_key="drug", control="none", dose_key="dose")
dose_key | pp.split_contexts(adata, "dose", perturbation_key="drug", control="DMSO", dose_key="text_dose")
covariate_key | pp.split_contexts(adata, "covariate", perturbation_key="drug", control="DMSO", covariate_key="patient")
pp.split_contexts(adata, "drug", perturbation_key="drug", control="DMSO", …)
hold_out=[]
hold_out=np.zeros((2, 2))
hold_out=model
drugs=["drug c"]
covariate_key="batch"
hold_out="unheard"
fraction=0
fraction=1.5
rng="seed"
rng=np.random.RandomState(0)
pp.split_contexts(adata, …, perturbation_key="drug", control="DMSO")
by | adata
by | ["dose"]
by | "cell"
by | 3
dose_key | "dose"
covariate_key | "covariate"
pp.select_genes(adata, perturbation_key="drug", control="DMSO", …)
genes="g1"
dose_key="doze"
dose_key="text_dose"
layer="counts"
min_fraction=2
max_gb=0
subset="yes"
key_added="a/b"
copy=1
pp.select_genes(adata, …)
genes | 2, genes=adata
perturbation_key | 2, perturbation_key=np.zeros(0), control="DMSO"
max_gb | 2, perturbation_key="drug", control="DMSO", max_gb=1e-9
n_genes | 0
n_genes | 2.5
n_genes | "all"
method="response"
method=1
genes | method="listed"
genes | method="listed", genes=["gX"]
genes | method="listed", genes=[1]
perturbation_key="drog", control="DMSO"
perturbation_key=3, control="DMSO"
control | perturbation_key="drug"
control | perturbation_key="drug", control="dmso"
control | perturbation_key="drug", control=0
n_top_genes=5
pp.encode_doses(adata, "text_dose", …)
unit="parsec"
unit=3
perturbation_key="drog"
key_added="a/b"
copy="no"
pp.encode_doses(adata, …)
dose_key | "doze"
dose_key | None
dose_key | ["dose"]
dose_key | "drug"
pp.split_combinations(adata, "drug", …)
separator=""
separator=3
dose_key="doze"
control=None
pp.split_combinations(adata, …)
perturbation_key | "drog"
perturbation_key | 3
pp.fingerprints({"a": "CC"}, …)
kind="morgan"
radius=-1
n_bits=0
pp.fingerprints(…)
radius | {"a": "CCO"}, radius=10**9
n_bits | {"a": "CCO"}, n_bits=10**12
smiles | 3
smiles | {"a": "not a structure"}
smiles | ["CC"]
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
perturbation_key | tl.fit(adata, control="DMSO")
perturbation_key | tl.fit(adata, perturbation_key="drog", control="DMSO")
perturbation_key | tl.fit(adata, perturbation_key=3, control="DMSO")
perturbation_key | tl.fit(adata, perturbation_key=[], control="DMSO")
control | tl.fit(adata, perturbation_key="drug")
dose_key | tl.fit(adata, **columns | {"dose_key": "doze"})
dose_key | tl.fit(adata, **columns | {"dose_key": "text_dose"})
dose_key | tl.fit(adata, **columns | {"dose_key": "nan_dose"})
dose_key | tl.fit(adata, **columns | {"dose_key": "negative_dose"})
dose_key | tl.fit(adata, **columns | {"dose_key": ["dose", "dose2"]})
model | tl.predict(None, ask)
model | tl.predict(fitted, ask)
perturbations | tl.predict(model)
model | tl.intervene(None, shift={"g0": 1.0})
model | tl.intervene(fitted, shift={"g0": 1.0})
adata | tl.intervene(bare, shift={"g0": 1.0}, population="drug == 'DMSO'")
knockout | tl.intervene(model)
model | tl.suggest(None, goal=None)
goal | tl.suggest(model)
goal | tl.suggest(bare, goal="drug == 'DMSO'")
model | tl.suggest_experiments(None, ask)
candidates | tl.suggest_experiments(model)
model | tl.evaluate(None, held)
model | tl.evaluate(held, model)
model | tl.evaluate(bare, held)
population | tl.evaluate(bare, held, population="control", baselines=())
model | tl.changes(None)
model | tl.changes(bare)
model | tl.dose_curves(None)
model | tl.dose_curves(bare)
model | tl.dose_curves(fitted)
model | tl.export_model(None, "out", license="mit")
license | tl.export_model(model, "out")
license | tl.export_model(model, "out", license="")
path | tl.export_model(model, 3, license="mit")
save_anndata | tl.export_model(bare, "out", license="mit", save_anndata=True)
model | tl.export_predictions(None, held)
model | tl.export_predictions(bare, held)
model | tl.diagnose(None)
model | tl.diagnose(fitted)
model | tl.diagnose(bare)
adata | tl.report(model)
key | tl.report(adata, folder / "r.html")
out | tl.report(fitted, 3)
out | tl.report(fitted, np.__file__ + "/r.html")
out | tl.report(fitted, folder / "r.pdf")
adata_test | tl.export_predictions(model, ask)
tl.fit(adata, **columns, …)
modalities={}
layer={"rna": "counts"}
layer=["counts"]
modalities="rna"
model_kwargs=[1]
n_hidden | model_kwargs={"n_hidden": 0}
ridge | model_kwargs={"ridge": "small"}
max_parents | model_kwargs={"max_parents": 2.5}
plan_kwargs="lr"
lr | plan_kwargs={"lr": "fast"}
lr | plan_kwargs={"lr": -1.0}
accelerator="abacus"
accelerator=None
devices=0
devices=2.5
devices="some"
devices=[]
batch_size="all"
train_size=True
balance="yes"
window=1.5
progress=1
mechanism=["linear"]
graph_prior=[[0, 1], [0]]
layer="counts"
layer=3
batch_key="patient"
batch_key=["batch"]
categorical_covariate_keys=["line"]
continuous_covariate_keys=["batch"]
continuous_covariate_keys=["absent"]
size_factor_key="absent"
features_key="absent"
features_key=3
modalities={"layer": ["rna"]}
mechanism="liner"
mechanism=None
mechanism="auto", intervention="hard"
mechanism="auto", structure="gradient"
intervention="shifts"
intervention=3
noise="normal"
structure="exact"
graph_prior="absent"
graph_prior=np.ones((2, 2))
graph_prior=3
graph_prior=pd.DataFrame({"from": ["g0"]})
known_targets=pd.DataFrame({"drug": ["x"], "gene": ["g0"]})
known_targets={"drug": "g0"}
effects_by="batch"
regulators="collectri"
regulators=pd.DataFrame({"source": ["TF"]})
regulators=pd.DataFrame({"source": ["TF"], "target": ["gX"], "weight": [1.0]})
regulators=pd.DataFrame({"source": ["TF"], "target": ["g0"], "weight": ["up"]})
regulators=pd.DataFrame({"source": ["TF"] * 2, "target": ["g0"] * 2})
regulators=pd.DataFrame({"source": ["TF"] * 3, "target": ["g0", "g1", "g2"]}), mechanism="neural"
regulators=pd.DataFrame({"source": ["TF"] * 3, "target": ["g0", "g1", "g2"]}), intervention="hard"
n_ensemble=-1
n_ensemble=1.5
weigh_baselines="no"
penetrance=0.4
penetrance=True, intervention="hard"
key_added="a/b"
key_added=""
key_added=3
rng="seed"
rng=-1
rng=1.5
rng=np.random.RandomState(0)
max_epochs=-1
max_epochs="many"
checkpoint=3
checkpoint=""
checkpoint=folder
checkpoint=folder, mechanism="neural", max_epochs=0
checkpoint=folder, mechanism="neural", rng=None
checkpoint=folder, structure="cyclic", max_epochs=3
timeout=0
timeout="1 h"
timeout=60, structure="gradient"
max_epoch=3
copy=True
mod="rna"
use_raw=True
random_state=0
tl.fit(…, **columns)
adata | None
adata | "file.h5ad"
adata | model
adata | view
adata | empty
tl.fit(adata, perturbation_key="drug", …)
control=["DMSO"]
control=""
control=float("nan")
control="dmso"
control=None
tl.predict(model, ask, …)
n_cells=0
n_cells=-3
n_cells=2.5
n_cells="many"
n_cell=3
rng="seed"
rng=-1
tl.predict(model, …)
perturbations | None
perturbations | "DMSO"
perturbations | ["DMSO"]
perturbations | ask.iloc[:0]
drug | ask.drop(columns="drug")
dose | ask.drop(columns="dose")
dose | ask.assign(dose=-1.0)
dose | ask.assign(dose=np.nan)
dose | ask.assign(dose="much")
unheard | ask.assign(drug="unheard")
tl.intervene(model, shift={"g0": 1.0}, …)
population={"drug": "unheard", "dose": 1.0}
dose | population={"drug": "Ünï-drug α"}
population={"drog": "DMSO"}
population={"drug": ["DMSO"]}
population="drug = 'DMSO'"
population="drug == 'unheard'"
population=[True, False]
n_cells=0
rng="x"
tl.intervene(model, …, shift={"g0": 1.0})
adata | "cells"
adata | empty
adata | held[:, :2].copy()
set={"g0": 1.0}
tl.intervene(model, …)
knockout="g0"
knockout=3
knockout=["gX"]
knockout={"g0": 1}
scale={"g0": 0.5}
scale={"g0": -1}
set=["g0"]
set={"g0": "high"}
set={"g0": float("nan")}
set={"G0": 1.0}
shift=1.0
shift={0: 1.0}
shift={"g0": True}
population | held, shift={"g0": 1.0}, population={"line": "a"}
n_cells | held, shift={"g0": 1.0}, n_cells=10**6
knock_out="g0"
tl.suggest(model, goal=pd.Series({"g0": 1.0}), …)
by="set"
by=3
knockout | by="knockout"
together=3
distance="euclidean"
largest=0
n_top=0
rng="x"
tl.suggest(model, …)
goal=None
goal={"drug": "unheard", "dose": 1.0}
goal="drug = 'DMSO'"
goal=[True]
goal={"g0": -1.0}
goal | held, goal={"g0": -1.0}
goal=pd.Series({"gX": 1.0})
goal=pd.Series({"g0": "a"})
start=pd.Series({"g0": 1.0}), goal=None
start={"drog": "DMSO"}, goal={"drug": "Ünï-drug α", "dose": 1.0}
adata | "cells", goal=None
tl.suggest_experiments(model, ask, …)
features=np.ones((2, 2))
n_cells=0
rng="x"
tl.suggest_experiments(model, …)
candidates | "DMSO"
drug | ask.drop(columns="drug")
unheard | ask.assign(drug="unheard")
tl.evaluate(model, held, …)
metrics=[]
transform=int
metrics=["rmse"]
metrics=3
baselines=["mean"]
baselines=None
n_cells=0
n_cells=1.5
population="cells"
transform="log"
transform=3
rng="x"
tl.evaluate(model, …)
adata_test | None
adata_test | ask
adata_test | empty
adata_test | held[:, :2].copy()
adata_test | held[held.obs["drug"] == "DMSO"].copy()
tl.changes(model, …)
features=pd.DataFrame()
adata_test | ask
adata_test | held[:, :2].copy()
transform="log"
tl.export_model(model, "out", license="mit", …)
evaluation=3
evaluation=ask
overwrite="yes"
tl.export_predictions(model, held, …)
n_cells=1
population="cells"
path | 3
rng=-1
tl.diagnose(model, …)
split_by | pseudo_drugs=0, split_by="batch"
n_cells=0
n_cells="x"
rng=[0]
tl.report(fitted, folder / "r.html", …)
diagnostics={}
evaluation=ask
title=3
gene_symbols="absent"
"""

MODEL = """
goal | model.suggest(goal=held)
goal | model.suggest(goal=[[1, 2], [3]])
population | model.intervene(shift={"g1": 1.0}, population=held)
knockout | model.intervene(knockout=np.array("g1"))
candidates | model.suggest_experiments(ask.iloc[:0])
adata | GIM(adata)
adata | GIM(held.copy())
adata | GIM("cells")
registry | GIM(registry=3)
features | model.get_targets(features=ask)
perturbation_key | GIM.setup_anndata(adata, perturbation_key={"drug"} - {"drug"}, control="DMSO")
control | GIM.setup_mudata(adata, perturbation_key="drug")
perturbation_key | GIM.setup_anndata(adata, perturbation_key="drog", control="DMSO")
control | GIM.setup_anndata(adata, perturbation_key="drug", control="none")
mdata | GIM.setup_mudata(adata, **columns)
adata | GIM(None)
perturbations | model.predict_mean()
perturbations | model.predict_to_disk(None, folder / "x.h5ad")
adata | model.counterfactual(None, ask)
adata | model.counterfactual(empty, ask)
adata | model.counterfactual(held[:, :2].copy(), ask.iloc[:1])
shift | model.intervene(shift={"gX": 1.0})
knockout | model.intervene_mean()
adata | model.intervene_mean(3, shift={"g0": 1.0})
perturbations | model.get_targets("drug")
dir_path | model.save(3)
dir_path | model.save("")
dir_path | model.save(np.__file__ + "/m")
save_anndata | bare.save(folder / "m", save_anndata=True)
dir_path | GIM.load(folder / "absent")
dir_path | GIM.load(3)
dir_path | GIM.load(folder)
adata | bare.refit()
epoch | model.refit(epoch=3)
data | bare.train()
data | bare.cells()
perturbations | model.counterfactual(held, None)
model.train(max_epochs=1, …)
batch_size=0
train_size=2
balance=3
window=0
model.train(…)
devices=-2
accelerator="abacus"
lr | plan_kwargs={"lr": None}
progress=3
max_epochs=-1
max_epochs=1.5
max_epochs=True
train_size=0.0
checkpoint=True
checkpoint=folder
timeout=-1
timeout=float("nan")
rng="x", max_epochs=0
max_epoch=1
GIM(held, …)
structure="serach"
ridge=-1.0
mechanism="quadratic"
intervention="knockout"
noise="poisson"
structure="dag"
structure="cyclic", intervention="hard"
n_ensemble=True
effects_by="batch"
GIM.load(folder, …)
accelerator="abacus"
device=0
device=[1]
backup_url=3
datamodule=1
GIM.setup_anndata(adata, **columns, …)
batch_key=["batch"]
layer={"a": "b"}
GIM.setup_anndata(…, **columns)
adata | None
adata | view
adata | empty
GIM.setup_mudata(adata, **columns, …)
modalities=3
layer=[1]
model.save(folder / "m", …)
overwrit=True
prefix=3
overwrite="yes"
save_kwargs={"a": 1}
model.suggest(goal={"drug": "drug c", "dose": 1.0}, …)
start=held
by=[]
model.predict_to_disk(ask, …)
path | 3
path | folder / "x.csv"
n_cells | folder / "x.h5ad", n_cells=-1
model.predict(…)
perturbations | None
perturbations | [1]
n_cells | ask, n_cells=0
rng | ask, rng="x"
model.predict_mean(…)
perturbations | "DMSO"
perturbations | ask.assign(dose=-1.0)
perturbations | ask.assign(dose="3 uM")
perturbations | ask.assign(drug=[None, "DMSO"])
drug | ask.drop(columns="drug")
feature | ask, feature=1
"""

METRICS = """
x | metrics.mean_distance(held, np.zeros((3, 2)))
truth | metrics.calibration_error({1, 0}, [0.5, 0.5])
score | metrics.recall_at(np.ones((2, 3)), held)
train_dose | baselines.indicators("a", np.ones((1, 2)))
train_dose | baselines.indicators(np.full((2, 2), np.nan), np.ones((1, 2)))
new_dose | baselines.indicators(np.ones((2, 2)), -np.ones((1, 2)))
new_dose | baselines.indicators(np.ones((2, 2)), np.ones((1, 3)))
means | baselines.mean_shift_targets("a", [5], np.zeros(2), 5, np.ones(2))
true_graph | metrics.edge_f1(np.ones((2, 3)), np.zeros((2, 3)))
true_graph | metrics.edge_f1("graph", np.zeros((2, 2)))
graph | metrics.edge_f1(np.zeros((2, 2)))
score | metrics.edge_average_precision(np.zeros((2, 2)), np.zeros((3, 3)))
graph | metrics.structural_hamming_distance(np.zeros((2, 2)), [[0, "a"], [0, 0]])
true_graph | metrics.structural_hamming_distance(None, np.zeros((2, 2)))
graph | metrics.structural_intervention_distance(np.zeros((2, 2)), np.zeros((3, 3)))
true_graph | metrics.structural_intervention_distance(np.array([[0, 1], [1, 0]]), np.zeros((2, 2)))
x | metrics.energy_distance(np.zeros((0, 2)), np.zeros((3, 2)))
x | metrics.energy_distance("cells", np.zeros((3, 2)))
y | metrics.mean_distance(np.zeros((3, 2)), np.zeros((3, 4)))
x | metrics.mean_distance(np.zeros(3), np.zeros(3))
x | metrics.sliced_wasserstein(None, np.zeros((3, 2)))
n_projections | metrics.sliced_wasserstein(np.zeros((3, 2)), np.zeros((3, 2)), n_projections=0)
rng | metrics.sliced_wasserstein(np.zeros((3, 2)), np.zeros((3, 2)), rng="x")
mean | metrics.pearson_mean_change(np.zeros(3), np.zeros(2), np.zeros(3))
true_mean | metrics.pearson_mean_change("a", np.zeros(2), np.zeros(2))
control_mean | metrics.pearson_mean_change(np.zeros(3), np.zeros(3), np.zeros(2))
n_top | metrics.direction_agreement(np.zeros(3), np.ones(3), np.zeros(3), n_top=0)
n_top | metrics.top_gene_overlap(np.zeros(3), np.ones(3), np.zeros(3), n_top="ten")
mean | metrics.weighted_error(np.zeros(3), np.ones(2), np.zeros(3))
mean | metrics.centroid_accuracy(np.zeros((2, 3)), np.zeros((2, 4)))
targets | metrics.target_f1(np.zeros((2, 3)), np.zeros((2, 4)))
true_targets | metrics.target_f1("a", np.ones((2, 3)))
score | metrics.target_average_precision(np.ones((2, 3)), np.ones((2, 4)))
score | metrics.mean_reciprocal_rank(np.ones((2, 3)), np.ones((2, 4)))
k | metrics.recall_at(np.ones((2, 3)), np.ones((2, 3)), 0)
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
threshold | metrics.target_f1(np.ones((2, 3)), np.ones((2, 3)), threshold=2)
metrics.edge_f1(np.zeros((2, 2)), …)
graph | {"a": 1}
graph | np.zeros((3, 3))
graph | np.eye(2)
graph | np.full((2, 2), np.nan)
metrics.energy_distance(np.zeros((3, 2)), …)
y | np.zeros((3, 4))
y | np.full((3, 2), np.inf)
squared | np.zeros((3, 2)), squared="no"
metrics.sinkhorn_wasserstein(np.zeros((3, 2)), np.zeros((3, 2)), …)
regularisation=0
max_iter=0
tolerance=-1
metrics.calibration_error([1, 0], …)
probability | [0.5, 1.5]
probability | [0.5]
n_bins | [0.5, 0.5], n_bins=0
baselines.mean_shift_targets(np.ones((2, 3)), …)
n_cells | [0, 4], np.zeros(3), 5, np.ones(3)
sd | [5, 4], np.zeros(3), 5, np.zeros(3)
control_mean | [5, 4], held, 5, np.ones(3)
"""

DATASETS = """
weight | faults.Regulators(weight=3)
weight | faults.Regulators(weight=(1, "a"))
n_genes | faults.LatentFactors(n_genes=2.5)
share | faults.Penetrance(share="half")
factor | faults.UnequalSpread(factor=float("nan"))
sd | faults.Measurement(sd="a")
n_genes | datasets.simulate(0)
n_genes | datasets.simulate("five")
n_genes | datasets.simulate(2.5)
n_gene | datasets.simulate(n_gene=5)
name | datasets.screen("gbm")
name | datasets.screen()
directory | datasets.screen("tapseq_k562", directory=3)
datasets.simulate(5, …)
graph=np.ones((5, 5))
edges_per_gene=10
doses=(0.0, 1.0)
new_doses=(np.nan,)
graph=held
graph=[[0, 1], [0]]
doses=held
effect_size=np.array(1.0)
faults=np.zeros(0)
graph="tree"
graph=np.zeros((2, 2))
edges_per_gene=-1
mechanism="cubic"
intervention="soft"
noise="poisson"
n_drugs=0
n_drugs=True
doses=()
doses=(-1.0,)
doses=("low",)
new_doses=(0.0,)
n_control=1
n_cells=0
n_new_drugs=-1
n_test_cells=0
max_targets=9
effect_size=3
effect_size=(3, 1)
features="none"
n_features=0
n_pairs | n_drugs=2, n_pairs=9
train_pairs=2
batch_sd=-1
zeros=1.5
activation="gelu"
weight_sd=0
faults=["plates"]
faults=faults.Plates()
share | faults=[faults.Penetrance(share=2)]
rng="seed"
datasets.sciplex3(…)
directory=3
time=-1
max_gb=0
drugs=3
datasets.sachs(…)
directory=folder / "absent"
directory=3
log="yes"
faults.Plates(…)
sd="a"
n=2.5
key=1
"""

COMMANDS = """
--perturbation-key | fit {0}/a.h5ad --control DMSO --out {0}/out
--control | fit {0}/a.h5ad --perturbation-key drug --out {0}/out
drog | fit {0}/a.h5ad --perturbation-key drog --control DMSO --out {0}/out
dmso | fit {0}/a.h5ad --perturbation-key drug --control dmso --out {0}/out
surplus | report {0}/taken surplus --out {0}/page.html
absent.h5ad | fit {0}/absent.h5ad --perturbation-key drug --control DMSO --out {0}/out
--overwrite | predict {0}/taken/model {0}/ask.csv --out {0}/a.h5ad
--out | predict {0}/taken/model {0}/ask.csv --out {0}/x.csv
absent | predict {0}/absent {0}/ask.csv --out {0}/x.h5ad
no saved model | predict {0} {0}/ask.csv --out {0}/x.h5ad
--out | intervene {0}/taken/model --shift g0=1 --out {0}/x.csv
knockout | intervene {0}/taken/model --out {0}/x.h5ad
absent | intervene {0}/absent --shift g0=1 --out {0}/x.h5ad
--dataset | demo --dataset nothing
--out | demo --out {0}/a.h5ad
fitt | fitt {0}/a.h5ad
fit {0}/a.h5ad --perturbation-key drug --control DMSO … --out {0}/out
dose_key | --dose-key text_dose
doze | --dose-key doze
batch_key | --batch-key patient
--layer counts
features_key | --features-key x
graph_prior | --graph-prior x
effects_by | --effects-by x
--mechanism cubic
--intervention soft
--noise normal
--structure tree
max_epochs | --max-epochs -1
--timeout -5
--max-epochs | --max-epochs many
--seed x
--seed 1.5
--max-epochs | --max-epochs 1.5
--n-ensemble | --n-ensemble 1.5
--n-ensemble | --n-ensemble 99999999999999999999
--batch-size | --batch-size 99999999999999999999
--devices 1.5
--checkpoint {0}/c
--checkpoint | --mechanism neural --checkpoint {0}/a.h5ad
--overwrite yes
--config {0}/list.toml
--config {0}/taken
--config {0}/strange.toml
rng | --seed -1
key_added | --key-added a/b
--max-epoch | --max-epoch 3
fit {0}/a.h5ad --perturbation-key drug --control DMSO …
--out=
--out {0}/a.h5ad
--overwrite | --out {0}/taken
predict {0}/taken/model {0}/ask.csv … --out {0}/x.h5ad
--n-cells | --n-cells 1.5
--features {0}/taken
--features {0}/a.h5ad
--features {0}/absent.csv
--n-cells | --n-cells x
n_cells | --n-cells 0
rng | --seed -1
predict {0}/taken/model … --out {0}/x.h5ad
a folder | {0}/taken
absent.csv | {0}/absent.csv
dose | {0}/words.csv
unheard | {0}/unheard.csv
intervene {0}/taken/model … --out {0}/x.h5ad
--shift g0
--set g0=high
gX | --shift gX=1
drog | --shift g0=1 --population drog=a
--population | --shift g0=1 --population drug
"""


def lines(table: str) -> list[tuple[str, str]]:
    """Argument and call of each line; a line adds to the heading above it, which has "…" in its place."""
    heading, found = "…", []
    for line in table.strip().splitlines():
        if "…" in line:
            heading = line
            continue
        argument, bar, added = line.partition(" | ")
        if not bar:
            argument, added = re.split("[= ]", line)[0], line
        found.append((argument, heading.replace("…", added)))
    return found


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
