"""Models with cycles, from registration to prediction."""

import anndata
import numpy as np
import pandas as pd
import pytest

import scgim
from scgim.model import GIM


@pytest.fixture(scope="module")
def adata():
    """Three of six genes in a cycle, each gene shifted by two drugs."""
    rng = np.random.default_rng(0)
    weight = np.zeros((6, 6))
    weight[[0, 1, 2, 2, 3], [1, 2, 0, 3, 4]] = 0.8, -0.7, 0.6, 0.7, 0.9
    shift = np.vstack([np.zeros((1, 6)), 3 * np.eye(6), -2 * np.eye(6)])
    context = np.repeat(np.arange(13), [200, *[60] * 12])
    x = np.linalg.solve((np.eye(6) - weight).T, (shift[context] + 0.5 * rng.normal(size=(len(context), 6))).T).T
    drug = np.array(["control", *"abcdefghijkl"])[context]
    out = anndata.AnnData(x.astype(np.float32), obs=pd.DataFrame({"drug": pd.Categorical(drug)}).rename(index=str))
    out.obs_names, out.var_names = [f"c{i}" for i in range(len(x))], [f"g{j}" for j in range(6)]
    out.uns["weight"] = weight
    return out


def test_fit_predict_save_and_plot(adata, tmp_path):
    import matplotlib

    matplotlib.use("Agg")
    model = scgim.tl.fit(
        adata, perturbation_key="drug", control="control", structure="cyclic", accelerator="cpu", progress=False
    )
    graph, probability = (matrix.toarray() for matrix in model.get_graph())
    np.testing.assert_allclose(graph, adata.uns["weight"], atol=0.1)
    assert (probability[graph != 0] > 0.9).all()
    asked = pd.DataFrame({"drug": ["control", "a", "h"]})
    truth = np.stack([adata.X[(adata.obs["drug"] == d).to_numpy()].mean(0) for d in asked["drug"]])
    np.testing.assert_allclose(model.predict_mean(asked).to_numpy(), truth, atol=0.2)
    cells = model.predict(asked, n_cells=2000, rng=0)
    np.testing.assert_allclose(np.asarray(cells.X).reshape(3, 2000, 6).mean(1), truth, atol=0.2)
    assert len(scgim.get.graph(adata).edges) == 5
    scgim.pl.mechanisms(adata, "a", show=False)
    scgim.pl.graph(adata, show=False)
    model.save(tmp_path / "model")
    again = GIM.load(tmp_path / "model", adata=False)
    assert again.fitted.mechanisms.cyclic
    pd.testing.assert_frame_equal(again.predict_mean(asked), model.predict_mean(asked))


@pytest.mark.parametrize("other", [{"mechanism": "neural"}, {"intervention": "hard"}], ids=["neural", "hard"])
def test_only_linear_shifts_may_be_cyclic(adata, other):
    GIM.setup_anndata(adata, perturbation_key="drug", control="control")
    with pytest.raises(ValueError, match="cyclic"):
        GIM(adata, structure="cyclic", **other)
