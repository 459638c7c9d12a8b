"""Run one of the other methods in its own environment: ``python _peer.py METHOD IN.npz OUT.npz``. Needs numpy beside it."""

import json
import sys
import time

import numpy as np


def by_drug(data):
    """Cells of each drug, the control first, and the true targets of each drug."""
    x, drug = data["x"], data["drug"]
    return [x[drug == d] for d in range(drug.max() + 1)], data["drug_targets"]


def ges(data):
    """GES on data centred in each context."""
    import ges as package

    x, context = data["x"].copy(), data["context"]
    for k in np.unique(context):
        x[context == k] -= x[context == k].mean(0)
    graph, _ = package.fit_bic(x)
    return {"graph": graph}


def gnies(data):
    """GnIES, one environment a drug; interventions may change means."""
    import gnies as package

    cells, _ = by_drug(data)
    _, graph, _ = package.fit(cells, approach="rank", center=False)
    return {"graph": graph}


def gies(data):
    """GIES, told the true targets of each drug."""
    import gies as package

    cells, targets = by_drug(data)
    told = [[]] + [np.flatnonzero(row).tolist() for row in targets]
    every = sorted({tuple(row) for row in told})  # environments with the same targets are one
    joined = [np.vstack([x for d, x in enumerate(cells) if tuple(told[d]) == key]) for key in every]
    graph, _ = package.fit_bic(joined, [list(key) for key in every])
    return {"graph": graph}


def utigsp(data):
    """UT-IGSP, one setting a drug; the level of its tests is an option."""
    import causaldag as package
    import conditional_independence as tests

    cells, _ = by_drug(data)
    alpha, nodes = float(data["alpha"]), set(range(data["x"].shape[1]))
    known = tests.partial_correlation_suffstat(cells[0])
    test = package.MemoizedCI_Tester(tests.partial_correlation_test, known, alpha=alpha)
    invariance = package.MemoizedInvarianceTester(
        package.gauss_invariance_test, package.gauss_invariance_suffstat(cells[0], cells[1:]), alpha=alpha
    )
    settings = [{"known_interventions": []} for _ in cells[1:]]
    dag, found = package.unknown_target_igsp(settings, nodes, test, invariance)
    targets = np.zeros((len(found), len(nodes)))
    for place, genes in enumerate(found):
        targets[place, list(genes)] = 1
    return {"graph": dag.to_amat()[0], "drug_targets": targets}


def cellflow(data):
    """CellFlow: from control cells to those of a context, which is its features and dose; small and not tuned."""
    import os

    os.environ |= {"JAX_PLATFORMS": "cpu", "NPROC": "1", "XLA_FLAGS": "--xla_cpu_multi_thread_eigen=false"}
    import anndata
    import diffrax
    import optax
    import pandas as pd
    from cellflow.model import CellFlow

    x, context, known = data["x"], data["context"], data["known"]  # (n, G), (n,), (K, Q): features and dose
    mean, sd = x.mean(0), x.std(0)
    asked = data["asked"]  # (M, Q)
    size = known.std()
    code = {f"c{k}": row.astype(np.float32) for k, row in enumerate((np.vstack([known, asked]) - known.mean(0)) / size)}
    names = np.array(list(code))  # the first is the control
    cells = anndata.AnnData(((x - mean) / sd).astype(np.float32))
    cells.obs["context"] = pd.Categorical(names[context], categories=names[: len(known)])
    cells.obs["control"] = context == 0
    cells.obsm["x"], cells.uns["code"] = cells.X, code
    model = CellFlow(cells, solver="otfm")
    model.prepare_data("x", "control", {"context": ["context"]}, {"context": "code"})
    layers = ({"layer_type": "mlp", "dims": (128, 128), "dropout_rate": 0.0},)
    small = dict.fromkeys(("time_encoder_dims", "hidden_dims", "decoder_dims"), (128, 128))
    seed = int(data["seed"])
    model.prepare_model(
        pooling="mean",
        layers_before_pool={"context": layers},
        layers_after_pool=layers,
        condition_embedding_dim=64,
        cond_output_dropout=0.0,
        time_freqs=64,
        optimizer=optax.adam(optax.cosine_decay_schedule(2e-3, int(data["iterations"]))),
        seed=seed,
        **small,
    )
    model.train(num_iterations=int(data["iterations"]), batch_size=64, valid_freq=10**9)
    source = cells[np.random.default_rng(seed).permutation(np.flatnonzero(context == 0))[: int(data["n_cells"])]].copy()
    source.uns["code"] = code
    wanted = pd.DataFrame({"context": names[len(known) :], "name": names[len(known) :], "control": False})
    steps = {"dt0": 0.05, "solver": diffrax.Heun(), "stepsize_controller": diffrax.ConstantStepSize()}
    moved = model.predict(source, covariate_data=wanted, sample_rep="x", condition_id_key="name", **steps)
    return {"cells": np.stack([moved[name] for name in wanted["name"]]) * sd + mean}


def main():
    method, source, destination = sys.argv[1:]
    with np.load(source) as file:
        data = dict(file)
    began, cpu = time.perf_counter(), time.process_time()
    out = {name: np.asarray(value, float) for name, value in globals()[method](data).items()}
    out["seconds"], out["wall_seconds"] = time.process_time() - cpu, time.perf_counter() - began
    np.savez(destination, **out)
    print(json.dumps({"seconds": float(out["seconds"])}))


if __name__ == "__main__":
    main()
