import matplotlib.pyplot as plt
import pandas as pd
import pytest

from scgim import _keys
from scgim.pl import history


def test_each_metric_has_a_panel(fitted_adata):
    (ax,) = history(fitted_adata, show=False)
    assert ax.get_title(loc="left") == "search: score"
    assert list(ax.lines[0].get_ydata()) == [-9, -3, -1]


def test_unknown_metrics_name_the_known_ones(fitted_adata):
    with pytest.raises(ValueError, match=r"expected some of \['score'\], found \['loss'\]"):
        history(fitted_adata, metrics="loss", show=False)


def test_rounds_of_the_search_share_a_panel_and_no_line(fitted_adata):
    adata, value = fitted_adata.copy(), [-90.0, -50.0, -3.0, -1.0, 1.0, 2.0, 1.0, 2.0, 0.0, 0.0]
    stage = ["search 1", "search 2", "search 3", "search 3", *["training"] * 6]
    metric = ["score"] * 6 + ["again"] * 2 + ["flat"] * 2
    table = {"stage": stage, "metric": metric, "step": [0, 1, 2, 3, 0, 1, 0, 1, 0, 1], "value": value}
    adata.uns[_keys.HISTORY.name()][_keys.HISTORY.entry] = pd.DataFrame(table)
    axes = history(adata, show=False)
    assert [ax.get_title(loc="left") for ax in axes] == ["search: score", "training: score"]
    rounds = axes[0].lines[:3]
    assert [list(line.get_ydata()) for line in rounds] == [[89], [49], [2, 0]]  # nats below the best
    assert [text.get_text() for text in axes[0].get_xticklabels()] == ["search 1", "search 2", "search 3"]
    with pytest.raises(ValueError, match="training: score"):
        history(adata, metrics=["score"], ax=axes[0])
    axis = history(adata, metrics=["search 1: score"], ax=plt.figure().gca())
    assert list(axis.lines[0].get_ydata()) == [-90]
    assert len(history(adata, metrics=["flat"], show=False)) == 1


def test_the_epoch_that_was_kept_is_marked(fitted_adata):
    adata = fitted_adata.copy()
    rising = {"stage": "training", "metric": "validation_loss", "step": [0, 1, 2], "value": [1.0, 2.0, 3.0]}
    adata.uns[_keys.HISTORY.name()][_keys.HISTORY.entry] = pd.DataFrame(rising)
    (ax,) = history(adata, metrics=["validation_loss"], show=False)
    assert [text.get_text() for text in ax.texts] == ["kept: 0"]
    assert list(ax.lines[1].get_xdata()) == [0, 0]
