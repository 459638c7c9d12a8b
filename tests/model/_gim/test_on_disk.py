"""Fits of expression that stays on disk."""

import anndata
import numpy as np
import pytest

from scgim.datasets import simulate
from scgim.model import GIM
from scgim.tl import fit

SETUP = {"perturbation_key": "drug", "dose_key": "dose", "control": "control"}


@pytest.fixture(scope="module")
def path(tmp_path_factory):
    adata = simulate(8, n_drugs=8, n_control=200, n_cells=20, new_doses=(), n_new_drugs=0, features="noise", rng=1)
    file = tmp_path_factory.mktemp("disk") / "cells.h5ad"
    adata.write_h5ad(file)
    return file


def test_backed_gives_what_memory_gives(path):
    memory = fit(anndata.read_h5ad(path), **SETUP, max_epochs=0)
    backed = anndata.read_h5ad(path, backed="r")
    GIM.setup_anndata(backed, **SETUP)
    model = GIM(backed)
    model.train()
    np.testing.assert_allclose(model.fitted.of_drug.probability, memory.fitted.of_drug.probability, atol=1e-6)
    np.testing.assert_allclose(model.fitted.graph.weights, memory.fitted.graph.weights, atol=1e-6)
