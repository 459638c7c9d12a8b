"""Small effects beyond the targets, against the Gaussian closed form and simulated truth."""

import numpy as np
import pytest

from scgim._core.design import Design
from scgim._core.posterior import drift
from scgim._core.posterior.drift import against_controls, fit_drift


def make_design(n_drugs: int, n_batches: int) -> Design:
    """Every drug once in every batch, with a control in each."""
    group = np.repeat(np.arange(n_batches), n_drugs + 1)
    dose = np.tile(np.vstack([np.zeros(n_drugs), np.eye(n_drugs)]), (n_batches, 1))
    names = tuple(f"batch {b}" for b in range(n_batches))
    return Design(tuple(f"d{d}" for d in range(n_drugs)), dose, group, names, np.full(len(dose), 50), has_dose=False)


def draw(drug_sd: float, context_sd: float, *, n_genes: int = 200, seed: int = 0):
    rng = np.random.default_rng(seed)
    design = make_design(6, 4)
    true = drug_sd * rng.standard_normal((6, n_genes))
    error = np.full((len(design.dose), n_genes), 0.02)
    base = rng.standard_normal((4, n_genes))[design.group]
    own = context_sd * rng.standard_normal(error.shape) * ~design.control[:, None]
    residual = base + design.dose @ true + own + np.sqrt(error) * rng.standard_normal(error.shape)
    return design, true, residual, error


def test_mean_and_spread_are_those_of_the_joint_gaussian(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(drift, "DRUG_SD", np.array([0.3]))
    monkeypatch.setattr(drift, "CONTEXT_SD", np.array([0.2]))
    rng = np.random.default_rng(1)
    design = Design(("a",), np.array([[0.5], [1.0], [2.0]]), np.zeros(3, int), ("all",), np.full(3, 20))  # no control
    residual, error, h = rng.normal(size=(3, 5)), rng.uniform(0.01, 0.1, (3, 5)), np.array([0.2, 0.5, 0.8])
    out = fit_drift(residual, error, design, h[:, None], np.zeros((1, 5)))
    for j in range(5):
        cov = 0.09 * np.outer(h, h) + np.diag(error[:, j] + 0.04)
        cross = 0.09 * h
        assert out.of_drug.mean[0, j] == pytest.approx(cross @ np.linalg.solve(cov, residual[:, j]))
        assert out.of_drug.sd[0, j] ** 2 == pytest.approx(0.09 - cross @ np.linalg.solve(cov, cross))


def spread(found: drift.Drift, start: int = 0) -> float:
    """Standard deviation of the small effects, what is not known of them included."""
    of = found.of_drug
    return float(np.sqrt(np.mean((of.mean**2 + of.sd**2)[:, start:])))


def test_both_standard_deviations_are_found() -> None:
    design, true, residual, error = draw(0.25, 0.15)
    out = fit_drift(residual, error, design, design.dose, np.zeros(true.shape))
    assert spread(out) == pytest.approx(0.25, abs=0.04)
    assert out.context_sd[0] == pytest.approx(0.15, abs=0.07)  # the control's error is shared by the drugs of a batch
    plain = (design.dose.T @ against_controls(residual, error, design)[0]) / 4
    assert np.mean((out.of_drug.mean - true) ** 2) < np.mean((plain - true) ** 2)
    inside = np.abs(out.of_drug.mean - true) < 2 * out.of_drug.sd
    assert 0.9 < inside.mean() <= 1


def test_nothing_is_made_of_noise_or_of_contexts() -> None:
    for context_sd in (0.0, 0.2):
        design, true, residual, error = draw(0.0, context_sd)
        out = fit_drift(residual, error, design, design.dose, np.zeros(true.shape))
        assert np.sqrt(np.mean(out.of_drug.mean**2)) < 0.03


def test_targets_say_nothing_of_the_others() -> None:
    design, true, residual, error = draw(0.1, 0.05)
    probability = np.zeros(true.shape)
    probability[:, :10] = 1
    residual[1:, :10] += 5 * (~design.control[1:, None])
    out = fit_drift(residual, error, design, design.dose, probability)
    assert spread(out, 10) == pytest.approx(0.1, abs=0.04)


def test_one_context_a_drug_is_shared_between_both() -> None:
    design = make_design(30, 1)
    rng = np.random.default_rng(2)
    residual = 0.3 * rng.standard_normal((31, 100)) * ~design.control[:, None]
    out = fit_drift(residual, np.full((31, 100), 1e-4), design, design.dose, np.zeros((30, 100)))
    share = (out.of_drug.mean * residual[1:]).sum() / (residual[1:] ** 2).sum()
    assert 0.1 < share < 0.9
