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


def test_scores_of_different_searches_are_not_drawn_on_one_axis(fitted_adata):
    adata, value = fitted_adata.copy(), [9.0, -50.0, -3.0, -1.0, 1.0, 2.0, 1.0, 2.0]
    stage = ["search 1", "search 2", "search 3", "search 3", *["training"] * 4]
    table = {"stage": stage, "metric": ["score"] * 6 + ["again"] * 2, "step": [0, 1, 2, 3, 0, 1, 0, 1], "value": value}
    adata.uns[_keys.HISTORY.name()][_keys.HISTORY.entry] = pd.DataFrame(table)
    axes = history(adata, show=False)
    assert [ax.get_title(loc="left") for ax in axes] == ["search 3: score", "training: score"]
    with pytest.raises(ValueError, match="training: score"):
        history(adata, metrics=["score"], ax=axes[0])
    assert history(adata, metrics=["search 1: score"], ax=axes[0]) is axes[0]


def test_the_epoch_that_was_kept_is_marked(fitted_adata):
    adata = fitted_adata.copy()
    rising = {"stage": "training", "metric": "validation_loss", "step": [0, 1, 2], "value": [1.0, 2.0, 3.0]}
    adata.uns[_keys.HISTORY.name()][_keys.HISTORY.entry] = pd.DataFrame(rising)
    (ax,) = history(adata, metrics=["validation_loss"], show=False)
    assert [text.get_text() for text in ax.texts] == ["kept: 0"]
    assert list(ax.lines[1].get_xdata()) == [0, 0]


def test_metrics_that_are_zero_throughout_are_left_out(fitted_adata):
    adata = fitted_adata.copy()
    both = {
        "stage": "training",
        "metric": ["kl", "kl", "loss", "loss"],
        "step": [0, 1, 0, 1],
        "value": [0.0, 0.0, 2.0, 0.0],
    }
    adata.uns[_keys.HISTORY.name()][_keys.HISTORY.entry] = pd.DataFrame(both)
    assert [ax.get_title(loc="left") for ax in history(adata, show=False)] == ["training: loss"]
    assert len(history(adata, metrics=["kl"], show=False)) == 1
