"""What a model misses at doses nearby: against the Gaussian closed form, and none where there is none."""

import numpy as np
import pytest

from scgim._core.design import Design
from scgim._core.posterior.weighing import departures
from scgim._core.posterior.weighing.departures import (
    Departures,
    departures_along,
    drugs_along_doses,
    learn_departures,
)

DOSES = np.array([0.5, 1.0, 1.5, 2.0])


def design(n_drugs: int, doses: np.ndarray = DOSES, *, has_dose: bool = True) -> tuple[Design, np.ndarray]:
    """Every drug at every dose, and the drug of each context."""
    drug = np.repeat(np.arange(n_drugs), len(doses))
    dose = np.zeros((len(drug), n_drugs))
    dose[np.arange(len(drug)), drug] = np.tile(doses, n_drugs)
    names = tuple(f"d{d}" for d in range(n_drugs))
    return Design(names, dose, np.zeros(len(drug), int), ("all",), np.full(len(drug), 50), has_dose=has_dose), drug


def test_it_is_the_posterior_mean_of_a_random_walk(monkeypatch, rng):
    monkeypatch.setattr(departures, "WALKS", (0.0, 0.7))
    height, left = np.array([0.2, 0.5, 0.8, 0.9]), rng.normal(size=(4, 6))
    error = rng.uniform(0.5, 2.0, (4, 1)) * rng.uniform(0.05, 0.2, 6)
    along = Departures(np.array([0.0, 1.0])).coefficients(height, left, error)
    for at in (0.1, 0.6, 1.0):
        for j in range(6):
            cov = 0.49 * np.minimum.outer(height, height) + np.diag(error[:, j])
            expected = 0.49 * np.minimum(height, at) @ np.linalg.solve(cov, left[:, j])
            assert np.minimum(height, at) @ along[:, j] == pytest.approx(expected)


def test_shares_are_found_and_noise_is_left_alone(rng):
    made, drug = design(30)
    fraction = made.dose / (1 + made.dose)
    height, error = fraction[np.arange(len(drug)), drug], np.full((len(drug), 20), 0.02)
    noise = np.sqrt(0.02) * rng.normal(size=error.shape)
    nothing = departures_along(learn_departures(noise, error, made, fraction), noise, error, made, fraction)
    each = np.minimum.outer(height[:4], height[:4])
    made_of_noise = 0.0 if nothing is None else np.einsum("lm,dmg->dlg", each, nothing.reshape(30, 4, 20))
    assert np.mean(np.square(made_of_noise)) < 0.05**2 * 0.02
    root = np.linalg.cholesky(each)
    walk = (0.8 * root @ rng.normal(size=(30, 4, 20))) * (rng.random((30, 1, 20)) < 0.2)
    found = learn_departures(noise + walk.reshape(error.shape), error, made, fraction)
    assert found.share[np.array(departures.WALKS) >= 0.4].sum() == pytest.approx(0.2, abs=0.07)
    along = departures_along(found, noise + walk.reshape(error.shape), error, made, fraction)
    guess = np.einsum("lm,dmg->dlg", each, along.reshape(30, 4, 20))
    assert ((guess - walk) ** 2).mean() < 0.3 * (walk**2).mean()


def test_too_few_doses_say_nothing(rng):
    made, _ = design(5, DOSES[:2])
    left = rng.normal(size=(10, 3))
    assert drugs_along_doses(made) == []
    assert learn_departures(left, np.ones_like(left), made, made.dose) is None
    assert departures_along(None, left, np.ones_like(left), made, made.dose) is None
    assert drugs_along_doses(design(5, has_dose=False)[0]) == []
