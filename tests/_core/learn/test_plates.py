"""Offsets of plates that nobody wrote down are taken out; what follows a drug's curve, or is one gene's own, is not."""

from dataclasses import replace

import numpy as np
import pytest
from scipy.special import logsumexp
from scipy.stats import multivariate_normal

import scgim
from scgim._core.design import Design
from scgim._core.learn.plates import AMPLITUDES, OWN_SD, OWN_SHARE, curves, evidence, find_plates, stacked, units, weigh
from scgim._core.moments.moments import Moments
from scgim._core.posterior.contrasts import contrasts
from scgim._core.posterior.effects.hill import hill
from scgim.datasets import faults

DOSES = np.array([0.1, 0.3, 1.0, 3.0, 10.0])
D, G, N = 6, 30, 50


def screen(seed: int, *, plate_sd: float, constant: float = 0.0) -> tuple[Moments, Design, np.ndarray]:
    """Moments of six drugs at five doses with three targets each, and the offsets ``(K, G)``; `constant` moves one gene a drug."""
    rng = np.random.default_rng(seed)
    dose = np.vstack([np.zeros((1, D)), *(np.outer(DOSES, np.eye(D)[d]) for d in range(D))])
    n = np.array([500.0] + [N] * (len(dose) - 1))
    drug = np.repeat(np.arange(D), len(DOSES))
    amplitude = np.zeros((D, G))
    for d in range(D):
        amplitude[d, rng.choice(G, 3, replace=False)] = rng.choice([-2.0, 2.0], 3)
    offset = np.zeros((len(dose), G))
    offset[1:] = rng.normal(0, plate_sd, (D, G))[drug] if plate_sd else 0.0
    own = np.zeros((len(dose), G))
    own[1:, 0] = constant
    mean = hill(dose, 1.0, 1.5) @ amplitude + offset + own + rng.normal(size=(len(dose), G)) / np.sqrt(n)[:, None]
    design = Design(tuple("abcdef"), dose, np.zeros(len(dose), int), ("",), n)
    moments = Moments(n, mean[:, :, None], np.eye(G), np.zeros(G), np.ones(G), np.ones((G, 1)))
    return moments, design, offset


@pytest.mark.parametrize("seed", [0, 1])
def test_offsets_are_found_and_taken_out(seed):
    moments, design, offset = screen(seed, plate_sd=0.6)
    found = find_plates(moments, design)
    assert found.plates is not None
    assert 0.3 <= found.plates.sd <= 0.8
    left = found.plates.offset - offset
    assert (left**2).sum() < 0.2 * (offset**2).sum()
    assert (found.plates.offset[0] == 0).all(), "controls have none"
    assert np.allclose(found.mean[:, :, 0] + found.plates.offset, moments.mean[:, :, 0])


def test_nothing_is_taken_out_where_there_are_none():
    assert find_plates(*screen(2, plate_sd=0.0)[:2]).plates is None


def test_a_gene_that_every_dose_moves_alike_keeps_its_effect():
    """A part of the action that is complete at the lowest dose is no plate."""
    moments, design, _ = screen(3, plate_sd=0.0, constant=1.5)
    assert find_plates(moments, design).plates is None
    beside = screen(3, plate_sd=0.3, constant=6.0)
    found = find_plates(*beside[:2])
    assert found.plates is not None
    assert np.abs(found.plates.offset[:, 0]).max() < 1.0


def test_too_few_doses_tell_nothing():
    moments, design, _ = screen(4, plate_sd=0.6)
    keep = np.isin(design.dose.max(axis=1), [0.0, 0.1, 10.0])
    few = Design(design.drugs, design.dose[keep], design.group[keep], design.group_names, design.n_cells[keep])
    less = replace(moments, n=moments.n[keep], mean=moments.mean[keep])
    assert find_plates(less, few).plates is None
    assert find_plates(moments, replace(design, has_dose=False)).plates is None


