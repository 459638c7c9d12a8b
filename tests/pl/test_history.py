import pytest

from scgim.pl import history


def test_each_metric_has_a_panel(fitted_adata):
    (ax,) = history(fitted_adata, show=False)
    assert ax.get_title(loc="left") == "search: score"
    assert list(ax.lines[0].get_ydata()) == [-9, -3, -1]


def test_unknown_metrics_name_the_known_ones(fitted_adata):
    with pytest.raises(ValueError, match="score"):
        history(fitted_adata, metrics=["loss"], show=False)
