import matplotlib.pyplot as plt
import pytest

from scgim.pl import _style


def test_names_that_would_be_cut_to_the_same_text_stay_apart():
    names = ["ENSG00000123862", "ENSG00000999862", "ENSG00000123863", "TP53"]
    cut = _style.labels(names, 12)
    assert len(set(cut)) == 4 and cut[3] == "TP53"
    assert _style.labels(["TP53", "TP53"], 12) == ["TP53", "TP53"]
    assert _style.labels(["two\nlines"], 12) == ["two lines"]


@pytest.mark.parametrize("style", ["default", "dark_background", "grayscale"])
def test_text_stands_out_from_the_paper_of_every_style(style):
    with plt.style.context(style):
        ink, paper = _style._lightness(_style.ink()), _style._lightness(_style.paper())
        assert abs(ink - paper) > 0.6
        assert abs(_style._lightness(_style.muted()) - paper) > 0.3
