import numpy as np
import pytest

import systems
from scgim.pl import drug_similarity
from scgim.pl._drug_similarity import cluster_order, cosine


def test_the_same_targets_are_similar_and_opposite_ones_are_not():
    effects = np.array([[1.0, 0, 2], [2, 0, 4], [-1, 0, -2], [0, 0, 0], [0, 3, 0]])
    found = cosine(effects)
    np.testing.assert_allclose(found[0], [1, 1, -1, 0, 0], atol=1e-12)
    np.testing.assert_allclose(np.diag(found), 1)
    order = cluster_order(found).tolist()
    assert abs(order.index(0) - order.index(1)) == 1


def test_every_perturbation_has_a_row(fitted_adata):
    ax = drug_similarity(fitted_adata, show=False)
    assert {t.get_text() for t in ax.get_yticklabels()} == {"(+/-)-Abacavir / HCl", "β-Lapachone", "drug c"}
    assert len(drug_similarity(fitted_adata, n_perturbations=1, show=False).get_yticklabels()) == 1


def test_drugs_that_change_one_regulator_are_similar(fitted_adata):
    def between():
        ax = drug_similarity(fitted_adata, show=False)
        at = {t.get_text(): k for k, t in enumerate(ax.get_yticklabels())}
        return ax.images[0].get_array()[at["(+/-)-Abacavir / HCl"], at["β-Lapachone"]]

    before = between()
    systems.give_regulators(fitted_adata)
    assert between() > before


def test_names_and_the_label_of_the_bar_are_within_the_figure(fitted_adata):
    figure = drug_similarity(fitted_adata, return_fig=True)
    figure.set_dpi(50)
    figure.canvas.draw()
    for axis in figure.axes:
        box = axis.get_tightbbox()
        assert 0 <= box.x0 < box.x1 <= figure.bbox.x1 and 0 <= box.y0 < box.y1 <= figure.bbox.y1


def test_no_perturbations_are_refused(fitted_adata):
    with pytest.raises(ValueError, match="n_perturbations"):
        drug_similarity(fitted_adata, n_perturbations=0, show=False)
