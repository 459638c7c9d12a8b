import numpy as np
import pytest

import systems
from scgim.get import perturbations


def test_rows_are_perturbations_at_their_highest_dose(fitted_adata, tmp_path):
    space = perturbations(fitted_adata)
    assert space.shape == (3, 5)
    np.testing.assert_allclose(space["β-Lapachone"].X.ravel(), [0, -0.8, 0, 0, 0.24], atol=1e-6)
    assert list(space.obs["target"]) == ["g0", "g1", "unassigned"]
    space.write_h5ad(tmp_path / "space.h5ad")


def test_a_regulator_that_alone_is_called_is_the_target(fitted_adata):
    systems.give_regulators(fitted_adata)
    fitted_adata.varm["scgim_target_probability"] *= 0.4
    space = perturbations(fitted_adata)
    assert "TF1 (regulator)" in set(space.obs["target"])


def test_every_dose_has_a_row_of_its_own_name(fitted_adata):
    space = perturbations(fitted_adata, dose="all")
    assert space.n_obs == 6 and space.obs_names.is_unique
    assert sorted(set(space.obs["dose"])) == [0.5, 2.0]


def test_an_unmeasured_dose_is_named(fitted_adata):
    with pytest.raises(ValueError, match="dose"):
        perturbations(fitted_adata, dose=7)


def test_log_odds_are_those_of_the_table_or_of_the_probabilities(fitted_adata):
    space = perturbations(fitted_adata, dose="all")
    p = space.layers["probability"].astype(float)
    np.testing.assert_allclose(space.layers["log_odds"], np.log(p / (1 - p)), rtol=1e-4)
    table = fitted_adata.uns["scgim"]["targets"]
    table["log_odds"] = np.arange(len(table), dtype=float)
    found = perturbations(fitted_adata, dose="all").layers["log_odds"]
    np.testing.assert_array_equal(found, np.arange(len(table)).reshape(-1, 5))


def test_the_target_is_the_first_by_log_odds_where_probabilities_are_one(fitted_adata):
    fitted_adata.varm["scgim_target_probability"][:] = 1.0
    table = fitted_adata.uns["scgim"]["targets"]
    table["log_odds"] = np.tile([40.0, 50.0, 90.0, 60.0, 70.0], len(table) // 5)
    assert set(perturbations(fitted_adata).obs["target"]) == {"g2"}
