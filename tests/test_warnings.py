"""Warnings point at the line of the user, through every layer between."""

import inspect
import warnings

import numpy as np
import pytest

import systems
from scgim import tl
from scgim.model import GIM


def line_of(call, *, match):
    """Whether a warning of a call stands at a line of this file that holds the call."""
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        call()
    (found,) = [w for w in caught if match in str(w.message)]
    assert found.filename == __file__
    lines, start = inspect.getsourcelines(call)
    assert start <= found.lineno < start + len(lines)


def doses_of_controls():
    adata = systems.make_screen()
    adata.obs["dose"] = np.where(adata.obs["drug"] == "DMSO", 7.0 + np.arange(adata.n_obs) % 2, adata.obs["dose"])
    return adata


COLUMNS = {"perturbation_key": "drug", "control": "DMSO", "dose_key": "dose"}


@pytest.mark.parametrize("through", ["setup", "fit"])
def test_warnings_point_at_the_call_of_the_user(through):
    adata = doses_of_controls()
    calls = {
        "setup": lambda: GIM.setup_anndata(adata, **COLUMNS),
        "fit": lambda: tl.fit(adata, **COLUMNS, max_epochs=0, progress=False),
    }
    line_of(calls[through], match="doses of controls are ignored")


def test_warnings_of_a_loaded_model_point_at_the_call(tmp_path):
    adata = systems.make_screen()
    GIM.setup_anndata(adata, **COLUMNS)
    model = GIM(adata)
    model.train(max_epochs=0)
    model.save(tmp_path / "m")
    line_of(lambda: GIM.load(tmp_path / "m"), match="loaded without data")
