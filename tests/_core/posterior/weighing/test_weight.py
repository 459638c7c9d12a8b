"""The share of the model beside a baseline, from contexts that are left out."""

import numpy as np
import pytest

from scgim._core.posterior.weighing.weight import learn_weight

N, G = 12, 40


@pytest.mark.parametrize("share", [0.0, 0.3, 0.8])
def test_it_is_the_share_that_the_truth_has(share, rng):
    model, base, other = rng.normal(size=(3, N, G))
    seen = share * model + (1 - share) * base + 0.1 * rng.normal(size=(N, G))
    found = learn_weight(seen, model, {"other": other, "base": base}, np.arange(N))
    assert found.baseline == "base"
    assert found.weight == pytest.approx(share, abs=0.03)
    assert found.error < min(found.error_of_model, 1.05 * found.error_of_baseline)
    assert found.settings("new_dose")["new_dose_weight"] == found.weight


def test_a_model_that_holds_stands_alone(rng):
    model, base = rng.normal(size=(2, N, G))
    found = learn_weight(model + 0.1 * rng.normal(size=(N, G)), model, {"base": base}, np.arange(N))
    assert found.weight > 0.98


def test_two_units_say_nothing(rng):
    seen, model, base = rng.normal(size=(3, N, G))
    found = learn_weight(seen, model, {"base": base}, np.arange(N) % 2)
    assert found.weight == 1
    assert found.settings("new_dose") == {}
