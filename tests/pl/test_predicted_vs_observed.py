import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
import pytest

from scgim.pl import predicted_vs_observed
from scgim.pl._predicted_vs_observed import agreement


@pytest.fixture
def table(rng):
    """Three drugs in two batches, twenty genes; the last drug changes least."""
    parts = [
        pd.DataFrame(
            {
                "context": f"drug={drug}, batch={batch}",
                "perturbation": drug,
                "n_cells": 10,
                "gene": [f"GENE-{g}" for g in range(20)],
                "observed": size * np.linspace(-1, 2, 20),
                "observed_se": 0.1,
                "predicted": 0.5 * size * np.linspace(-1, 2, 20) + 0.25,
            }
        )
        for drug, size in {"A": 3.0, "B + C": 2.0, "D$": 1.0}.items()
        for batch in ("x", "y")
    ]
    return pd.concat(parts, ignore_index=True)


def test_slope_and_correlation_are_those_of_least_squares(rng):
    x, y = rng.normal(size=(2, 50))
    slope, correlation = agreement(x, y)
    np.testing.assert_allclose(slope, np.polyfit(x, y, 1)[0])
    np.testing.assert_allclose(correlation, np.corrcoef(x, y)[0, 1])
    assert np.isnan(agreement(np.ones(3), np.ones(3))).all()


def test_one_panel_a_drug_with_its_numbers(table):
    axes = predicted_vs_observed(table, show=False)
    assert [ax.get_title(loc="left") for ax in axes] == [
        f"{name}\nslope 0.50, r 1.00" for name in ("A", "B + C", r"D\$")
    ]
    points = np.asarray(axes[0].collections[0].get_offsets())
    np.testing.assert_allclose(points, table[["observed", "predicted"]].iloc[:40].to_numpy())


def test_one_panel_a_context_says_what_contexts_share_once(table):
    axes = predicted_vs_observed(table, "B+C", level="context", show=False)
    assert [ax.get_title(loc="left").split("\n")[0] for ax in axes] == ["batch=x", "batch=y"]
    assert axes[0].figure.get_suptitle() == "drug=B + C"


def test_the_largest_changes_are_kept_and_named(table):
    axes = predicted_vs_observed(table, n_panels=2, n_labels=3, show=False)
    assert len(axes) == 2
    assert axes[0].figure.get_suptitle() == "2 of 3, those that change most"
    assert {text.get_text() for text in axes[0].texts} == {"GENE-19", "GENE-18", "GENE-17"}


def test_draws_into_axes_that_are_given(table):
    _, ax = plt.subplots()
    assert predicted_vs_observed(table, "A", ax=ax) is ax
    with pytest.raises(ValueError, match="ax: takes one panel"):
        predicted_vs_observed(table, ax=ax)


def test_no_change_at_all_is_a_picture_too(table):
    ax = predicted_vs_observed(table.assign(observed=0.0, predicted=0.0), "A", show=False)
    assert "nan" in ax.get_title(loc="left")


def test_wrong_tables_are_refused(table):
    with pytest.raises(
        KeyError, match=r"table: columns \['observed'\] are missing; pass the result of scgim.tl.changes"
    ):
        predicted_vs_observed(table.drop(columns="observed"))
    with pytest.raises(ValueError, match="table: expected at least one row"):
        predicted_vs_observed(table.iloc[:0])
    with pytest.raises(KeyError, match="perturbation"):
        predicted_vs_observed(table, "B")
