"""The scale on which tl.evaluate compares cells."""

import numpy as np
import pandas as pd
import pytest

from scgim import tl


@pytest.fixture(scope="module")
def counts():
    """Two patients of which the second has no treated cells in training; a drug halves or triples some genes."""
    import anndata as ad

    rng = np.random.default_rng(0)
    rate = np.exp(rng.normal(1.0, 1.0, size=(2, 12)))  # patients differ
    change = np.array([0.5, 3.0] * 3 + [1.0] * 6)
    rows = [(p, d) for p in range(2) for d in ("control", "drug") for _ in range(200)]
    x = np.array([rng.poisson(rate[p] * (change if d == "drug" else 1) * rng.gamma(8, 1 / 8)) for p, d in rows])
    obs = pd.DataFrame(rows, columns=["patient", "drug"]).astype(str).rename(index=str)
    adata = ad.AnnData(x.astype(np.float32), obs=obs, var=pd.DataFrame(index=[f"g{j}" for j in range(12)]))
    held = ((obs["patient"] == "1") & (obs["drug"] == "drug")).to_numpy()
    train = adata[~held & (x.sum(1) > 0)].copy()
    with (
        pytest.warns(UserWarning, match="size_factor_key"),
        pytest.warns(UserWarning, match="no targets"),  # half of the genes move
    ):
        model = tl.fit(
            train, perturbation_key="drug", control="control", batch_key="patient", noise="poisson_lognormal"
        )
    return model, adata[held & (x.sum(1) > 0)].copy()


def test_evaluate_counts_on_logs(counts):
    model, test = counts
    scores = tl.evaluate(model, test, baselines=("control", "training_mean"), transform="log_normalize")
    table = scores.set_index(["metric", "method"])["value"]
    moved = tl.evaluate(model, test, baselines=(), transform="log_normalize", population="control")
    moved = moved.set_index("metric")["value"]
    for gim in (table.xs("gim", level="method"), moved):  # changes multiply, which a mean of logarithms does not see
        assert gim["mean_distance"] < 0.8 * table["mean_distance", "training_mean"]
        assert gim["energy_distance"] < table["energy_distance", "training_mean"]
    by_hand = tl.evaluate(model, test, metrics=["mean_distance"], baselines=("control",), transform=np.sqrt)
    control = np.sqrt(model.adata.X[((model.adata.obs["patient"] == "1") & (model.adata.obs["drug"] == "control"))])
    expected = np.linalg.norm(np.sqrt(test.X).mean(0) - control.mean(0))
    assert by_hand.set_index("method")["value"]["control"] == pytest.approx(expected, rel=1e-4)


def test_wrong_transforms_are_refused(counts, model, parts):
    fitted, test = counts
    with pytest.raises(ValueError, match="transform"):
        tl.evaluate(fitted, test, transform="log")
    with pytest.raises(TypeError, match="transform"):
        tl.evaluate(fitted, test, transform=3)
    with pytest.raises(ValueError, match="shape"):
        tl.evaluate(fitted, test, transform=lambda cells: cells[:, :2])
    with pytest.raises(ValueError, match="population"):
        tl.evaluate(fitted, test, population="treated")
    with pytest.raises(ValueError, match="for counts"):
        tl.evaluate(model, parts["new_dose"], transform="log_normalize")
