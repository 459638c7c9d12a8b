"""tl.suggest on a simulated system."""

import pandas as pd
import pytest

from scgim import tl


def test_the_table_is_that_of_the_model(model):
    goal = pd.Series({model.genes[0]: 3.0})
    found = tl.suggest(model, goal=goal, n_top=4)
    pd.testing.assert_frame_equal(found, model.suggest(goal=goal, n_top=4))
    assert list(found) == [
        *("intervention", "kind", "name", "shift", "distance_before", "distance_after", "distance_after_sd"),
        *("share", "p_closer"),
    ]
    assert found["distance_after"].is_monotonic_increasing
    assert len(found) == 4


@pytest.mark.parametrize("cells", [False, True])
def test_a_gene_in_place_of_a_column_is_told_how_goals_are_given(model, cells):
    gene = model.genes[0]
    given = (model, model.adata) if cells else (model,)
    with pytest.raises(KeyError, match=rf"goal: .*{gene!r} is a gene: .* goal=pandas.Series\({{ ?'{gene}': -1 ?}}\)"):
        tl.suggest(*given, goal={gene: -1})
    with pytest.raises(KeyError, match=rf"population: .*{gene!r} is a gene: act on it with set=, shift="):
        tl.intervene(*given, shift={gene: 1.0}, population={gene: -1})
