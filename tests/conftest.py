"""Settings and fixtures that all tests share.

Threads are pinned before numpy and torch are imported: the matrices of the tests are small, and several threads that
compete for few cores make them many times slower.
"""

import os
import sys

for _name in ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS", "NUMBA_NUM_THREADS"):
    # numba refuses another number once it runs, and a pytest plugin of scanpy's arrays may have imported it already
    if not (_name.startswith("NUMBA") and "numba" in sys.modules):
        os.environ.setdefault(_name, "1")
os.environ.setdefault("MPLBACKEND", "Agg")

from collections.abc import Callable, Iterator
from pathlib import Path
from types import SimpleNamespace
from typing import TYPE_CHECKING

import numpy as np
import pytest

import systems

if TYPE_CHECKING:
    from anndata import AnnData


@pytest.fixture(scope="session")
def shared_data() -> Path:
    """Folder of real data beside the checkout, or ``SCGIM_TEST_DATA``; the test is skipped where it is absent."""
    default = Path(__file__).resolve().parents[2] / "shared" / "data"
    folder = Path(os.environ.get("SCGIM_TEST_DATA", default))
    if not folder.is_dir():
        pytest.skip("real data are not at hand: no ../shared/data, and SCGIM_TEST_DATA is not a folder")
    return folder


@pytest.fixture
def rng() -> np.random.Generator:
    """A generator with a fixed seed."""
    return np.random.default_rng(0)


@pytest.fixture(scope="session")
def study() -> systems.Study:
    """Cells of a linear system: six genes, five drugs at three doses."""
    return systems.make_study()


@pytest.fixture(scope="session")
def make_study() -> Callable[..., systems.Study]:
    """Studies of other sizes."""
    return systems.make_study


@pytest.fixture
def screen() -> "AnnData":
    """Three drugs with difficult names at three doses, a chain of four genes."""
    return systems.make_screen()


@pytest.fixture
def screens() -> Callable[..., "AnnData"]:
    """Screens of other sizes."""
    return systems.make_screen


@pytest.fixture(scope="session")
def world() -> Callable[..., SimpleNamespace]:
    """Worlds of drugs with features."""
    return systems.make_world


@pytest.fixture(autouse=True)
def _close_figures() -> Iterator[None]:
    """Close the figures that a test leaves open."""
    yield
    import sys

    if "matplotlib.pyplot" in sys.modules:
        sys.modules["matplotlib.pyplot"].close("all")


@pytest.fixture
def quiet_mudata() -> Iterator[None]:
    """MuData that does not pull columns up, which is the only way from version 0.4 on."""
    import mudata

    if not hasattr(mudata, "set_options"):
        yield
        return
    with mudata.set_options(pull_on_update=False):
        yield


@pytest.fixture
def fitted_adata() -> "AnnData":
    """AnnData with results written by :mod:`scgim.tl._fitting.write` from made-up arrays: no fit, no torch.

    Five genes in the chain g0 -> g1 -| g2, g0 -> g3, and g4 alone; three drugs with difficult names at two doses; the
    third drug has no clear target.
    """
    import anndata as ad
    import pandas as pd

    from scgim.tl._fitting.write import Results, write

    genes = [f"g{i}" for i in range(5)]
    drugs = ["(+/-)-Abacavir / HCl", "β-Lapachone", "drug c"]
    contexts = pd.DataFrame(
        [("control", 0.0, 6)] + [(drug, dose, 3) for drug in drugs for dose in (0.5, 2.0)],
        columns=["drug", "dose", "n_cells"],
    )
    weights = np.zeros((5, 5))
    weights[0, 1], weights[1, 2], weights[0, 3] = 0.5, -2.0, 1.0
    probability, effect = np.full((7, 5), 0.02), np.zeros((7, 5))
    probability[1:3, 0], probability[3:5, [1, 4]], probability[5:, 2] = 0.9, (0.8, 0.6), 0.3
    effect[1:3, 0], effect[3:5, 1], effect[3:5, 4], effect[5:, 2] = (1.0, 2.0), (-0.5, -1.0), (0.2, 0.4), 0.1
    table = contexts.drop(columns="n_cells").iloc[np.repeat(np.arange(1, 7), 5)].reset_index(drop=True)
    table["gene"], table["kind"] = genes * 6, "shift"
    table["probability"], table["effect"], table["effect_sd"] = probability[1:].ravel(), effect[1:].ravel(), 0.1
    table["rank"] = (-probability[1:]).argsort(axis=1, kind="stable").argsort(axis=1).ravel() + 1
    cells = np.repeat(np.arange(7), contexts["n_cells"])
    adata = ad.AnnData(
        np.random.default_rng(0).normal(size=(24, 5)).astype(np.float32),
        obs=contexts.loc[cells, ["drug", "dose"]].reset_index(drop=True).rename(index=str).astype({"drug": "category"}),
        var=pd.DataFrame(index=genes),
    )
    history = pd.DataFrame({"stage": "search", "metric": "score", "step": [0, 1, 2], "value": [-9.0, -3.0, -1.0]})
    params = {
        "perturbation_key": ["drug"],
        "dose_key": ["dose"],
        "control": "control",
        "mechanism": "linear",
        "intervention": "shift",
        "batch_key": None,
        "train_kwargs": {"max_epochs": 3, "callbacks": (print,)},
    }
    write(
        adata,
        Results(
            genes=genes,
            contexts=contexts,
            control=contexts["drug"].eq("control").to_numpy(),
            context_of_cell=cells,
            probability=probability,
            effect=effect,
            weights=weights,
            graph_probability=np.where(weights != 0, 0.75, 0.0),
            targets=table,
            history=history,
            params=params,
        ),
    )
    return adata
