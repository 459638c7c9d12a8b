"""Prior knowledge of the graph and of targets."""

from typing import Any

import anndata as ad
import networkx as nx
import numpy as np
import pandas as pd
import pytest
from scipy import sparse

from scgim.model._study.knowledge import (
    base_probability,
    known_targets_matrix,
    normalise_graph_prior,
    normalise_known_targets,
    prior_matrix,
)

GENES = ["a", "b", "c", "d", "e", "f"]
BASE = base_probability(6)
MASK = np.zeros((6, 6), bool)
MASK[0, 1] = MASK[2, 1] = True
EDGES = pd.DataFrame({"source": ["a", "c"], "target": ["b", "b"]})


def read(prior: Any, data: Any = None) -> np.ndarray:
    state = normalise_graph_prior(prior, GENES, data)
    again = normalise_graph_prior(state, GENES)
    assert again == state
    matrix = prior_matrix(state, 6)
    assert matrix is not None
    return matrix


@pytest.mark.parametrize(
    "prior",
    [
        EDGES,
        MASK,
        MASK.astype(int),
        sparse.csr_matrix(MASK),
        MASK.tolist(),
        pd.DataFrame(MASK, GENES, GENES).iloc[::-1],
    ],
    ids=["edges", "bool", "int", "sparse", "list", "labelled"],
)
def test_masks_allow_only_their_edges(prior: Any) -> None:
    np.testing.assert_array_equal(read(prior), np.where(MASK, BASE, 0.0))


def test_prior_is_read_from_a_key_of_varp() -> None:
    adata = ad.AnnData(np.zeros((2, 6)), var=pd.DataFrame(index=GENES))
    adata.varp["tf"] = sparse.csr_matrix(MASK)
    np.testing.assert_array_equal(read("tf", adata), np.where(MASK, BASE, 0.0))
    with pytest.raises(KeyError, match="graph_prior: 'ft'.*'tf'"):
        read("ft", adata)


def test_edges_with_probabilities_leave_the_others_possible() -> None:
    matrix = read(EDGES.assign(probability=[0.9, 0.0]))
    assert matrix[0, 1] == 0.9
    assert matrix[2, 1] == 0.0
    assert matrix[1, 0] == BASE
    assert not matrix.diagonal().any()


def test_matrix_of_probabilities_is_taken_as_it_is() -> None:
    values = np.full((6, 6), 0.2)
    values[0, 1] = 1.0
    matrix = read(values)
    assert matrix[1, 0] == 0.2
    assert 0.99 < matrix[0, 1] < 1


def test_genes_outside_the_data_are_left_out_with_a_warning() -> None:
    with pytest.warns(UserWarning, match="1 of 3 edges"):
        matrix = read(pd.concat([EDGES, pd.DataFrame({"source": ["x"], "target": ["a"]})]))
    np.testing.assert_array_equal(matrix > 0, MASK)


@pytest.mark.parametrize(
    ("prior", "error", "message"),
    [
        (MASK[:5], ValueError, "expected shape"),
        (np.full((6, 6), 2.0), ValueError, "between 0 and 1"),
        (np.full((6, 6), np.nan), ValueError, "between 0 and 1"),
        (EDGES.rename(columns={"source": "from"}), KeyError, "'source'"),
        (EDGES.assign(source="x"), ValueError, "no edge joins"),
        (EDGES.assign(probability=["high", "low"]), TypeError, "numbers"),
        (np.zeros((6, 6)), ValueError, "at least one edge that is allowed"),
        (pd.DataFrame(MASK[:5, :5], GENES[:5], GENES[:5]), KeyError, "'f'"),
        (nx.DiGraph(), TypeError, "found DiGraph"),
    ],
)
def test_wrong_priors_are_refused(prior: Any, error: type[Exception], message: str) -> None:
    with pytest.raises(error, match=message) as caught:
        normalise_graph_prior(prior, GENES)
    assert "graph_prior" in str(caught.value)


def test_known_targets_are_read_and_unknown_names_refused() -> None:
    table = pd.DataFrame({"drug": ["x", "y/z"], "gene": ["b", "a"]})
    pairs = normalise_known_targets(table, ("x", "y/z"), GENES)
    assert normalise_known_targets(pairs, ("x", "y/z"), GENES) == pairs
    assert normalise_known_targets({"x": "b", "y/z": ["a"]}, ("x", "y/z"), GENES) == pairs
    matrix = known_targets_matrix(pairs, ("x", "y/z"), GENES)
    assert matrix is not None
    assert np.argwhere(matrix).tolist() == [[0, 1], [1, 0]]
    with pytest.raises(KeyError, match="known_targets: drug.*'w'"):
        normalise_known_targets([("w", "a")], ("x",), GENES)
    with pytest.raises(KeyError, match="known_targets: gene.*'w'"):
        normalise_known_targets([("x", "w")], ("x",), GENES)
    with pytest.raises(TypeError, match="known_targets"):
        normalise_known_targets("x", ("x",), GENES)
    with pytest.raises(TypeError, match="known_targets: .*lists of genes by drug"):
        normalise_known_targets({"x": None}, ("x",), GENES)
