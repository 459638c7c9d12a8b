import numpy as np
import pytest

from scgim.pl import dose_response


def test_curves_run_through_the_effects_of_the_doses(fitted_adata):
    ax = dose_response(fitted_adata, "β-Lapachone", show=False)
    curve = next(line for line in ax.lines if line.get_label().startswith("g1"))
    np.testing.assert_allclose(curve.get_xydata(), [[0.5, -0.5], [2, -1]])
    assert sum(line.get_label().startswith("g") for line in ax.lines) == 2


def test_wrong_arguments_are_named(fitted_adata):
    with pytest.raises(KeyError, match="nope"):
        dose_response(fitted_adata, "drug c", genes=["nope"], show=False)
    fitted_adata.uns["scgim"]["params"]["dose_key"] = None
    with pytest.raises(ValueError, match="no dose"):
        dose_response(fitted_adata, "drug c", show=False)
