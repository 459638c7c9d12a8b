import numpy as np
import pytest
from matplotlib.figure import Figure

import systems
from scgim.pl import mechanisms
from scgim.pl._data import Fitted
from scgim.pl._overview import choose


def dots(ax):
    return max(ax.collections, key=lambda c: len(c.get_offsets()))


def test_overview_shows_targets_in_causal_order(fitted_adata):
    ax = mechanisms(fitted_adata, show=False)
    labels = [t.get_text() for t in ax.get_yticklabels()]
    assert labels == ["(+/-)-Abacavir / HCl", "β-Lapachone", "drug c"]
    genes = [t.get_text() for t in ax.get_xticklabels()]
    assert set(genes) == {"g0", "g1", "g2", "g3", "g4"} and genes.index("g0") < genes.index("g1") < genes.index("g2")
    offsets = {(genes[int(x)], labels[int(y)]) for x, y in np.asarray(dots(ax).get_offsets())}
    assert offsets == {("g0", labels[0]), ("g1", labels[1]), ("g4", labels[1]), ("g2", "drug c")}
    assert ax.get_yticklabels()[2].get_style() == "italic"


def test_doses_are_rows_of_their_own_when_asked_for(fitted_adata):
    ax = mechanisms(fitted_adata, dose="all", show=False)
    assert [t.get_text() for t in ax.get_yticklabels()][:2] == [
        "(+/-)-Abacavir / HCl @ 0.5",
        "(+/-)-Abacavir / HCl @ 2",
    ]
    assert len(mechanisms(fitted_adata, dose=0.5, show=False).get_yticklabels()) == 3
    with pytest.raises(ValueError, match="no perturbation was measured at 7"):
        mechanisms(fitted_adata, dose=7, show=False)
    with pytest.raises(ValueError, match="'highest', 'all' or a number"):
        mechanisms(fitted_adata, dose="low", show=False)
    with pytest.raises(ValueError, match="one perturbation"):
        mechanisms(fitted_adata, "drug c", dose="all", show=False)


def test_selection_says_what_was_left_out(fitted_adata):
    ax = mechanisms(fitted_adata, n_genes=2, n_perturbations=1, show=False)
    assert [t.get_text() for t in ax.get_yticklabels()] == ["(+/-)-Abacavir / HCl"]
    assert ax.get_title(loc="left") == "1 of 3 perturbations, 2 of 5 genes"


def test_one_perturbation_shows_what_follows(fitted_adata):
    figure = mechanisms(fitted_adata, "(+/-)-Abacavir / HCl", return_fig=True)
    assert isinstance(figure, Figure)
    texts = [t.get_text() for t in figure.axes[0].texts]
    # shift 2 on g0: g1 +1, g2 -2, g3 +2; g4 is not downstream
    assert {"g0", "g1", "g2", "g3"} <= set(texts) and "g4" not in texts
    assert texts[texts.index("g1") + 1] == "+1"
    assert texts[texts.index("g2") + 1] == "\N{MINUS SIGN}2"
    assert "+2  (p 0.90)" in texts


def test_perturbations_without_a_clear_target_are_drawn(fitted_adata):
    ax = mechanisms(fitted_adata, "drug c", show=False)
    assert "no gene is a target" in ax.get_title()
    fitted_adata.uns["scgim"]["params"]["mechanism"] = "neural"
    ax = mechanisms(fitted_adata, "β-Lapachone", show=False)
    assert {"g1", "g2", "g4"} <= {t.get_text() for t in ax.texts}


def test_unknown_perturbation_suggests_names(fitted_adata):
    with pytest.raises(KeyError, match="β-Lapachone"):
        mechanisms(fitted_adata, "b-Lapachon", show=False)


def test_given_axes_are_used(fitted_adata):
    import matplotlib.pyplot as plt

    _, axes = plt.subplots(1, 2)
    assert mechanisms(fitted_adata, ax=axes[0]) is axes[0]
    assert mechanisms(fitted_adata, "drug c", ax=axes[1], show=False) is axes[1]


def test_combinations_and_batches_have_labels(fitted_adata):
    contexts = fitted_adata.uns["scgim"]["contexts"]
    contexts["second"] = ["control"] * 5 + ["β-Lapachone"] * 2
    contexts["dose2"] = [0.0] * 5 + [1.0, 1.0]
    fitted_adata.uns["scgim"]["params"] |= {"perturbation_key": ["drug", "second"], "dose_key": ["dose", "dose2"]}
    ax = mechanisms(fitted_adata, show=False)
    assert "drug c + β-Lapachone" in [t.get_text() for t in ax.get_yticklabels()]
    assert mechanisms(fitted_adata, "β-Lapachone + drug c", show=False) is not None


def test_symbols_stand_for_genes(fitted_adata):
    fitted_adata.var["symbol"] = ["TP53", "MYC", None, "KIT", "ABL1"]
    ax = mechanisms(fitted_adata, gene_symbols="symbol", show=False)
    assert {t.get_text() for t in ax.get_xticklabels()} == {"TP53", "MYC", "g2", "KIT", "ABL1"}
    with pytest.raises(KeyError, match="symbols"):
        mechanisms(fitted_adata, gene_symbols="symbols", show=False)


def test_many_targets_are_cut(fitted_adata):
    fitted_adata.varm["scgim_target_probability"][:, 1:3] = 0.9
    ax = mechanisms(fitted_adata, "(+/-)-Abacavir / HCl", n_genes=3, show=False)
    assert "3 of 5 targets" in ax.get_title()


def test_of_many_genes_those_with_a_dot_are_drawn():
    probability = np.full((1, 50), 0.01)
    probability[0, [3, 7]] = 0.9, 0.1
    kind, names = np.full((1, 50), "shift", dtype=object), [f"g{i}" for i in range(50)]
    fitted = Fitted(["a"], ["a"], np.ones(1), probability, np.ones((1, 50)), kind, names, exact=True)
    assert choose(fitted, list(range(50)), None, None) == ([0], [3, 7])
    assert len(choose(fitted, list(range(50)), 5, None)[1]) == 5


def test_regulators_have_columns_after_the_genes(fitted_adata):
    """One that a perturbation changes more probably than not is drawn, as a triangle; others are left out."""
    from scgim.pl._data import read, with_regulators

    systems.give_regulators(fitted_adata)
    plain = read(fitted_adata, "scgim")
    found = with_regulators(plain, fitted_adata, "scgim")
    assert found.genes == [*plain.genes, "TF1"]
    np.testing.assert_array_equal(found.kind[:, -1], "regulator")
    np.testing.assert_allclose(found.probability[:, -1], np.where(np.array(found.perturbation) == "drug c", 0.1, 0.9))
    np.testing.assert_allclose(found.effect[:, -1], -1.0)
    ax = mechanisms(fitted_adata, show=False)
    assert "TF1" in [text.get_text() for text in ax.get_xticklabels()]
    assert "TF2" not in [text.get_text() for text in ax.get_xticklabels()]
    assert mechanisms(fitted_adata, n_genes=2, show=False).get_title(loc="left") == "2 of 6 genes and regulators"
