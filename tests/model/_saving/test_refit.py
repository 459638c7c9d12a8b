"""Fits are repeated from what is saved, and are the same with other numbers of threads and the same seeds."""

from typing import Any

import numpy as np
import pytest
import torch
from threadpoolctl import threadpool_limits

import systems
from scgim import tl
from scgim.model import GIM

COLUMNS = {"perturbation_key": "drug", "dose_key": "dose", "control": "DMSO"}
KINDS: dict[str, dict[str, Any]] = {
    "linear": {"n_ensemble": 1},
    "neural": {"mechanism": "neural", "max_epochs": 2},
    "published": {"structure": "gradient", "max_epochs": 2, "model_kwargs": {"n_hidden": 4}},
}
TOLERANCE = 1e-4
"""Of probabilities, and of effects and weights in units of the data, between numbers of threads."""


def fitted(kind: str, **kwargs: Any) -> GIM:
    return tl.fit(systems.make_screen(n_cells=8), accelerator="cpu", **COLUMNS, **KINDS[kind] | kwargs)


@pytest.fixture(scope="module", params=KINDS)
def model(request: pytest.FixtureRequest) -> tuple[str, GIM]:
    return request.param, fitted(request.param)


def arrays(model: GIM) -> dict[str, np.ndarray]:
    targets = model.get_targets()
    return {
        "weights": model.fitted.graph.weights,
        "edges": model.fitted.graph.probability,
        "probability": targets["probability"].to_numpy(),
        "effect": targets["effect"].to_numpy(),
    }


def same(a: GIM, b: GIM, atol: float = 1e-12) -> None:
    """Up to the rounding of sums, which depends on where arrays lie in memory."""
    for name, value in arrays(a).items():
        np.testing.assert_allclose(arrays(b)[name], value, rtol=1e-9, atol=atol, err_msg=name)


def test_a_saved_model_is_fitted_again_to_the_same_numbers(model, tmp_path):
    _, first = model
    first.save(tmp_path / "m", save_anndata=True)
    again = GIM.load(tmp_path / "m").refit()
    assert again is not first and again.train_params_ == first.train_params_
    same(first, again)
    same(first, again.refit())


def test_changes_are_those_that_were_asked_for(model):
    kind, first = model
    other = first.refit(rng=1)
    assert other.train_params_ | {"rng": 0} == first.train_params_ | {"rng": 0}
    same(fitted(kind, rng=1), other)


def test_a_generator_is_kept_as_what_it_was_made_from():
    rng = np.random.default_rng(5)
    rng.spawn(2)  # has been used before
    adata = systems.make_screen(n_cells=8)
    GIM.setup_anndata(adata, **COLUMNS)
    model = GIM(adata, n_ensemble=1)
    model.train(rng=rng, max_epochs=0)
    same(model, model.refit())


def test_numbers_do_not_depend_on_the_number_of_threads(model):
    kind, first = model
    threads = 3
    before = torch.get_num_threads()
    try:
        torch.set_num_threads(threads)
        with threadpool_limits(limits=threads):
            same(first, fitted(kind), atol=TOLERANCE)
    finally:
        torch.set_num_threads(before)


def test_what_cannot_be_kept_is_named():
    adata = systems.make_screen(n_cells=8)
    GIM.setup_anndata(adata, **COLUMNS)
    model = GIM(adata)
    from lightning.pytorch.callbacks import Callback

    model.train(max_epochs=1, accelerator="cpu", callbacks=[Callback()], enable_progress_bar=False)
    with pytest.warns(UserWarning, match=r"refit: \['callbacks'\] were given"):
        again = model.refit()
    same(model, again)
    again.refit(callbacks=[])


def test_models_that_cannot_be_fitted_again_say_why(model, tmp_path):
    _, first = model
    adata = systems.make_screen()
    GIM.setup_anndata(adata, **COLUMNS)
    with pytest.raises(RuntimeError, match="not trained yet"):
        GIM(adata).refit()
    first.save(tmp_path / "m")
    bare = GIM.load(tmp_path / "m", adata=False)
    with pytest.raises(ValueError, match=r"adata: .* GIM.load\(dir_path, adata\)"):
        bare.refit()
    first_kept, first.train_params_ = first.train_params_, None
    with pytest.raises(ValueError, match="did not keep how it was trained"):
        first.refit()
    first.train_params_ = first_kept
    with pytest.raises(TypeError, match="epoch: "):
        first.refit(epoch=3)
