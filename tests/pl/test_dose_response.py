import matplotlib.pyplot as plt
import numpy as np
import pytest

import systems
from scgim.pl import dose_response


def test_curves_run_through_the_effects_of_the_doses(fitted_adata):
    ax = dose_response(fitted_adata, "β-Lapachone", show=False)
    curve = next(line for line in ax.lines if line.get_label().startswith("g1"))
    np.testing.assert_allclose(curve.get_xydata(), [[0.5, -0.5], [2, -1]])
    assert sum(line.get_label().startswith("g") for line in ax.lines) == 2


def test_the_legend_stays_inside_of_axes_that_are_given(fitted_adata):
    figure, (ax, _) = plt.subplots(1, 2)
    dose_response(fitted_adata, "β-Lapachone", ax=ax)
    assert ax.get_legend().get_window_extent(figure.canvas.get_renderer()).x1 <= ax.get_window_extent().x1


def test_no_gene_has_the_color_of_a_sign_and_the_axis_names_the_column(fitted_adata):
    ax = dose_response(fitted_adata, "β-Lapachone", genes=["g0", "g1"], show=False)
    lines = [line for line in ax.lines if line.get_label().startswith("g")]
    assert not {line.get_color() for line in lines} & {"#c23b33", "#2f6db3"}
    assert len({line.get_marker() for line in lines}) == 2 and ax.get_xlabel() == "dose"


def test_one_gene_may_be_given_by_its_name(fitted_adata):
    ax = dose_response(fitted_adata, "drug c", genes="g1", show=False)
    assert sum(line.get_label().startswith("g") for line in ax.lines) == 1


def test_regulators_are_drawn_as_genes_are(fitted_adata):
    systems.give_regulators(fitted_adata)
    ax = dose_response(fitted_adata, "β-Lapachone", show=False)
    assert "TF1 (p 0.90)" in [line.get_label() for line in ax.lines]
    ax = dose_response(fitted_adata, "β-Lapachone", genes="TF1", show=False)
    np.testing.assert_allclose(ax.lines[1].get_ydata(), -1)


def test_one_dose_is_the_only_tick(fitted_adata):
    table = fitted_adata.uns["scgim"]["targets"]
    fitted_adata.uns["scgim"]["targets"] = table[table["dose"] == 2.0]
    ax = dose_response(fitted_adata, "drug c", show=False)
    assert [label.get_text() for label in ax.get_xticklabels()] == ["2"]


def test_a_fit_without_doses_has_no_curves(fitted_adata):
    fitted_adata.uns["scgim"]["params"]["dose_key"] = None
    with pytest.raises(ValueError, match="no dose"):
        dose_response(fitted_adata, "drug c", show=False)


def test_the_curve_goes_through_the_effect_at_the_highest_dose(fitted_adata):
    import pandas as pd

    curves = pd.DataFrame({"perturbation": ["β-Lapachone"], "ec50": [1.0], "slope": [2.0], "ec50_in_range": [True]})
    ax = dose_response(fitted_adata, "β-Lapachone", genes=["g1"], curves=curves, show=False)
    dashed = next(line for line in ax.lines if line.get_linestyle() == "--" and len(line.get_xdata()) > 2)
    x, y = np.asarray(dashed.get_xdata()), np.asarray(dashed.get_ydata())
    assert np.interp(2.0, x, y) == pytest.approx(-1.0, abs=0.01)  # the effect at dose 2
    assert np.interp(1.0, x, y) == pytest.approx(-0.5 / 0.8, abs=0.01)  # half of the full effect, -1 / h(2)
    assert any(line.get_linestyle() == ":" for line in ax.lines)
    with pytest.raises(KeyError, match="curves: found no row of 'drug c'"):
        dose_response(fitted_adata, "drug c", curves=curves, show=False)
