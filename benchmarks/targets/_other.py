"""Run another package in its own environment: ``python _other.py METHOD IN.npz OUT.npz``."""

import sys
import time

import numpy as np


def centred(data):
    """Cells minus the mean of the controls of their stratum; cells of each drug, the control first."""
    x, drug, stratum = data["x"].copy(), data["drug"], data["stratum"]
    for s in np.unique(stratum):
        control = (stratum == s) & (drug == 0)
        if control.any():
            x[stratum == s] -= x[control].mean(0)
    return [x[drug == d] for d in range(drug.max() + 1)]


def drivers(data, method):
    """CIPHER's score of every gene as the driver of each drug's shift."""
    import cipher

    control, *others = centred(data)
    names = np.array([f"g{g}" for g in range(control.shape[1])])
    rows = []
    for cells in others:
        found = cipher.condition_drivers_from_matrices(control, cells, names, normalization="raw", method=method)
        rows.append(found.ranking.set_index("gene")["driver_score"].loc[names].to_numpy())
    return np.array(rows)


def cipher(data):
    """The package's default, a matched filter."""
    return drivers(data, "matched_filter")


def cipher_posterior(data):
    """Its empirical-Bayes inverse."""
    return drivers(data, "posterior")


def dspin(data):
    """D-SPIN on genes, one sample a drug and stratum: responses relative to the controls of the stratum."""
    import anndata
    import pandas as pd
    from dspin.dspin import GeneDSPIN

    drug, stratum = data["drug"], data["stratum"]
    sample = pd.Series(drug).astype(str) + "_" + pd.Series(stratum).astype(str)
    obs = pd.DataFrame({"sample_id": sample, "if_control": drug == 0, "batch": stratum.astype(str)})
    obs.index = [f"c{i}" for i in range(len(obs))]
    adata = anndata.AnnData(np.asarray(data["x"], float), obs=obs)
    model = GeneDSPIN(adata, "dspin", num_spin=adata.n_vars)
    model.network_inference(sample_id_key="sample_id")
    model.response_relative_to_control("sample_id", "if_control", "batch")
    of_sample = pd.DataFrame(model.relative_responses.T, index=[str(s) for s in model.sample_list])
    of_drug = of_sample.groupby([name.split("_")[0] for name in of_sample.index]).mean()
    return of_drug.loc[[str(d) for d in range(1, drug.max() + 1)]].to_numpy()


def main():
    method, source, destination = sys.argv[1:]
    with np.load(source) as file:
        data = dict(file)
    start = time.process_time()
    score = globals()[method](data)
    np.savez(destination, score=score, seconds=time.process_time() - start)


if __name__ == "__main__":
    main()
