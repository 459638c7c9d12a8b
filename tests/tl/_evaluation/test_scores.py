import pytest

from scgim.tl._evaluation.scores import METRICS, Compared, markdown_table


@pytest.fixture
def perfect(rng) -> Compared:
    truth, control = rng.normal(size=30), rng.normal(size=30)
    cells = truth + rng.normal(size=(40, 30))
    return Compared(truth, truth, control, control + 0.1, lambda: cells, lambda: cells, 1.0)


@pytest.mark.parametrize("name", list(METRICS))
def test_a_perfect_prediction_has_the_best_value(perfect, name):
    best = 0.0 if METRICS[name].better == "low" else 1.0
    assert METRICS[name].value(perfect) == pytest.approx(best, abs=1e-8)


def test_the_documentation_lists_every_metric():
    assert all(f"`{name}`" in markdown_table() for name in METRICS)
