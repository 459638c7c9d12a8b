"""Pictures look as they did: each against a small stored one, on light and on dark paper.

Pictures are compared as sixteen grey tones of about a hundred pixels a side, so that another release of matplotlib or of its fonts passes, and a
missing panel, legend or set of points does not. After a change that is meant: ``python tests/pl/test_pictures.py`` draws them again.
"""

import io
import sys
from pathlib import Path

import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
import pytest

from scgim import get, pl
from scgim.pl._drawing import layout

HERE = Path(__file__).parent / "pictures"
SIDE = 96  # pixels of the stored pictures
TOLERANCE = 5.0  # mean difference of grey tones, of 255, that is allowed
STYLES = {"light": "default", "dark": "dark_background"}


def changes() -> pd.DataFrame:
    """A table as of ``tl.changes``: two drugs, forty genes."""
    rng = np.random.default_rng(0)
    observed = rng.normal(size=80)
    return pd.DataFrame(
        {
            "context": np.repeat(["drug=a, dose=1.0", "drug=b, dose=1.0"], 40),
            "perturbation": np.repeat(["a", "b"], 40),
            "gene": [f"GENE{g}" for g in range(40)] * 2,
            "observed": observed,
            "predicted": np.repeat([0.8, -0.3], 40) * observed + 0.1 * rng.normal(size=80),
        }
    )


PICTURES = {
    "predicted_vs_observed": lambda adata: pl.predicted_vs_observed(changes(), return_fig=True),
    "targets": lambda adata: pl.targets(adata, min_probability=0.5, return_fig=True),
    "drug_similarity": lambda adata: pl.drug_similarity(adata, return_fig=True),
    "mechanisms": lambda adata: pl.mechanisms(adata, return_fig=True),
    "mechanisms_of_one": lambda adata: pl.mechanisms(adata, "β-Lapachone", return_fig=True),
    "graph": lambda adata: pl.graph(adata, return_fig=True),
    "calibration": lambda adata: pl.calibration(
        get.targets(adata)["rank"] == 1, get.targets(adata)["probability"], return_fig=True
    ),
}


def grey(figure) -> np.ndarray:
    """The figure as grey tones ``(SIDE, SIDE)``."""
    from PIL import Image

    with io.BytesIO() as file:
        figure.savefig(file, format="png", dpi=80)
        file.seek(0)
        with Image.open(file) as image:
            return np.asarray(image.convert("L").resize((SIDE, SIDE), Image.Resampling.BOX), dtype=float)


def difference(a: np.ndarray, b: np.ndarray) -> float:
    return float(np.abs(a - b).mean())


def stored(name: str, paper: str) -> np.ndarray:
    from PIL import Image

    with Image.open(HERE / f"{name}_{paper}.png") as image:
        return np.asarray(image.convert("L"), dtype=float)


def draw(name: str, paper: str, adata):
    with plt.style.context(STYLES[paper]):
        return PICTURES[name](adata)


@pytest.fixture(autouse=True)
def layout_without_graphviz(monkeypatch):
    """The stored pictures are laid out without pygraphviz, so that they do not hang on what is installed."""
    monkeypatch.setattr(layout, "by_dot", lambda rows, links: None)


@pytest.mark.parametrize("paper", list(STYLES))
@pytest.mark.parametrize("name", list(PICTURES))
def test_picture_is_the_stored_one(name, paper, fitted_adata):
    pytest.importorskip("PIL")
    assert difference(grey(draw(name, paper, fitted_adata)), stored(name, paper)) < TOLERANCE


@pytest.mark.parametrize("paper", list(STYLES))
def test_what_is_missing_would_be_seen(paper, fitted_adata):
    pytest.importorskip("PIL")
    figure = draw("predicted_vs_observed", paper, fitted_adata)
    before = grey(figure)
    figure.axes[1].remove()
    assert difference(grey(figure), before) > TOLERANCE
    assert difference(stored("targets", paper), stored("graph", paper)) > TOLERANCE
    assert difference(stored("targets", "light"), stored("targets", "dark")) > 20 * TOLERANCE


if __name__ == "__main__":
    from PIL import Image

    sys.path.insert(0, str(HERE.parents[1]))
    import conftest

    HERE.mkdir(exist_ok=True)
    layout.by_dot = lambda rows, links: None
    made = conftest.fitted_adata.__wrapped__()
    for name in PICTURES:
        for paper in STYLES:
            tones = 17 * (grey(draw(name, paper, made)) / 17).round()
            Image.fromarray(tones.astype(np.uint8)).save(HERE / f"{name}_{paper}.png", optimize=True)
            plt.close("all")
