"""What a fit with ``mechanism="auto"`` keeps: it is the fit with the mechanism that it names, in memory, in files, and when fitted again."""

import logging

import numpy as np
import pandas as pd
import pytest

import systems
from scgim import datasets, tl
from scgim.model import GIM

COLUMNS = {"perturbation_key": "drug", "dose_key": "dose", "control": "control", "max_epochs": 0}


@pytest.fixture(scope="module", params=["linear", "tanh"])
def fits(request, caplog_of_module):
    """Eight genes whose mechanisms are lines or saturate, by evidence and with the mechanism that suits them."""
    adata = datasets.simulate(
        8, n_drugs=8, n_new_drugs=0, new_doses=(), doses=(1.0, 2.0), n_control=400, n_cells=200, n_test_cells=2,
        features="noise", mechanism=request.param, rng=3,
    )  # fmt: skip
    adata = systems.training(adata)
    named = "linear" if request.param == "linear" else "additive"
    known = tl.fit(adata.copy(), **COLUMNS, mechanism=named)
    caplog_of_module.clear()
    model = tl.fit(adata, **COLUMNS, mechanism="auto")
    said = [record.getMessage() for record in caplog_of_module.records]
    return adata, model, known, named, said


@pytest.fixture(scope="module")
def caplog_of_module():
    """Records of scgim's logger; those of pytest end with each test."""

    class Kept(logging.Handler):
        def __init__(self) -> None:
            super().__init__()
            self.records: list[logging.LogRecord] = []

        def emit(self, record: logging.LogRecord) -> None:
            self.records.append(record)

        def clear(self) -> None:
            self.records.clear()

    logger, kept = logging.getLogger("scgim"), Kept()
    level = logger.level
    logger.addHandler(kept)
    logger.setLevel(logging.INFO)
    yield kept
    logger.removeHandler(kept)
    logger.setLevel(level)


def test_it_is_the_fit_with_the_mechanism_that_it_names(fits):
    adata, model, known, named, said = fits
    assert model.settings["mechanism"] == named
    pd.testing.assert_frame_equal(model.get_targets(), known.get_targets())
    rows = pd.DataFrame({"drug": list(model.drugs), "dose": 1.5})
    np.testing.assert_allclose(model.predict_mean(rows), known.predict_mean(rows), rtol=1e-9)
    params = adata.uns["scgim"]["params"]
    assert (params["mechanism"], params["mechanism_by"]) == (named, "evidence")
    evidence = model.fitted.settings
    gain = evidence["log_evidence_additive"] - evidence["log_evidence_linear"]
    assert (gain > 10) == (named == "additive")
    assert sum(text.startswith(f"mechanism: {named}; log evidence is ") for text in said) == 1


def test_hidden_causes_do_not_stand_in_for_curves():
    """Under linear mechanisms a factor explains what bends here; what it explains is no evidence of them."""
    adata = systems.training(
        datasets.simulate(
            8, n_drugs=8, n_new_drugs=0, new_doses=(), doses=(1.0, 2.0), n_control=400, n_cells=200, n_test_cells=2,
            features="noise", mechanism="relu", rng=5,
        )
    )  # fmt: skip
    model = tl.fit(adata, **COLUMNS, mechanism="auto")
    evidence = model.fitted.settings
    assert model.settings["mechanism"] == "additive"
    assert evidence["log_evidence_additive"] > evidence["log_evidence_linear"] + 1000


def test_files_and_fits_from_them_keep_the_choice(fits, tmp_path):
    adata, model, known, named, _ = fits
    model.save(str(tmp_path / "model"))
    again = GIM.load(str(tmp_path / "model"), adata)
    assert again.settings == model.settings
    pd.testing.assert_frame_equal(again.get_targets(), model.get_targets())
    other = again.refit()
    assert other.settings["mechanism"] == named
    pd.testing.assert_frame_equal(other.get_targets(), known.get_targets())


@pytest.mark.parametrize(
    "choice", [{"intervention": "hard"}, {"structure": "gradient"}, {"noise": "poisson_lognormal"}], ids=str
)
def test_other_choices_are_refused(choice):
    adata = systems.make_screen()
    GIM.setup_anndata(adata, perturbation_key="drug", dose_key="dose", control="DMSO")
    with pytest.raises(ValueError, match="needs"):
        GIM(adata, mechanism="auto", **choice)


def test_before_training_nothing_is_chosen():
    adata = systems.make_screen()
    GIM.setup_anndata(adata, perturbation_key="drug", dose_key="dose", control="DMSO")
    assert GIM(adata, mechanism="auto").settings["mechanism"] == "auto"
