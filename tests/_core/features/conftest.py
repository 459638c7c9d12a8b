"""Small worlds of drugs, with interventions known up to noise and features made from them."""

from types import SimpleNamespace

import numpy as np
import pytest


def make_world(seed=0, *, n_genes=10, n_drugs=30, n_new=10, n_features=8, level="drug", noise=0.1, informative=True):
    """Fitted interventions, design, features, and the truth of new drugs."""
    rng = np.random.default_rng(seed)
    doses = np.array([0.5, 1.0, 2.0])

    def draw(n):
        effect = np.zeros((n, n_genes))
        for row in effect:
            hit = rng.choice(n_genes, rng.integers(1, 3), replace=False)
            row[hit] = rng.uniform(2, 6, len(hit)) * rng.choice([-1, 1], len(hit))
        return effect

    known, new = draw(n_drugs), draw(n_new)
    drug, dose = np.repeat(np.arange(n_drugs), 3), np.tile(doses, n_drugs)
    new_drug, new_dose = np.repeat(np.arange(n_new), 3), np.tile(doses, n_new)
    table = np.zeros((1 + len(drug), n_drugs))
    table[1 + np.arange(len(drug)), drug] = dose
    factor, new_factor = (1 / (1 + (0.75 / c) ** 4) for c in (dose, new_dose))
    on, by = rng.normal(size=(2, n_genes, n_features))
    if level == "drug":
        features, new_features = known @ by, (new @ by)[new_drug]
    else:
        features = (known[drug] != 0) @ on + (factor[:, None] * known[drug]) @ by
        new_features = (new[new_drug] != 0) @ on + (new_factor[:, None] * new[new_drug]) @ by
        features = np.r_[np.zeros((1, n_features)), features]
    if not informative:
        features, new_features = rng.normal(size=features.shape), rng.normal(size=(n_new, n_features))[new_drug]
    fit = SimpleNamespace(
        probability=np.where(known != 0, 1 - 1e-6, 1e-4),
        amplitude=known + noise * rng.normal(size=known.shape),
        amplitude_sd=np.full(known.shape, noise),
        ec50=np.full(n_drugs, 0.75),
        hill=np.full(n_drugs, 4.0),
    )
    return SimpleNamespace(
        fit=fit,
        design=SimpleNamespace(dose=table, has_dose=True),
        features=features,
        new_features=new_features,
        new_drug=new_drug,
        new_dose=new_dose,
        new_effect=new,
        new_shift=new_factor[:, None] * new[new_drug],
        known=known,
    )


@pytest.fixture(scope="session")
def world():
    """The maker of worlds."""
    return make_world