def test_contrasts_that_know_of_plates_hardly_feel_an_offset():
    moments, design, _ = screen(5, plate_sd=0.6)
    plates = find_plates(moments, design).plates
    value, error, fraction = moments.mean[:, :, 0], np.full(moments.mean.shape[:2], 1 / N), hill(design.dose, 1.0, 1.5)
    blind, aware = contrasts(design, fraction, value, error), contrasts(design, fraction, value, error, plates)
    one = np.ones(len(design.dose)) - design.control
    assert (np.abs(aware.weight @ one) < 0.3 * np.abs(blind.weight @ one)).all()
    assert np.allclose(np.diag(aware.weight @ fraction), 1)
    assert (aware.offset > 0).all()
    assert (blind.offset == 0).all()


def test_targets_are_found_on_plates_without_a_key():
    """Plates of one standard deviation hid nearly all targets."""
    adata = scgim.datasets.simulate(
        n_genes=12, n_drugs=8, doses=(0.25, 0.5, 1.0, 1.5, 2.0), new_doses=(), n_new_drugs=0, n_control=400, n_cells=50,
        features="noise", rng=0, faults=[faults.Plates(None, sd=1.0, key=False)],
    )  # fmt: skip
    truth = np.asarray(adata.uns["truth"]["drug_effect"]) != 0
    drugs = [str(name) for name in adata.uns["truth"]["drugs"]]
    adata.obs = adata.obs[["drug", "dose"]]  # nobody wrote the plate down
    scgim.tl.fit(adata, perturbation_key="drug", control="control", dose_key="dose", progress=False)
    table = scgim.get.targets(adata, level="drug").astype({"perturbation": str, "gene": str})
    found = (
        table.pivot(index="perturbation", columns="gene", values="probability").loc[drugs, list(adata.var_names)] > 0.9
    )
    assert (found.to_numpy() & truth).sum() >= 0.8 * truth.sum()
    assert (found.to_numpy() & ~truth).sum() <= 1


@pytest.mark.parametrize(("offset_sd", "context_sd"), [(0.0, 0.0), (0.5, 0.1)])
def test_densities_are_those_of_a_mixture_of_normal_distributions(offset_sd, context_sd):
    """Drugs with three, four and five doses, weighed together, against a normal density for each of all that may be."""
    moments, design, _ = screen(6, plate_sd=0.4)
    keep = np.delete(np.arange(len(design.dose)), [1, 6, 7])
    less = Design(design.drugs, design.dose[keep], design.group[keep], design.group_names, design.n_cells[keep])
    few = replace(moments, n=moments.n[keep], mean=moments.mean[keep, :3], within=np.eye(3))
    found = units(few, less)
    curve = curves(found)[::16]
    along = [(one, one.fraction(curve)) for one in stacked(found, len(curve))]
    assert len(along) == 3
    by_drug = np.zeros((D, len(curve)))
    for one, fraction in along:
        weighed = weigh(one, fraction, offset_sd, context_sd, expect=True)
        n = one.dose.shape[1]
        for u, t, g in np.ndindex(weighed.log.shape):
            base, h = np.diag(one.error[u] + context_sd**2) + one.shared[u] + offset_sd**2, fraction[u, t]
            parts, shifts = [], []
            for own, share in ((0.0, 1 - OWN_SHARE), (OWN_SD**2, OWN_SHARE)):
                for a in AMPLITUDES:
                    cov = base + own + a**2 * np.outer(h, h)
                    log = multivariate_normal(np.zeros(n), cov).logpdf(one.change[u, :, g])
                    parts.append(np.log(share / len(AMPLITUDES)) + log + 0.5 * n * np.log(2 * np.pi))
                    shifts.append(offset_sd**2 * np.linalg.solve(cov, one.change[u, :, g]).sum() * (not own))
            total = logsumexp(parts)
            np.testing.assert_allclose(weighed.log[u, t, g], total, rtol=1e-9)
            np.testing.assert_allclose(weighed.offset[u, t, g], np.exp(parts - total) @ shifts, atol=1e-9)
            by_drug[one.drug[u], t] += total
    expected = logsumexp(by_drug, axis=1).sum()
    np.testing.assert_allclose(evidence(along, D, offset_sd, context_sd), expected, rtol=1e-9)
