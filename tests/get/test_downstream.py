import numpy as np
import pytest

from scgim.get import downstream


def test_changes_follow_the_paths_of_the_graph(fitted_adata):
    table = downstream(fitted_adata, "(+/-)-Abacavir / HCl").set_index("gene")
    direct = table["direct"]
    # g0 -> g1 (0.5) -> g2 (-2), g0 -> g3 (1)
    assert table.loc["g1", "change"] == pytest.approx(direct["g1"] + 0.5 * table.loc["g0", "change"], rel=1e-6)
    assert table.loc["g2", "change"] == pytest.approx(direct["g2"] - 2 * table.loc["g1", "change"], rel=1e-6)
    assert table.loc["g3", "change"] == pytest.approx(direct["g3"] + table.loc["g0", "change"], rel=1e-6)
    assert table.loc[["g0", "g1", "g2", "g3"], "steps"].tolist() == [0, 1, 2, 1]
    assert (np.diff(np.abs(table["change"])) <= 1e-12).all()


def test_without_a_sure_target_nothing_has_a_distance(fitted_adata):
    assert (downstream(fitted_adata, "drug c")["steps"] == -1).all()


@pytest.mark.parametrize(
    ("perturbation", "kwargs", "error", "named"),
    [
        ("absent", {}, KeyError, "perturbation"),
        (["drug c"], {}, TypeError, "perturbation"),
        ("drug c", {"dose": "all"}, ValueError, "dose"),
        ("drug c", {"dose": 9.0}, ValueError, "dose"),
    ],
)
def test_wrong_arguments_are_named(fitted_adata, perturbation, kwargs, error, named):
    with pytest.raises(error, match=named):
        downstream(fitted_adata, perturbation, **kwargs)
