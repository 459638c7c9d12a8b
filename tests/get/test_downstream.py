import numpy as np
import pytest

import systems
from scgim import get, pl
from scgim.get import downstream


def test_changes_follow_the_paths_of_the_graph(fitted_adata):
    table = downstream(fitted_adata, "(+/-)-Abacavir / HCl").set_index("gene")
    direct = table["direct"]
    # g0 -> g1 (0.5) -> g2 (-2), g0 -> g3 (1)
    assert table.loc["g1", "change"] == pytest.approx(direct["g1"] + 0.5 * table.loc["g0", "change"], rel=1e-6)
    assert table.loc["g2", "change"] == pytest.approx(direct["g2"] - 2 * table.loc["g1", "change"], rel=1e-6)
    assert table.loc["g3", "change"] == pytest.approx(direct["g3"] + table.loc["g0", "change"], rel=1e-6)
    assert table.loc[["g0", "g1", "g2", "g3"], "steps"].tolist() == [0, 1, 2, 1]
    assert (np.diff(np.abs(table["change"])) <= 1e-12).all()


def test_regulators_start_the_network(fitted_adata):
    plain = downstream(fitted_adata, "(+/-)-Abacavir / HCl").set_index("gene")
    systems.give_regulators(fitted_adata)
    table = downstream(fitted_adata, "(+/-)-Abacavir / HCl")
    first, genes = table.iloc[0], table.iloc[1:].set_index("gene")
    assert (first["gene"], first["kind"], first["steps"]) == ("TF1", "regulator", 0)
    assert first["direct"] == first["change"] == pytest.approx(-0.9)
    assert set(genes["kind"]) == {"gene"}
    assert genes["regulators"].to_dict() == {"g0": "", "g1": "TF1", "g2": "", "g3": "", "g4": "TF1"}
    np.testing.assert_allclose(genes.loc[["g1", "g4", "g0"], "added"], [-0.7, 0.7, 0.0], rtol=1e-6)
    # what is added follows the paths: g1 -> g2 (-2)
    more = genes["change"].sub(plain["change"], fill_value=0.0).astype(float)
    np.testing.assert_allclose(more[["g0", "g1", "g2", "g3", "g4"]], [0, -0.7, 1.4, 0, 0.7], atol=1e-6)
    assert genes["steps"].to_dict() == {"g0": 0, "g1": 1, "g2": 2, "g3": 1, "g4": 1}
    assert "TF1" not in set(downstream(fitted_adata, "drug c")["gene"])


def test_without_a_sure_target_nothing_has_a_distance(fitted_adata):
    assert (downstream(fitted_adata, "drug c")["steps"] == -1).all()


@pytest.mark.parametrize(
    "call",
    [
        lambda adata: downstream(adata, "drug c"),
        get.graph,
        get.network,
        get.gene_sets,
        get.perturbations,
        pl.mechanisms,
        pl.graph,
        pl.drug_similarity,
    ],
    ids=["downstream", "graph", "network", "gene_sets", "perturbations", "mechanisms", "drawn", "similarity"],
)
def test_genes_that_are_not_there_are_missed(fitted_adata, call):
    fitted_adata.uns["scgim"]["params"]["n_genes"] = fitted_adata.n_vars
    with pytest.warns(UserWarning, match="holds 2 of the"):
        call(fitted_adata[:, :2])
