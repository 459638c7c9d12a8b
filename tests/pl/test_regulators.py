import numpy as np
import pytest

import systems
from scgim.pl import regulators


def test_marks_are_regulators_by_perturbation(fitted_adata):
    systems.give_regulators(fitted_adata)
    ax = regulators(fitted_adata, show=False)
    assert [t.get_text() for t in ax.get_xticklabels()] == ["TF1", "TF2"]
    style = {t.get_text(): t.get_style() for t in ax.get_yticklabels()}
    assert style == {"(+/-)-Abacavir / HCl": "normal", "β-Lapachone": "normal", "drug c": "italic"}
    marks = ax.collections[-1]
    sizes = np.asarray(marks.get_sizes())
    assert len(sizes) == 6 and sizes.max() == pytest.approx(9 * sizes.min())  # 0.9 and 0.1
    np.testing.assert_allclose(marks.get_array(), -1.0)
    assert len(regulators(fitted_adata, dose="all", show=False).get_yticklabels()) == 6


def test_few_are_shown_and_it_is_said(fitted_adata):
    systems.give_regulators(fitted_adata)
    ax = regulators(fitted_adata, n_regulators=1, n_perturbations=2, show=False)
    assert ax.get_title(loc="left") == "1 of 2 regulators"
    assert [t.get_text() for t in ax.get_xticklabels()] == ["TF1"]
    assert len(ax.get_yticklabels()) == 2


def test_fits_without_regulators_are_refused(fitted_adata):
    with pytest.raises(ValueError, match="adata: expected results of a fit with regulators"):
        regulators(fitted_adata, show=False)
